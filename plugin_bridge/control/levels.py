"""The law of `mix`, `mode`, `gain` and `bypass`: how much of what is in a target's output.

It stands here once, for a plugin on a track, for live sound and for rendered files: the same values
of the controls give the same samples in all three.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.controls import BY_NAME
from realtime.arrays import Audio

LEVELS = ("mix", "mode", "gain", "bypass")
"""The controls of the law, in the order of the parameters of `OutputLevels`."""
UNITY = (1.0, 0.0, 0.0, 0.0)
"""Values of `LEVELS` at which the output is the target as it is."""
SILENCE_DB = BY_NAME["gain"].low
"""The lowest gain is silence, not its number of decibels."""

Level = float | NDArray[np.floating]
"""One value for all samples, or one for each (n,)."""


def amplitude(gain_db: Level) -> Level:
    """Return the factor of a gain in dB; 0 at `SILENCE_DB` and below."""
    if isinstance(gain_db, np.ndarray):
        return np.where(gain_db <= SILENCE_DB, 0.0, 10 ** (gain_db / 20))
    return 0.0 if gain_db <= SILENCE_DB else float(10 ** (gain_db / 20))


class OutputLevels:
    """Shares of the mixture x, the target t and the residual r in a target's output.

    Equations, with the values of the controls at each sample::

        output = bypass · x + (1 − bypass) · gain · ((1 − mix) · x + mix · stem)
        stem   = (1 − mode) · t + mode · r      isolate: 0, remove: 1
        other  = (1 − bypass) · gain · (mode · t + (1 − mode) · r)

    `other` is the second output of a plugin that has one. Sound is computed in float32; where all
    values are one for all samples, only the parts that count are touched, so that mix 0 at 0 dB is
    the mixture bit by bit and unity the target itself.
    """

    def __init__(self, mix: Level, mode: Level, gain_db: Level, bypass: Level) -> None:
        wet = (1 - bypass) * amplitude(gain_db)
        self._mixture = bypass + wet * (1 - mix)
        self._target, self._residual = wet * mix * (1 - mode), wet * mix * mode
        self._other_target, self._other_residual = wet * mode, wet * (1 - mode)

    def output(self, mixture: Audio, target: Audio, residual: Audio) -> Audio:
        """Return the output (channels, n) of sound of that shape; it may be one of these arrays."""
        parts = ((self._mixture, mixture), (self._target, target), (self._residual, residual))
        return _weighted(parts)

    def other(self, target: Audio, residual: Audio) -> Audio:
        """Return the second output (channels, n); it may be one of these arrays."""
        return _weighted(((self._other_target, target), (self._other_residual, residual)))


def _weighted(parts: Iterable[tuple[Level, Audio]]) -> Audio:
    """Return the sum of sounds by their shares; those with a share of 0 cost nothing."""
    total: Audio | None = None
    for share, sound in parts:
        if isinstance(share, np.ndarray):
            part = share.astype(np.float32) * sound
        elif share == 0:
            silent = sound
            continue
        else:
            part = sound if share == 1 else np.float32(share) * sound
        total = part if total is None else total + part
    return np.zeros_like(silent) if total is None else total
