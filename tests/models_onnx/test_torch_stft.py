"""The transform and the masks of training are those of the engine."""

import numpy as np
import pytest
import torch

from models_onnx.networks import stft as torch_stft
from realtime import masks, stft
from realtime.spec import Tier

TIERS = [Tier(2048, 512, 256), Tier(1024, 256, 128), Tier(512, 512, 128, lookahead=2)]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("tier", TIERS, ids=str)
def test_analysis_and_synthesis_equal_those_of_the_engine(tier: Tier) -> None:
    signal = noise(2, tier.window + 20 * tier.hop)
    analysis, synthesis = stft.windows(tier)
    expected = stft.analyse(signal, analysis, tier.hop)
    carry = np.zeros((2, tier.synthesis - tier.hop), np.float32)
    expected_signal = stft.synthesise(expected, synthesis, tier.hop, carry)

    windows = torch_stft.window_tensors(tier)
    spectra = torch_stft.analyse(torch.from_numpy(signal)[None], windows[0], tier.hop)
    found = torch_stft.synthesise(spectra, windows[1], tier.hop)

    np.testing.assert_allclose(spectra[0].numpy(), expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(found[0].numpy(), expected_signal, atol=1e-5)


@pytest.mark.parametrize("tier", TIERS, ids=str)
def test_synthesis_gives_back_the_analysed_signal_once_the_overlap_is_full(tier: Tier) -> None:
    signal = torch.from_numpy(noise(3, 2, tier.window + 20 * tier.hop))
    analysis, synthesis = torch_stft.window_tensors(tier)
    found = torch_stft.synthesise(
        torch_stft.analyse(signal, analysis, tier.hop), synthesis, tier.hop
    )
    start, unfinished = tier.window - tier.synthesis, tier.synthesis - tier.hop
    expected = signal[..., start : start + found.shape[-1]]
    assert torch.allclose(found[..., unfinished:], expected[..., unfinished:], atol=1e-5)


@pytest.mark.parametrize(("axes", "size"), [("mixture", 1), ("channels", 2), ("steered", 4)])
@pytest.mark.parametrize("seen", [65, 40])
def test_masks_act_as_in_the_engine(axes: str, size: int, seen: int) -> None:
    frames, targets, bins = 5, 3, 65
    spectra = (noise(frames, 2, bins) + 1j * noise(frames, 2, bins)[::-1]).astype(np.complex64)
    values = noise(frames, targets, size, seen)
    azimuth_deg = np.linspace(-45, 45, frames * targets, dtype=np.float32).reshape(frames, targets)
    expected = masks.apply_masks(
        masks.to_bins(values, bins), spectra, azimuth_deg if axes == "steered" else None
    )
    for target in range(targets):
        found = torch_stft.apply_masks(
            torch.from_numpy(values[:, target]),
            torch.from_numpy(spectra),
            axes,
            torch.from_numpy(azimuth_deg[:, target]),
        )
        np.testing.assert_allclose(found.numpy(), expected[:, target], atol=1e-5)


def test_steering_to_a_source_leaves_nothing_of_it_across() -> None:
    azimuth_deg = torch.tensor([17.0])
    theta = torch.deg2rad(azimuth_deg + 45)
    source = torch.randn(1, 9, dtype=torch.complex64)
    spectra = torch.stack([source * torch.cos(theta), source * torch.sin(theta)], -2)
    steered = torch_stft.steer(spectra, theta)
    assert torch.allclose(steered[:, 0], source, atol=1e-6)
    assert steered[:, 1].abs().max() < 1e-6
