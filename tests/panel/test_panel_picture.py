"""Pictures of sound: where energy is drawn, how much of it is taken, and what is measured."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from plugin_bridge.control.surface import Sound
from plugin_bridge.panel.picture import PictureMaker, levels_of, truth_of

RATE_HZ, SAMPLES = 44_100, 2048
BIN_HZ = RATE_HZ / SAMPLES


def tone(azimuth_deg, hz, level=0.05):
    angle = np.radians(azimuth_deg + 45)
    wave = level * np.sin(2 * np.pi * hz * np.arange(SAMPLES) / RATE_HZ)
    return np.stack([np.cos(angle) * wave, np.sin(angle) * wave]).astype(np.float32)


def sound(mixture, target):
    return Sound(RATE_HZ, RATE_HZ, mixture, target, mixture - target)


def drawn(mixture, target):
    """Azimuths in degrees, levels in dB and shares, 0 to 1, by bin of a picture."""
    picture = PictureMaker(RATE_HZ, SAMPLES)(sound(mixture, target))
    seconds, *_, bin_hz = struct.unpack_from("<5f", picture)
    assert seconds == 1
    assert bin_hz == BIN_HZ
    directions, levels, shares = np.frombuffer(picture, np.uint8, offset=20).reshape(3, -1) / 1.0
    np.testing.assert_array_equal(levels_of(picture), levels)
    return (directions - 128) / 128 * 90 - 45, levels * 120 / 255 - 120, shares / 255


def bin_of(hz):
    return round(hz / BIN_HZ) - 1


@pytest.mark.parametrize("azimuth_deg", [-45, -30, 0, 12, 45])
@pytest.mark.parametrize("hz", [60, 440, 9000])
def test_a_tone_is_drawn_at_its_azimuth_and_frequency(azimuth_deg, hz):
    azimuths, levels, _ = drawn(tone(azimuth_deg, hz), tone(azimuth_deg, hz))
    loudest = levels.argmax()
    assert abs(azimuths[loudest] - azimuth_deg) < 0.8
    assert abs((loudest + 1) * BIN_HZ - hz) <= BIN_HZ


def test_a_tone_of_full_scale_in_one_channel_has_0_db_and_16_khz_is_the_last():
    hz = 100 * BIN_HZ
    _, levels, _ = drawn(tone(-45, hz, 1.0), tone(-45, hz, 1.0))
    assert levels.max() == pytest.approx(0, abs=0.5)
    assert levels.size == bin_of(16_000) + 1


def test_what_is_taken_is_marked_where_it_is_and_nowhere_else():
    left, right = tone(-30, 1000), tone(25, 3000)
    azimuths, levels, shares = drawn(left + right, left)
    bins = [bin_of(1000), bin_of(3000)]
    np.testing.assert_allclose(azimuths[bins], [-30, 25], atol=0.8)
    assert levels[bins].min() > -30
    np.testing.assert_allclose(shares[bins], [1, 0], atol=0.02)


def test_a_target_louder_than_the_mixture_is_all_of_it():
    _, _, shares = drawn(tone(0, 1000), 3 * tone(0, 1000))
    assert shares.max() == 1


def test_two_sounds_in_one_bin_count_for_little():
    together = tone(-45, 1000) + np.roll(tone(45, 1000), 11, axis=1)  # a quarter of a period later
    _, levels, _ = drawn(together, together)
    assert levels.max() < -60


def test_what_is_out_of_phase_is_marked_as_such():
    wave = tone(0, 1000) * np.array([[1], [-0.5]], np.float32)
    azimuths, levels, _ = drawn(wave, wave)
    assert azimuths[levels.argmax()] < -45


def test_silence_is_drawn_as_nothing():
    nothing = np.zeros((2, SAMPLES), np.float32)
    _, levels, shares = drawn(nothing, nothing)
    assert (levels == -120).all()
    assert not shares.any()


def test_an_unequal_sum_is_seen_by_the_null_meter():
    mixture = tone(0, 1000)
    exact = truth_of(Sound(0, RATE_HZ, mixture, mixture / 2, mixture / 2))
    wrong = truth_of(Sound(0, RATE_HZ, mixture, mixture / 2, mixture / 2 + np.float32(0.001)))
    assert exact.null_db < -140
    assert wrong.null_db == pytest.approx(-60, abs=0.1)


def test_correlation_and_level_difference_are_those_of_the_target():
    at_30 = truth_of(sound(tone(0, 500), tone(30, 500)))
    assert at_30.correlation == pytest.approx(1, abs=1e-6)
    assert at_30.difference_db == pytest.approx(20 * np.log10(np.tan(np.radians(75))), abs=0.01)
    inverted = tone(0, 500) * np.array([[1], [-1]], np.float32)
    assert truth_of(sound(tone(0, 500), inverted)).correlation == pytest.approx(-1, abs=1e-6)
    silent = truth_of(sound(tone(0, 500), np.zeros((2, SAMPLES), np.float32)))
    assert np.isnan(silent.correlation)
    assert np.isnan(silent.difference_db)
