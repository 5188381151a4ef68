"""Frames of one call that are for several streams, or for several steps of one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from realtime.conditions import Conditions, Outputs

if TYPE_CHECKING:
    from realtime.model import ModelStream

Step = Callable[[NDArray[np.float32], Conditions], Outputs]


class TakingTurns:
    """A stream of frames that a model sees as `len(streams)` streams, each of every so many frames.

    Equation: frame k is a step of stream k mod n. So a model that was trained on frames a hop apart
    runs on frames a fraction of that hop apart, and remembers what it has learned to remember.

    Parameters
    ----------
    streams : of one model, as many as there are turns.
    """

    def __init__(self, streams: Sequence[ModelStream]) -> None:
        self._streams, self._next = list(streams), 0

    def step(self, spectrum: NDArray[np.float32], conditions: Conditions) -> Outputs:
        """See `ModelStream.step`."""
        frames, turns = spectrum.shape[0], len(self._streams)
        first, self._next = self._next, (self._next + frames) % turns
        if frames == 1:
            return self._streams[first].step(spectrum, conditions)
        return in_turns([stream.step for stream in self._streams], first, spectrum, conditions)

    def reset(self) -> None:
        """Set every state to its start."""
        for stream in self._streams:
            stream.reset()
        self._next = 0


def in_turns(
    steps: Sequence[Step], first: int, spectrum: NDArray[np.float32], conditions: Conditions
) -> Outputs:
    """Advance by frames of which the first is for step `first`, and each next one for the next.

    Every step is called once at most, with all of its frames.
    """
    frames, turns = spectrum.shape[0], len(steps)
    found: dict[str, NDArray[np.float32]] = {}
    for start in range(min(turns, frames)):
        every = slice(start, None, turns)
        own = {name: value[every] for name, value in conditions.items()}
        part = steps[(first + start) % turns](np.ascontiguousarray(spectrum[every]), own)
        for name, array in part.items():
            if name not in found:
                found[name] = np.empty((frames, *array.shape[1:]), np.float32)
            found[name][every] = array
    return found


def cuts_between(kinds: NDArray[Any]) -> list[int]:
    """Return the frames of which something is of another kind than in the frame before.

    kinds (frames, ...), of a frame as a whole or of each of its targets.
    """
    changes = kinds[1:] != kinds[:-1]
    return [int(k) + 1 for k in np.flatnonzero(changes.any(tuple(range(1, changes.ndim))))]


def in_parts(
    step: Step, spectrum: NDArray[np.float32], conditions: Conditions, cuts: Sequence[int]
) -> Outputs:
    """Step from cut to cut, so that how frames come in calls changes nothing."""
    parts: list[Outputs] = []
    for first, last in itertools.pairwise([0, *cuts, spectrum.shape[0]]):
        own = {name: value[first:last] for name, value in conditions.items()}
        found = step(spectrum[first:last], own)
        parts.append({name: array.copy() for name, array in found.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
