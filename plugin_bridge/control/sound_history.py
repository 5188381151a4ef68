"""The last moments of a mixture and its stems, kept for those who show them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.surface import Sound
from realtime.arrays import Audio
from realtime.blocks import read_ring, write_ring

SHOWN_S = 2048 / 44_100
"""Length of a `Sound`: as long as the analysis window of most models."""
_MARGIN = 8192  # samples that may be written while somebody reads


def shown_samples(sample_rate: float) -> int:
    """Return the samples of a `Sound`, a power of two."""
    return int(2 ** round(np.log2(SHOWN_S * sample_rate)))


class SoundHistory:
    """Rings of the newest samples, written by the thread that separates and read by others.

    A reader takes no lock: what it reads is far from where is written.

    Parameters
    ----------
    latency : samples by which the stems lag behind the mixture.
    """

    def __init__(self, stems: int, latency: int, sample_rate: float) -> None:
        self._rate_hz, self._latency, self._end = sample_rate, latency, 0
        size = shown_samples(sample_rate) + latency + _MARGIN
        self._mixture = np.zeros((2, size), np.float32)
        self._stems = np.zeros((stems, 2, size), np.float32)

    def put(self, mixture: Audio, stems: NDArray[np.float32]) -> None:
        """Keep the next samples: (2, n), and (stems, 2, n) of what came `latency` earlier."""
        write_ring(self._mixture, self._end, mixture)
        write_ring(self._stems, self._end, stems)
        self._end += mixture.shape[1]

    def mixture(self, samples: int) -> Audio:
        """Return the newest samples (2, n) of the mixture; zeros before the first."""
        return read_ring(self._mixture, self._end, samples)

    def sound(self, stem: int) -> Sound:
        """Return the newest sound of a stem, beside that of all others."""
        end, samples = self._end, shown_samples(self._rate_hz)
        mixture = read_ring(self._mixture, end - self._latency, samples)
        stems = read_ring(self._stems, end, samples)
        others = np.delete(stems, stem, axis=0).sum(0)
        return Sound(end - self._latency, self._rate_hz, mixture, stems[stem], others)
