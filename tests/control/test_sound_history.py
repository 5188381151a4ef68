"""The newest sound that is kept to be shown: aligned, whole, and of the right length."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_bridge.control.sound_history import SoundHistory, shown_samples

RATE_HZ, LATENCY = 44_100, 300


def count_up(first, samples):
    """Two channels that count samples from `first` on; nothing before sample 0."""
    row = np.maximum(np.arange(first, first + samples), 0)
    return np.stack([row, -row]).astype(np.float32)


@pytest.mark.parametrize("block", [1, 7, 256, 4096])
def test_stems_and_mixture_are_of_the_same_moment(block):
    history, position = SoundHistory(3, LATENCY, RATE_HZ), 0
    while position < 20_000:
        delayed = count_up(position - LATENCY, block)
        history.put(count_up(position, block), np.stack([delayed, 2 * delayed, 3 * delayed]))
        position += block
    sound = history.sound(1)
    assert sound.end == position - LATENCY
    np.testing.assert_array_equal(sound.mixture, count_up(sound.end - 2048, 2048))
    np.testing.assert_array_equal(sound.target, 2 * sound.mixture)
    np.testing.assert_array_equal(sound.residual, 4 * sound.mixture)  # the other two together
    np.testing.assert_array_equal(history.mixture(500), count_up(position - 500, 500))


def test_before_the_first_sample_there_is_silence():
    history = SoundHistory(2, LATENCY, RATE_HZ)
    assert not history.sound(0).mixture.any()
    history.put(np.ones((2, 64), np.float32), np.ones((2, 2, 64), np.float32))
    np.testing.assert_array_equal(history.mixture(100)[0], [0] * 36 + [1] * 64)


@pytest.mark.parametrize(("rate_hz", "samples"), [(44_100, 2048), (48_000, 2048), (96_000, 4096)])
def test_what_is_shown_is_as_long_at_every_rate(rate_hz, samples):
    assert shown_samples(rate_hz) == samples
