"""Tempo maps: from beats to seconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DEFAULT_BPM = 120.0
MIN_BPM, MAX_BPM = 0.01, 10_000.0
MAX_BEAT = 1e9


class TempoMap:
    """Tempi in beats a minute, each from its beat to that of the next tempo.

    Parameters
    ----------
    changes : pairs (beat, bpm) in order; what is before the first has the first one's tempo.

    Raises
    ------
    ValueError for a tempo or a beat that is out of range, or beats out of order.
    """

    def __init__(self, changes: Sequence[tuple[float, float]] = ((0.0, DEFAULT_BPM),)) -> None:
        if not changes:
            raise ValueError("a tempo map needs at least one tempo")
        beats, bpms = (np.array(column, np.float64) for column in zip(*changes, strict=True))
        for beat, bpm in changes:
            if not (abs(beat) <= MAX_BEAT and MIN_BPM <= bpm <= MAX_BPM):  # false for NaN, too
                raise ValueError(
                    f"tempo is {bpm:g} at beat {beat:g}, expected {MIN_BPM:g} to {MAX_BPM:g} beats "
                    f"a minute, at a beat up to {MAX_BEAT:g}"
                )
        if (np.diff(beats) <= 0).any():
            raise ValueError("the tempo map goes back in time")
        lengths = np.diff(beats) * 60 / bpms[:-1]
        self._beats, self._bpms = beats, bpms
        self._starts_s = np.concatenate([[0.0], np.cumsum(lengths)])
        self._starts_s += beats[0] * 60 / bpms[0]  # beat 0 is at 0 s

    def seconds(self, beat: float) -> float:
        """Return the time of a beat in seconds from beat 0; infinity where it is beyond numbers."""
        index = max(int(np.searchsorted(self._beats, beat, side="right")) - 1, 0)
        since = (beat - float(self._beats[index])) * 60 / float(self._bpms[index])
        return float(self._starts_s[index]) + since
