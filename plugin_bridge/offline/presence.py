"""Targets that are silent where they are known not to sound, without a loss of the sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Audio

Pairs = Iterator[tuple[Audio, NDArray[np.float32]]]
"""Mixture (channels, n) and stems (stems, channels, n), in step with each other."""
Stretches = Sequence[tuple[float, float]]
"""Start and end of each, seconds."""
FADE_IN_S, FADE_OUT_S = 0.5, 1.5
"""Before a stretch and after it: an attack is not cut, and what rings on dies away.

`scan` tells times to half a second."""


def within_stretches(pairs: Pairs, stretches_s: Sequence[Stretches], sample_rate: float) -> Pairs:
    """Fade targets out where they do not sound; what is taken from one is in the residual.

    Parameters
    ----------
    stretches_s : of each target, where it sounds; none: throughout.
    """
    if not any(stretches_s):
        yield from pairs
        return
    position = 0
    for mixture, stems in pairs:
        out = stems.copy()
        for target, stretches in enumerate(stretches_s):
            if stretches:
                gain = presence(stretches, position, mixture.shape[1], sample_rate)
                out[target] *= gain
                out[-1] += stems[target] - out[target]
        position += mixture.shape[1]
        yield mixture, out


def presence(
    stretches_s: Stretches, first_sample: int, samples: int, sample_rate: float
) -> NDArray[np.float32]:
    """Return the gains (samples,): 1 in the stretches, 0 away from them, sin² in between."""
    time_s = (first_sample + np.arange(samples)) / sample_rate
    first_s, last_s = first_sample / sample_rate, (first_sample + samples) / sample_rate
    way = np.zeros(samples)
    for start_s, end_s in stretches_s:
        if start_s - FADE_IN_S < last_s and end_s + FADE_OUT_S > first_s:
            rise = 1 + (time_s - start_s) / FADE_IN_S
            fall = 1 - (time_s - end_s) / FADE_OUT_S
            np.maximum(way, np.minimum(rise, fall), out=way)
    return np.square(np.sin(np.pi / 2 * np.clip(way, 0, 1))).astype(np.float32)
