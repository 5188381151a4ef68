"""Pictures of sound: where energy is drawn, how much of it is taken, and what is measured."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from plugin_bridge.control.surface import Sound
from plugin_bridge.panel.picture import (
    N_AZIMUTHS,
    N_BANDS,
    PictureMaker,
    band_edges_hz,
    truth_of,
)

RATE_HZ, SAMPLES = 44_100, 2048


def tone(azimuth_deg, hz, level=0.05):
    angle = np.radians(azimuth_deg + 45)
    wave = level * np.sin(2 * np.pi * hz * np.arange(SAMPLES) / RATE_HZ)
    return np.stack([np.cos(angle) * wave, np.sin(angle) * wave]).astype(np.float32)


def sound(mixture, target):
    return Sound(RATE_HZ, RATE_HZ, mixture, target, mixture - target)


def drawn(mixture, target):
    """Levels and shares (bands, azimuths) of a picture, each 0 to 255."""
    picture = PictureMaker(RATE_HZ, SAMPLES)(sound(mixture, target))
    assert len(picture) == 16 + 2 * N_BANDS * N_AZIMUTHS
    assert struct.unpack_from("<f", picture)[0] == 1  # a second of sound
    cells = np.frombuffer(picture, np.uint8, offset=16).reshape(2, N_BANDS, N_AZIMUTHS)
    return cells.astype(int)


@pytest.mark.parametrize("azimuth_deg", [-45, -30, 0, 12, 45])
@pytest.mark.parametrize("hz", [60, 440, 9000])
def test_a_tone_is_drawn_at_its_azimuth_and_frequency(azimuth_deg, hz):
    levels, _ = drawn(tone(azimuth_deg, hz), tone(azimuth_deg, hz))
    band, column = np.unravel_index(levels.argmax(), levels.shape)
    assert abs(column - 45 - azimuth_deg) <= 1
    edges = band_edges_hz()
    bin_hz = RATE_HZ / SAMPLES
    assert edges[band] - bin_hz <= hz <= edges[band + 1] + bin_hz


def test_what_is_taken_is_marked_where_it_is_and_nowhere_else():
    left, right = tone(-30, 1000), tone(25, 3000)
    levels, shares = drawn(left + right, left)
    bands = np.searchsorted(band_edges_hz(), [1000, 3000]) - 1
    assert levels[bands, [15, 70]].min() > 130
    assert shares[bands[0], 15] > 250
    assert shares[bands[1], 70] < 5


def test_a_target_louder_than_the_mixture_is_all_of_it():
    _, shares = drawn(tone(0, 1000), 3 * tone(0, 1000))
    assert shares.max() == 255


def test_what_is_out_of_phase_is_drawn_at_its_louder_side():
    wave = tone(0, 1000)
    levels, _ = drawn(wave * np.array([[1], [-0.5]], np.float32), wave)
    assert levels.argmax() % N_AZIMUTHS == 0


def test_silence_is_drawn_as_nothing():
    nothing = np.zeros((2, SAMPLES), np.float32)
    levels, shares = drawn(nothing, nothing)
    assert not levels.any()
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
