"""Effects: what they add is wide, decays, and is the same for the same seed."""

import numpy as np
import pytest

from models_onnx.data.sounds.effects import (
    amplify,
    chorus,
    echo,
    haas,
    impulse_response,
    insert,
    reverberant,
)
from models_onnx.data.stems import recentred

RATE_HZ = 44_100


@pytest.fixture
def burst() -> np.ndarray:
    sound = np.zeros(2 * RATE_HZ, np.float32)
    sound[:4410] = np.random.default_rng(0).normal(0, 0.1, 4410)
    return sound


@pytest.mark.parametrize("seed", range(8))
def test_reverb_is_stereo_goes_on_after_the_sound_and_dies_away(burst, seed):
    wet, kind = reverberant(np.random.default_rng(seed), burst)
    assert kind in ("room", "plate", "hall")
    assert wet.shape == (2, burst.size)
    assert np.abs(wet[:, 4410:6000]).max() > 1e-4
    assert (wet[:, -4410:] ** 2).mean() < 0.1 * (wet[:, 4410:8820] ** 2).mean()
    assert abs(np.corrcoef(wet)[0, 1]) < 0.8


@pytest.mark.parametrize("kind", ["plate", "hall"])
def test_an_impulse_response_has_unit_energy_and_decorrelated_sides(kind):
    response = impulse_response(np.random.default_rng(1), kind)
    np.testing.assert_allclose((response**2).sum(1), 1.0, rtol=1e-4)
    assert abs(np.corrcoef(response)[0, 1]) < 0.5


def test_high_tones_of_a_reverb_die_away_first():
    def brightness(sound: np.ndarray) -> float:
        return float((np.diff(sound) ** 2).mean() / (sound**2).mean())

    for seed in range(5):
        response = impulse_response(np.random.default_rng(seed), "plate")
        count = response.shape[1] // 4
        assert brightness(response[:, -count:]) < 0.5 * brightness(response[:, :count])


def test_chorus_and_haas_make_two_different_sides_of_equal_length(burst):
    for widen in (chorus, haas):
        sides = widen(np.random.default_rng(2), burst)
        assert sides.shape == (2, burst.size)
        assert not np.allclose(sides[0], sides[1], atol=1e-3)


def test_echoes_come_after_the_sound_in_time_with_the_beat(burst):
    echoes = echo(np.random.default_rng(3), burst, beat_s=0.5)
    assert np.abs(echoes[:, : RATE_HZ // 4 - 10]).max() < 1e-6
    assert np.abs(echoes).max() > 0.01


def test_inserts_are_the_same_for_the_same_seed_and_say_what_they_are(burst):
    sound = np.stack([burst, burst])
    heard = set()
    for seed in range(30):
        one, names = insert(np.random.default_rng(seed), sound, "guitar")
        two, _ = insert(np.random.default_rng(seed), sound, "guitar")
        assert np.array_equal(one, two)
        assert np.isfinite(one).all()
        heard.update(names)
    assert {"eq", "compressor", "distortion"} <= heard


def test_an_amplifier_adds_harmonics_within_the_band_of_its_cabinet():
    time_s = np.arange(RATE_HZ) / RATE_HZ
    tone = np.stack([np.sin(2 * np.pi * 110 * time_s).astype(np.float32)] * 2)
    harmonics = []
    for seed in range(12):
        loud = amplify(np.random.default_rng(seed), tone)
        assert (loud.shape, loud.dtype) == (tone.shape, np.float32)
        power = np.abs(np.fft.rfft(loud[0] * np.hanning(RATE_HZ))) ** 2
        power /= power.sum()
        harmonics.append(power[250:6500].sum())
        assert power[12_000:].sum() < 1e-3
    assert min(harmonics) > 1e-4  # of a sine there is nothing
    assert max(harmonics) > 0.2


def test_recentring_puts_a_panned_sound_in_the_centre_and_keeps_its_energy(burst):
    panned = np.stack([0.9 * burst, 0.2 * burst])
    centred = recentred(panned)
    np.testing.assert_allclose(centred[0], centred[1], atol=1e-5)
    assert (centred**2).sum() == pytest.approx((panned**2).sum(), rel=1e-4)
    opposed = np.stack([burst, -burst])
    assert np.array_equal(recentred(opposed), opposed)
