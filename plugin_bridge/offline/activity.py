"""When each target of a file plays, as far as its model tells: the activity of system 5."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime import Separator

EVERY_S = 0.1
PLAYS = 0.5
"""Activity above which a target plays, in the median of `AROUND` values, as in system 5."""
AROUND = 5


@dataclass(frozen=True)
class Activity:
    """How surely a target plays, 0 to 1: the mean of each `every_s` seconds of a file.

    Parameters
    ----------
    stretches_s : start and end of the stretches in which it plays.
    """

    every_s: float
    values: tuple[float, ...]
    stretches_s: tuple[tuple[float, float], ...]


class ActivityLog:
    """Keeps what a separator's model tells of its targets, from now on.

    Parameters
    ----------
    stems : name of the stem that each target of the separator belongs to.
    """

    def __init__(self, separator: Separator, stems: Sequence[str]) -> None:
        self._stems, self._rate_hz = list(stems), separator.sample_rate
        self._tier = separator.tier
        self._sums = np.zeros((0, len(self._stems)))
        self._counts = np.zeros(0)
        separator.on_activity = self._take

    def of(self, stem: str, duration_s: float) -> Activity | None:
        """Return the activity of a stem over the file; None if the model does not tell it.

        A stem of several targets plays as surely as the one of them that plays most surely.
        """
        pieces = min(math.ceil(duration_s / EVERY_S), self._counts.size)
        own = [k for k, name in enumerate(self._stems) if name == stem]
        if not own or not pieces:
            return None
        values = self._sums[:pieces, own].max(1) / np.maximum(self._counts[:pieces], 1)
        return Activity(EVERY_S, tuple(np.round(values, 2).tolist()), _stretches(values))

    def _take(self, first_frame: int, activity: NDArray[np.float32]) -> None:
        """Add the activity (frames, targets) of frames to the pieces of time that they lie in.

        What lies before the start of the file is left out.
        """
        start, hops = self._tier.position_of(first_frame), np.arange(len(activity))
        times_s = (start + hops * self._tier.hop) / self._rate_hz
        activity, times_s = activity[times_s >= 0], times_s[times_s >= 0]
        pieces = np.floor(times_s / EVERY_S).astype(int)
        more = pieces.max(initial=-1) + 1 - self._counts.size
        if more > 0:
            self._sums = np.pad(self._sums, ((0, more), (0, 0)))
            self._counts = np.pad(self._counts, (0, more))
        np.add.at(self._sums, pieces, activity)
        np.add.at(self._counts, pieces, 1)


def _stretches(values: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Return start and end, seconds, of where the median of values around is above `PLAYS`."""
    around = np.pad(values, AROUND // 2)  # silence before and after: no blink at the ends
    plays = np.median(np.lib.stride_tricks.sliding_window_view(around, AROUND), axis=1) > PLAYS
    edges = np.flatnonzero(np.diff(np.concatenate([[0], plays.astype(int), [0]])))
    times_s = [round(float(edge) * EVERY_S, 1) for edge in edges]
    return tuple(zip(times_s[::2], times_s[1::2], strict=True))
