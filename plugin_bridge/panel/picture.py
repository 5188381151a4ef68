"""What is drawn of a moment of sound: energy by azimuth and frequency, and how much is taken.

Directions are those of a light wave's polarisation, as in `offline/scan.py`: with S1 = |L|² − |R|²
and S2 = 2 Re(L R*), azimuth = atan2(S2, S1) / 2 − 45°. A bin's energy goes to the bands that it
overlaps, so that low bands, narrower than a bin, are not empty.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.surface import Sound
from realtime.stft import Audio

N_AZIMUTHS = 91
"""Columns, one a degree from -45 to 45."""
N_BANDS = 48
LOWEST_HZ, HIGHEST_HZ = 50.0, 16_000.0
FLOOR_DB, TOP_DB = -100.0, 0.0
"""Levels of a cell that are drawn as 0 and as 255."""
TILT_DB, TILTED_AROUND_HZ = 3.0, 1000.0
"""By so much a band counts more than one an octave lower: music falls by that."""
BLUR_DEG = 1.0  # standard deviation
SILENCE_DB = -200.0
_TINY = 1e-20
_HEADER = struct.Struct("<4f")  # seconds of the sound's end, null, correlation, difference

Floats = NDArray[np.float64]


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
    left, right = sound.target.astype(np.float64)
    power_left, power_right = float(left @ left), float(right @ right)
    error = sound.target + sound.residual - sound.mixture
    null_db = 10 * math.log10(max(float(np.mean(np.square(error, dtype=np.float64))), _TINY))
    null_db = max(null_db, SILENCE_DB)
    if power_left + power_right < left.size * 1e-10:
        return Truth(null_db, float("nan"), float("nan"))
    correlation = float(left @ right) / (math.sqrt(power_left * power_right) + _TINY)
    difference_db = 10 * math.log10((power_right + _TINY) / (power_left + _TINY))
    return Truth(null_db, correlation, min(max(difference_db, -60.0), 60.0))


class PictureMaker:
    """Make pictures of sound of one rate and length.

    Equation: a picture is `_HEADER`, then levels (`N_BANDS`, `N_AZIMUTHS`), then shares of the
    target of the same shape, each a byte; bands from low to high.
    """

    def __init__(self, rate_hz: float, samples: int) -> None:
        self.rate_hz, self.samples = rate_hz, samples
        self._window = np.hanning(samples).astype(np.float32)
        frequencies = np.arange(samples // 2 + 1) * rate_hz / samples
        self._bins, self._bands, self._weights = _overlaps(frequencies, rate_hz / samples)
        self._blur = _gaussian(N_AZIMUTHS, BLUR_DEG)

    def __call__(self, sound: Sound) -> bytes:
        """Return the picture of a sound."""
        left, right = self._spectra(sound.mixture)
        power = _power(left) + _power(right)
        taken = np.minimum(sum(map(_power, self._spectra(sound.target))), power)
        s1 = _power(left) - _power(right)
        s2 = 2 * (left.real * right.real + left.imag * right.imag)
        azimuth_deg = np.degrees(np.arctan2(s2, s1)) / 2 - 45
        outside = azimuth_deg < -45  # out of phase: to the nearer side
        azimuth_deg[outside] = np.where(s1[outside] > 0, -45, 45)
        columns = np.rint(azimuth_deg + 45).astype(np.intp)
        levels, shares = self._grid(columns, power), self._grid(columns, taken)
        truth = truth_of(sound)
        header = _HEADER.pack(
            sound.end / sound.sample_rate, truth.null_db, truth.correlation, truth.difference_db
        )
        level_db = 10 * np.log10(levels + _TINY)
        share = shares / (levels + _TINY)
        return b"".join(
            [header, _bytes((level_db - FLOOR_DB) / (TOP_DB - FLOOR_DB)), _bytes(share)]
        )

    def _spectra(self, audio: Audio) -> NDArray[np.complex64]:
        spectra = np.fft.rfft(audio * self._window) * np.float32(2 / self._window.sum())
        return spectra.astype(np.complex64, copy=False)

    def _grid(self, columns: NDArray[np.intp], power: NDArray[np.float32]) -> Floats:
        """Return the power by band and azimuth (`N_BANDS`, `N_AZIMUTHS`)."""
        cells = self._bands * N_AZIMUTHS + columns[self._bins]
        weights = power[self._bins] * self._weights
        grid = np.bincount(cells, weights, N_BANDS * N_AZIMUTHS)
        blurred: Floats = grid.reshape(N_BANDS, N_AZIMUTHS) @ self._blur
        return blurred


def band_edges_hz() -> list[float]:
    """Return the lower edges of the bands, and the upper one of the last."""
    return [round(float(edge), 1) for edge in np.geomspace(LOWEST_HZ, HIGHEST_HZ, N_BANDS + 1)]


def _overlaps(
    frequencies: Floats, bin_hz: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Return which bin goes to which band, and with what weight."""
    edges = np.geomspace(LOWEST_HZ, HIGHEST_HZ, N_BANDS + 1)
    low = np.maximum(frequencies[:, None] - bin_hz / 2, edges[None, :-1])
    high = np.minimum(frequencies[:, None] + bin_hz / 2, edges[None, 1:])
    share = np.maximum(high - low, 0) / bin_hz
    bins, bands = np.nonzero(share)
    octaves = np.log2(edges[bands] / TILTED_AROUND_HZ)
    width_hz = edges[bands + 1] - edges[bands]  # a density: else a narrow band would be dark
    density = np.maximum(bin_hz / width_hz, 1.0)
    weights = share[bins, bands] * density * 10 ** (TILT_DB * octaves / 10)
    return bins, bands, weights


def _gaussian(size: int, deviation: float) -> Floats:
    """Return the matrix (size, size) that blurs rows; each of its rows sums to one."""
    offsets = np.arange(size)[:, None] - np.arange(size)[None, :]
    kernel = np.exp(-0.5 * (offsets / deviation) ** 2)
    blur: Floats = kernel / kernel.sum(1, keepdims=True)
    return blur


def _power(spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
    return spectrum.real**2 + spectrum.imag**2


def _bytes(share: Floats) -> bytes:
    return np.clip(share * 255 + 0.5, 0, 255).astype(np.uint8).tobytes()
