"""Several streams of one model that take turns, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from realtime.conditions import Conditions
from realtime.model import ModelStream, Outputs


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
        found: dict[str, NDArray[np.float32]] = {}
        for start in range(min(turns, frames)):
            every, stream = slice(start, None, turns), self._streams[(first + start) % turns]
            told = {name: value[every] for name, value in conditions.items()}
            part = stream.step(np.ascontiguousarray(spectrum[every]), told)
            for name, array in part.items():
                if name not in found:
                    found[name] = np.empty((frames, *array.shape[1:]), np.float32)
                found[name][every] = array
        return found

    def reset(self) -> None:
        """Set every state to its start."""
        for stream in self._streams:
            stream.reset()
        self._next = 0
