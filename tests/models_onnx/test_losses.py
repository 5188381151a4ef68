"""The losses have the values and the gradients they say."""

import math

import pytest
import torch

from models_onnx.training.losses import (
    LossWeights,
    audible,
    snr_db,
    spectral_terms,
    stereo_si_sdr,
)


def spectra(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))


def test_a_perfect_estimate_costs_nothing_in_the_spectrum() -> None:
    target = spectra(2, 7, 2, 33)
    assert [t.item() for t in spectral_terms(target, target, 0.3)] == [0, 0]


def test_spectral_terms_compare_powers_of_the_magnitudes_and_keep_the_phase() -> None:
    estimate, target = torch.tensor([16 * math.e ** (1j * 0.7)]), torch.tensor([9.0 + 0j])
    magnitude, complex_ = spectral_terms(estimate, target, 0.5)
    assert magnitude.item() == pytest.approx((4 - 3) ** 2, rel=1e-4)
    assert complex_.item() == pytest.approx(abs(4 * math.e ** (0.7j) - 3) ** 2, rel=1e-4)


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
    assert stereo_si_sdr(target, target).item() > 50
    assert stereo_si_sdr(moved, target).item() == pytest.approx(0, abs=0.1)


def test_snr_knows_the_noise_and_the_level() -> None:
    torch.manual_seed(0)
    target = torch.randn(3, 2, 20000)
    noisy = target + 0.1 * torch.randn_like(target)
    for estimate, error in ((noisy, 0.01), (0.5 * target, 0.25), (0 * target, 1.0)):
        expected = torch.tensor(-10 * math.log10(error + 0.01))  # it fades at 20 dB
        assert torch.allclose(snr_db(estimate, target), expected, atol=0.05)


def test_the_best_level_by_snr_is_the_mean_of_what_may_be() -> None:
    torch.manual_seed(0)
    sound = torch.randn(1, 2, 5000)
    level = torch.tensor(0.1, requires_grad=True)
    optimizer = torch.optim.Adam([level], 0.02)
    for _ in range(200):
        noise = 0.5 * torch.randn_like(sound)
        optimizer.zero_grad()
        (-snr_db(level * (sound + noise), sound).mean()).backward()
        optimizer.step()
    assert level.item() == pytest.approx(1 / 1.25, abs=0.03)  # Wiener


def test_a_target_under_the_floor_is_not_audible_nor_is_silence() -> None:
    mixture = torch.ones(3, 2, 50)
    levels = torch.tensor([10 ** (-19 / 20), 10 ** (-21 / 20), 0.0])
    assert audible(levels[:, None, None] * mixture, mixture, -20).tolist() == [True, False, False]


def test_an_exponent_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="exponent is 0"):
        LossWeights(exponent=0)
