"""What is sent of a moment of sound: of each bin its direction, its energy, how much is taken.

Directions are those of a light wave's polarisation, as in `offline/scan.py`: with
S0 = |L|² + |R|², S1 = |L|² − |R|² and S2 = 2 Re(L R*), azimuth = atan2(S2, S1) / 2 − 45°. Where
several sounds are in a bin, its direction is none of theirs and P = √(S1² + S2²) / S0 is less than
1: it counts by P¹². All of it comes out of one transform Z of l + ir: where N is its length,
S1 + iS2 = Z[k] Z[N − k] and 2 S0 = |Z[k]|² + |Z[N − k]|². The browser makes the field of azimuth by
frequency of it. A picture is made thirty times a second by a process that sleeps between them, so
its time is that of calls and of memory not at hand, and there are few of both.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.surface import Sound

N_AZIMUTHS, N_BANDS = 91, 48
"""Columns that are drawn, one a degree from -45 to 45, and bands of frequency."""
LOWEST_HZ, HIGHEST_HZ = 50.0, 16_000.0
FLOOR_DB, TOP_DB = -120.0, 0.0
"""Levels of a bin that are sent as 0 and as 255; a full-scale sine in one channel has 0."""
SILENCE_DB = -200.0
TRUTH_EVERY = 3
"""Pictures from one measurement to the next: numbers are read, not watched."""
_TINY = 1e-20
_PER_NEPER = np.float32(255 / (TOP_DB - FLOOR_DB) * 10 / math.log(10))
_OFFSET = np.float32(-255 * FLOOR_DB / (TOP_DB - FLOOR_DB) + _PER_NEPER * math.log(2**11))
"""To a level of 0 dB at S0 = 1: 2 S0 (P / 2)^12 is smaller by a factor of 2^11."""
_HEADER = struct.Struct("<5f")  # seconds of the sound's end, null, correlation, difference, bin_hz


@dataclass(frozen=True)
class Truth:
    """What can be checked of a moment of sound.

    Parameters
    ----------
    null_db : RMS of target + residual − mixture, full scale is 0; it should be rounding alone.
    correlation : of the target's channels, -1 to 1; NaN in silence.
    difference_db : level of its right channel over its left one; NaN in silence.
    """

    null_db: float
    correlation: float
    difference_db: float


def truth_of(sound: Sound) -> Truth:
    """Measure a moment of sound."""
    left, right = sound.target
    power_left, power_right = float(np.vdot(left, left)), float(np.vdot(right, right))
    error = sound.target + sound.residual - sound.mixture
    null_db = 10 * math.log10(max(float(np.vdot(error, error)) / error.size, _TINY))
    null_db = max(null_db, SILENCE_DB)
    if power_left + power_right < left.size * 1e-10:
        return Truth(null_db, float("nan"), float("nan"))
    correlation = float(np.vdot(left, right)) / (math.sqrt(power_left * power_right) + _TINY)
    difference_db = 10 * math.log10((power_right + _TINY) / (power_left + _TINY))
    return Truth(null_db, correlation, min(max(difference_db, -60.0), 60.0))


class PictureMaker:
    """Make pictures of the sound of one instance, of one rate and length.

    Equation: a picture is `_HEADER`, then of every bin from the first to `HIGHEST_HZ` its
    direction, 128 + 128/π atan2(S2, S1), then their levels, then shares of the target, each a byte.
    """

    def __init__(self, rate_hz: float, samples: int) -> None:
        self.rate_hz, self.samples = rate_hz, samples
        window = np.hanning(samples)
        self._window = (window * 2 / window.sum()).astype(np.float32)
        self._both = np.empty((2, samples), np.complex64)
        self._n_made, self._truth = 0, Truth(SILENCE_DB, math.nan, math.nan)
        self._bin_hz = rate_hz / samples
        self._n_bins = min(int(HIGHEST_HZ / self._bin_hz + 0.5), samples // 2 - 1)

    def __call__(self, sound: Sound) -> bytes:
        """Return the picture of a sound."""
        real, imaginary, bins = self._both.real, self._both.imag, self._n_bins
        for row, (left, right) in enumerate((sound.mixture, sound.target)):
            np.multiply(left, self._window, out=real[row])
            np.multiply(right, self._window, out=imaginary[row])
        spectra = np.fft.fft(self._both).astype(np.complex64, copy=False)  # is that; types err
        energy = np.square(spectra.real) + np.square(spectra.imag)
        power, target = energy[:, 1 : bins + 1] + energy[:, : -bins - 1 : -1]  # 2 S0
        power += np.float32(_TINY)
        stokes = spectra[0, 1 : bins + 1] * spectra[0, : -bins - 1 : -1]  # S1 + iS2
        sure = np.abs(stokes) / power  # P / 2
        sure *= sure
        counts = sure * sure * sure  # (P / 2)^6
        directions, levels, shares = drawn = np.empty((3, bins), np.float32)
        np.arctan2(stokes.imag, stokes.real, out=directions)
        directions *= np.float32(128 / np.pi)
        directions += 128
        # log: unlike log10, numpy has it for many numbers at once
        np.log(power * counts * counts + np.float32(_TINY), out=levels)
        levels *= _PER_NEPER
        levels += _OFFSET
        np.divide(target, power, out=shares)
        shares *= 255
        drawn += 0.5
        pixels = np.minimum(np.maximum(drawn, 0), 255).astype(np.uint8)
        return self._header(sound) + pixels.tobytes()

    def _header(self, sound: Sound) -> bytes:
        if self._n_made % TRUTH_EVERY == 0:
            self._truth = truth_of(sound)
        self._n_made += 1
        truth = self._truth
        return _HEADER.pack(
            sound.end / sound.sample_rate,
            truth.null_db,
            truth.correlation,
            truth.difference_db,
            self._bin_hz,
        )


def levels_of(picture: bytes) -> NDArray[np.uint8]:
    """Return the levels of the bins of a picture."""
    levels: NDArray[np.uint8] = np.frombuffer(picture, np.uint8, offset=_HEADER.size).reshape(
        3, -1
    )[1]
    return levels


def band_edges_hz() -> list[float]:
    """Return the lower edges of the bands, and the upper one of the last."""
    return [round(float(edge), 1) for edge in np.geomspace(LOWEST_HZ, HIGHEST_HZ, N_BANDS + 1)]
