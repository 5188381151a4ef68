import numpy as np
import pytest

from realtime.spec import Tier
from realtime.stft import analyse, analyse_roughly, synthesise, windows
from tests.support.reference import reference_windows
from tests.support.signals import noise

TIERS = [
    Tier(window=1024, synthesis=256, hop=128),
    Tier(window=2048, synthesis=512, hop=256),
    Tier(window=2048, synthesis=512, hop=128),
    Tier(window=4096, synthesis=4096, hop=1024),
    Tier(window=1536, synthesis=384, hop=192),
]


@pytest.mark.parametrize("tier", TIERS, ids=str)
def test_windows_are_those_of_the_definition(tier):
    for found, expected in zip(windows(tier), reference_windows(tier), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("tier", TIERS, ids=str)
def test_the_overlapping_products_of_the_windows_sum_to_one(tier):
    analysis, synthesis = (w.astype(np.float64) for w in windows(tier))
    product = analysis[-tier.synthesis :] * synthesis
    sums = product.reshape(-1, tier.hop).sum(0)
    np.testing.assert_allclose(sums, 1, atol=2e-7)


@pytest.mark.parametrize("tier", TIERS, ids=str)
def test_analysis_and_synthesis_give_the_signal_back(tier):
    signal = noise(2, tier.window + 30 * tier.hop)
    analysis, synthesis = windows(tier)
    carry = np.zeros((2, tier.synthesis - tier.hop), np.float32)
    out = synthesise(analyse(signal, analysis, tier.hop), synthesis, tier.hop, carry)
    expected = signal[:, tier.window - tier.synthesis :][:, : out.shape[1]]
    settled = tier.synthesis
    np.testing.assert_allclose(out[:, settled:], expected[:, settled:], atol=1e-6)


def test_frames_cut_into_calls_give_the_same_bits():
    tier = TIERS[2]
    analysis, synthesis = windows(tier)
    spectra = analyse(noise(2, tier.window + 20 * tier.hop), analysis, tier.hop)
    whole_carry = np.zeros((2, tier.synthesis - tier.hop), np.float32)
    parts_carry = whole_carry.copy()
    whole = synthesise(spectra, synthesis, tier.hop, whole_carry)
    cuts = (spectra[:1], spectra[1:3], spectra[3:4], spectra[4:])
    parts = [synthesise(cut, synthesis, tier.hop, parts_carry) for cut in cuts]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)
    assert np.array_equal(parts_carry, whole_carry)


def test_samples_of_double_precision_have_the_spectra_of_their_values():
    signal, window = noise(2, 4096), windows(Tier(1024, 512, 256))[0]
    assert np.array_equal(
        analyse(signal.astype(np.float64), window, 256), analyse(signal, window, 256)
    )


@pytest.mark.parametrize("tier", TIERS, ids=str)
def test_what_a_network_looks_at_is_right_within_1e_6_of_the_loudest_bin(tier):
    signal = noise(2, tier.window + 30 * tier.hop)
    window, _ = windows(tier)
    exact = analyse(signal, window, tier.hop)
    rough = analyse_roughly(signal, window, tier.hop)
    assert rough.dtype == exact.dtype == np.complex64
    assert np.abs(rough - exact).max() < 1e-6 * np.abs(exact).max()
