"""The timbres of running targets: given anew at any time, and reached without a click."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.controls import BY_NAME
from plugin_bridge.control.timbre_requests import SLOTS, Slot
from realtime.arrays import Floats

CROSSING_S = BY_NAME["instrument"].smoothing_s
"""Time in which a timbre crosses over to another, as one instrument does to another."""


class CrossingVector:
    """A vector over time; what is set anew is reached in a straight line within `CROSSING_S`.

    `set` may be called from any thread; `at` belongs to the thread of the stream.
    """

    def __init__(self, vector: Floats) -> None:
        self._goal = self._before = self._after = vector
        self._begun_s = -math.inf

    def set(self, vector: Floats) -> None:
        """Let the next moment that is asked for be the first on the way to `vector`."""
        self._goal = vector

    def at(self, times_s: NDArray[np.float64]) -> Floats:
        """Return the vector at times in rising order: (times, size)."""
        goal = self._goal
        if goal is not self._after:
            self._before = self._mixed(times_s[:1])[0]
            self._after, self._begun_s = goal, float(times_s[0])
        return self._mixed(times_s)

    def arrive(self) -> None:
        """End the way to a vector at once, since time goes elsewhere, perhaps before its begin."""
        self._begun_s = -math.inf

    def _mixed(self, times_s: NDArray[np.float64]) -> Floats:
        if times_s[0] >= self._begun_s + CROSSING_S:
            return np.broadcast_to(self._after, (times_s.size, self._after.size))
        share = np.clip((times_s - self._begun_s) / CROSSING_S, 0, 1).astype(np.float32)[:, None]
        mixed: Floats = self._before + share * (self._after - self._before)
        return mixed


class TargetTimbres:
    """The example and the counter-example of each target, zeros where there is none.

    Parameters
    ----------
    size : numbers of a timbre, 0 for a model that takes none.
    like, unlike : unit vectors (size,) by number of the target, at the start.

    Raises
    ------
    ValueError for a vector of another size.
    """

    def __init__(
        self,
        size: int,
        like: Mapping[int, Floats] | None = None,
        unlike: Mapping[int, Floats] | None = None,
    ) -> None:
        self._nothing = np.zeros(size, np.float32)
        self._slots: dict[Slot, dict[int, CrossingVector]] = {"like": {}, "unlike": {}}
        for slot, given in zip(SLOTS, (like, unlike), strict=True):
            for target, vector in (given or {}).items():
                self._slots[slot][target] = CrossingVector(self._checked(vector))

    def set(self, target: int, slot: Slot, vector: Floats | None) -> None:
        """Give a target another timbre, None for none; from any thread.

        Raises ValueError for a vector of another size.
        """
        goal = self._nothing if vector is None else self._checked(vector)
        track = self._slots[slot].get(target)
        if track is None:
            track = CrossingVector(self._nothing)
            track.set(goal)
            self._slots[slot] = {**self._slots[slot], target: track}  # whole, for a reader
        else:
            track.set(goal)

    def at(self, slot: Slot, times_s: NDArray[np.float64]) -> dict[int, Floats]:
        """Return the vectors (times, size) of the targets that have or had one, by number."""
        return {target: track.at(times_s) for target, track in self._slots[slot].items()}

    def arrive(self) -> None:
        """Let all be where they are on their way to; belongs to the thread of the stream."""
        for tracks in self._slots.values():
            for track in tracks.values():
                track.arrive()

    def _checked(self, vector: Floats) -> Floats:
        if vector.shape != self._nothing.shape:
            raise ValueError(
                f"a timbre has {vector.size} numbers, the model takes {self._nothing.size}: make "
                "it anew with the model's encoder"
            )
        return vector
