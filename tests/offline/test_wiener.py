"""Wiener passes: norbert's, stretch by stretch, and stems that sum to the mix."""

import norbert
import numpy as np
import pytest
import soundfile

from plugin_bridge.offline import wiener
from plugin_bridge.offline.wiener import TIER, em_filter, filtered, wiener_filtered
from tests.support.rendering import integers, render_song

RATE_HZ = 44_100


def spectra(*shape, seed=0):
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((2, *shape)) * rng.random((1, *shape[:-1], 1)) ** 3
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


@pytest.mark.parametrize("passes", [1, 2, 3])
@pytest.mark.parametrize("level", [0.01, 1.0, 300.0])
def test_the_passes_are_norbert_s(passes, level):
    stems = level * spectra(3, 20, 2, 9)
    mixture = stems.sum(0) + level * spectra(20, 2, 9, seed=1)
    loud = max(1.0, np.abs(mixture).max() / 10)
    expected, _, _ = norbert.expectation_maximization(
        np.moveaxis(stems, 0, -1).swapaxes(1, 2) / loud,
        mixture.swapaxes(1, 2) / loud,
        iterations=passes,
    )
    expected = np.moveaxis(expected, -1, 0).swapaxes(2, 3) * loud
    found = em_filter(stems.copy(), mixture, passes)
    np.testing.assert_allclose(found, expected, atol=2e-4 * level * 3, rtol=0)


def test_no_pass_changes_nothing():
    rng = np.random.default_rng(0)
    stems = rng.standard_normal((3, 2, 30_000)).astype(np.float32)
    np.testing.assert_allclose(filtered(stems.sum(0), stems, 0), stems, atol=1e-5)


def two_points(samples):
    """Two sources at two places, and estimates with a fifth of the other in each."""
    rng = np.random.default_rng(0)
    angles = np.deg2rad([20.0, 60.0])
    gains = np.stack([np.cos(angles), np.sin(angles)], 1)[:, :, None]
    truth = (gains * rng.standard_normal((2, 1, samples))).astype(np.float32)
    estimates = 0.8 * truth + 0.2 * truth[::-1]
    mixture = truth.sum(0)
    return mixture, truth, np.concatenate([estimates, np.zeros_like(mixture)[None]])


def error(estimates, truth):
    return np.square(estimates[:2] - truth).sum() / np.square(truth).sum()


def test_a_pass_puts_two_points_where_they_are():
    mixture, truth, estimates = two_points(RATE_HZ)
    found = filtered(mixture, estimates, 2)
    assert error(found, truth) < 0.3 * error(estimates, truth)


@pytest.mark.parametrize("samples", [1000, 2 * 8820, 2 * 8820 + 1, 50_000])
@pytest.mark.parametrize("block", [777, 100_000])
def test_stretches_join_and_stems_sum_to_the_mixture(samples, block, monkeypatch):
    monkeypatch.setattr(wiener, "STRETCH_S", 0.4)
    mixture, truth, estimates = two_points(samples)
    starts = range(0, samples, block)
    pairs = ((mixture[:, s : s + block], estimates[:, :, s : s + block]) for s in starts)
    parts = list(wiener_filtered(pairs, 1, RATE_HZ))
    assert np.array_equal(np.concatenate([m for m, _ in parts], 1), mixture)
    stems = np.concatenate([s for _, s in parts], 2)
    np.testing.assert_allclose(stems.sum(0), mixture, atol=1e-5)
    whole = filtered(mixture, estimates, 1)
    assert error(stems, truth) < 1.5 * error(whole, truth) + 1e-3
    jumps = np.abs(np.diff(stems[:2] - truth, axis=2))
    assert jumps[:, :, 8815:8825].max(initial=0) <= jumps.max() * 1.001


def test_nothing_comes_out_of_nothing():
    assert list(wiener_filtered(iter([]), 1, RATE_HZ)) == []


def test_the_geometry_grows_with_the_sample_rate():
    mixture, _, estimates = two_points(60_000)
    pairs = list(wiener_filtered(iter([(mixture, estimates)]), 1, 96_000))
    assert sum(m.shape[1] for m, _ in pairs) == 60_000
    assert TIER.window == 4096


def test_rendered_stems_still_sum_to_the_bit_after_a_pass(song, tmp_path):
    options = ("--azimuth", -30, "--model", "panorama", "--wiener", 1, "--out", tmp_path / "out")
    assert render_song(song, *options).exit_code == 0
    stems = sum(integers(tmp_path / "out" / f"{name}.wav") for name in ("target", "residual"))
    assert np.array_equal(stems, integers(song))
    plain = tmp_path / "plain"
    assert render_song(song, *options[:4], "--out", plain).exit_code == 0
    one, other = (soundfile.read(f / "target.wav")[0] for f in (plain, tmp_path / "out"))
    assert np.abs(one - other).max() > 1e-3


def test_passes_are_for_the_offline_tier(song, tmp_path):
    done = render_song(
        song, "--azimuth", 0, "--wiener", 1, "--tier", "live", "--out", tmp_path / "o"
    )
    assert done.exit_code != 0
    assert "they need the tier offline" in str(done.exception) + done.output


@pytest.mark.parametrize("level", [1.0, 300.0, 1e5])
def test_one_loud_source_from_one_place_stays_finite(level):
    """Its covariance has rank one, so that the determinant is what rounding leaves of it."""
    one = level * spectra(20, 1, 9)
    stems = np.stack([np.concatenate([one, 0.7 * one], axis=1), np.zeros((20, 2, 9))])
    found = em_filter(stems.astype(np.complex64), stems.sum(0).astype(np.complex64), 2)
    assert np.isfinite(found.view(np.float32)).all()
    assert np.abs(found[0] - stems[0]).max() <= 0.05 * np.abs(stems).max()
