"""What is shown of the sound: the levels of stems, and the directions of a mixture."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.controls import DIRECTIONS
from realtime.arrays import Audio

AVERAGE_S = 0.1
"""Time over which levels are averaged, seconds."""
HISTOGRAM_SAMPLES = 2048
"""Newest samples of the mixture whose directions are shown."""
SILENCE_POWER = 1e-12  # -120 dB


class StemLevels:
    """Mean power of each stem over the last `AVERAGE_S`, by an exponential average.

    Parameters
    ----------
    powers : (stems,) where the averages are kept; a new array if None.
    """

    def __init__(
        self, stems: int, sample_rate: float, powers: NDArray[np.floating] | None = None
    ) -> None:
        self._powers: NDArray[np.floating] = np.zeros(stems) if powers is None else powers
        self._average = AVERAGE_S * sample_rate

    def update(self, stems: NDArray[np.float32]) -> None:
        """Take the newest samples (stems, channels, n) into the averages."""
        weight = min(1.0, stems.shape[2] / self._average)
        for index, stem in enumerate(stems):
            flat = stem.ravel()
            power = float(np.dot(flat, flat)) / flat.size
            self._powers[index] += weight * (power - self._powers[index])

    @property
    def db(self) -> list[float]:
        """Return the level of each stem, dB of full scale; -120 is silence."""
        return decibels(self._powers)


def decibels(powers: NDArray[np.floating]) -> list[float]:
    """Return mean powers as dB of full scale, at least -120."""
    levels: list[float] = (10 * np.log10(np.maximum(powers, SILENCE_POWER))).tolist()
    return levels


@functools.lru_cache(4)
def _window(samples: int) -> NDArray[np.float64]:
    return np.hanning(samples)


def direction_histogram(mixture: Audio) -> NDArray[np.float64]:
    """Return the shares of the energy of (2, n) samples by direction.

    Returns
    -------
    `DIRECTIONS` shares from -45 deg to 45 deg; a bin is at atan2(|R|, |L|) - 45 deg. All are 0
    where there is silence.
    """
    left, right = np.abs(np.fft.rfft(mixture * _window(mixture.shape[1])))
    azimuth_deg = np.degrees(np.arctan2(right, left)) - 45
    energy = left**2 + right**2
    place = np.minimum((azimuth_deg + 45) * DIRECTIONS / 90, DIRECTIONS - 1).astype(np.intp)
    shares = np.bincount(place, energy, DIRECTIONS)
    total = shares.sum()
    return shares / total if total > SILENCE_POWER else np.zeros(DIRECTIONS)
