"""The losses have the values and the gradients they say."""

import math

import pytest
import torch

from models_onnx.losses import (
    LossWeights,
    audible,
    compressed,
    signal_term,
    spectral_terms,
    stereo_si_sdr,
)


def spectra(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))


def test_a_perfect_estimate_costs_nothing_in_the_spectrum() -> None:
    target = spectra(2, 7, 2, 33)
    assert [t.item() for t in spectral_terms(target, target, 0.3)] == [0, 0]


def test_compression_keeps_the_phase_and_takes_the_power_of_the_magnitude() -> None:
    magnitude, complex_ = compressed(torch.tensor([16 * math.e ** (1j * 0.7)]), 0.5)
    assert magnitude.item() == pytest.approx(4, rel=1e-5)
    assert complex_.abs().item() == pytest.approx(4, rel=1e-5)
    assert complex_.angle().item() == pytest.approx(0.7, rel=1e-5)


def test_the_gradient_is_finite_where_the_spectrum_is_zero() -> None:
    estimate = torch.zeros(1, 3, 2, 5, dtype=torch.complex64, requires_grad=True)
    magnitude, complex_ = spectral_terms(estimate, spectra(1, 3, 2, 5), 0.3)
    (magnitude + complex_).backward()
    assert torch.isfinite(torch.view_as_real(estimate.grad)).all()


def test_si_sdr_ignores_the_scale_and_knows_the_noise() -> None:
    torch.manual_seed(0)
    target = torch.randn(4, 2, 20000)
    estimate = 3 * (target + 0.1 * torch.randn_like(target))
    assert torch.allclose(stereo_si_sdr(estimate, target), torch.tensor(20.0), atol=0.2)


def test_si_sdr_sees_a_changed_balance_and_bears_a_silent_channel() -> None:
    torch.manual_seed(0)
    target = torch.randn(1, 2, 20000)
    target[:, 1] = 0
    moved = target.clone()
    moved[:, 1] = target[:, 0]
    assert stereo_si_sdr(target, target).item() == pytest.approx(40, abs=0.1)
    assert stereo_si_sdr(moved, target).item() == pytest.approx(0, abs=0.1)


def test_silent_targets_are_left_out_of_the_signal_term() -> None:
    torch.manual_seed(0)
    target = torch.randn(2, 2, 9000)
    estimate = (target + 0.1 * torch.randn_like(target)).requires_grad_()
    mixture = torch.randn(2, 2, 9000)
    target[1] = 0
    term = signal_term(estimate, target, mixture)
    assert term.item() == pytest.approx(20, abs=0.2)
    nothing = signal_term(estimate, torch.zeros_like(target), mixture)
    (term + nothing).backward()
    assert nothing.item() == 0
    assert torch.isfinite(estimate.grad).all()


def test_a_target_55_db_under_its_mixture_is_not_audible() -> None:
    mixture = torch.ones(2, 2, 50)
    quiet = torch.tensor([10 ** (-54 / 20), 10 ** (-56 / 20)])[:, None, None] * mixture
    assert audible(quiet, mixture).tolist() == [True, False]


def test_an_exponent_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="exponent is 0"):
        LossWeights(exponent=0)
