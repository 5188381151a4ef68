"""What is drawn of a moment of sound: energy by azimuth and frequency, and how much is taken.

Directions are those of a light wave's polarisation, as in `offline/scan.py`: with
S0 = |L|² + |R|², S1 = |L|² − |R|² and S2 = 2 Re(L R*), azimuth = atan2(S2, S1) / 2 − 45°. Where
several sounds are in a bin, its direction is none of theirs and P = √(S1² + S2²) / S0 is less than
1: it counts by P¹². A bin's energy goes to the bands that it overlaps, so that low bands,
narrower than a bin, are not empty.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.surface import Sound

N_AZIMUTHS = 91
"""Columns, one a degree from -45 to 45."""
N_BANDS = 48
LOWEST_HZ, HIGHEST_HZ = 50.0, 16_000.0
FLOOR_DB, TOP_DB = -100.0, 0.0
"""Levels of a cell that are drawn as 0 and as 255."""
TILT_DB, TILTED_AROUND_HZ = 3.0, 1000.0
"""By so much a band counts more than one an octave lower: music falls by that."""
BLUR = (0.403, 0.244, 0.0545)
"""Of a column, and of those one and two beside it: a Gaussian with a deviation of 1 degree."""
SILENCE_DB = -200.0
_TINY = 1e-20
_HEADER = struct.Struct("<4f")  # seconds of the sound's end, null, correlation, difference

Floats = NDArray[np.float32]


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
        window = np.hanning(samples)
        self._window = (window * 2 / window.sum()).astype(np.float32)
        frequencies = np.arange(samples // 2 + 1) * rate_hz / samples
        self._bins, self._bands, self._weights = _overlaps(frequencies, rate_hz / samples)
        self._highest = int(self._bins.max()) + 1

    def __call__(self, sound: Sound) -> bytes:
        """Return the picture of a sound."""
        both = np.concatenate([sound.mixture, sound.target])
        spectra = np.fft.rfft(both * self._window)[:, : self._highest]
        powers = np.square(spectra.real) + np.square(spectra.imag)
        (left, right), power = spectra[:2], powers[0] + powers[1]
        s1 = powers[0] - powers[1]
        s2 = 2 * (left.real * right.real + left.imag * right.imag)
        sure = (s1 * s1 + s2 * s2) / (power * power + np.float32(_TINY))  # P²
        sure *= sure * sure
        counts = sure * sure  # P to the power of 12
        taken = np.minimum(powers[2] + powers[3], power)
        levels, shares = self._grids(_columns(s1, s2), power * counts, taken * counts)
        level_db = np.float32(10 / math.log(10)) * np.log(levels + np.float32(_TINY))
        drawn = (level_db - FLOOR_DB) / (TOP_DB - FLOOR_DB), shares / (levels + np.float32(_TINY))
        truth = truth_of(sound)
        header = _HEADER.pack(
            sound.end / sound.sample_rate, truth.null_db, truth.correlation, truth.difference_db
        )
        return header + np.clip(255 * np.stack(drawn) + 0.5, 0, 255).astype(np.uint8).tobytes()

    def _grids(self, columns: NDArray[np.intp], *powers: Floats) -> Floats:
        """Return powers (bins,) by band and azimuth: (of them, `N_BANDS`, `N_AZIMUTHS`)."""
        size = N_BANDS * N_AZIMUTHS
        cells = self._bands * N_AZIMUTHS + columns[self._bins]
        weights = np.stack(powers)[:, self._bins] * self._weights
        grids = [np.bincount(cells, each, size) for each in weights]
        return _blurred(np.array(grids, np.float32).reshape(-1, N_BANDS, N_AZIMUTHS))


def _columns(s1: Floats, s2: Floats) -> NDArray[np.intp]:
    """Return the column of each bin; what is out of phase goes to its louder side."""
    place = np.arctan2(s2, s1) * np.float32(90 / np.pi)  # -90 to 90: -45 deg is 0
    place = np.where(place < 0, np.where(s1 > 0, 0, N_AZIMUTHS - 1), place)
    return np.rint(place).astype(np.intp)


def band_edges_hz() -> list[float]:
    """Return the lower edges of the bands, and the upper one of the last."""
    return [round(float(edge), 1) for edge in np.geomspace(LOWEST_HZ, HIGHEST_HZ, N_BANDS + 1)]


def _overlaps(
    frequencies: NDArray[np.float64], bin_hz: float
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
    return bins, bands, weights.astype(np.float32)


def _blurred(grids: Floats) -> Floats:
    """Blur rows by `BLUR`: a product with a matrix would wake the threads of the linear algebra."""
    blurred: Floats = BLUR[0] * grids
    for reach in (1, 2):
        part = BLUR[reach] * grids
        blurred[..., reach:] += part[..., :-reach]
        blurred[..., :-reach] += part[..., reach:]
    return blurred
