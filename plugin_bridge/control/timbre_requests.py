"""What is asked of a target's timbre while it sounds, and what answers it.

An example is read and encoded, and what was heard is encoded, beside the audio: in the process of
the servers, or in the engine's daemon. The audio gets a vector, and gives sound to learn from.
"""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Audio

Slot = Literal["like", "unlike"]
SLOTS: tuple[Slot, ...] = ("like", "unlike")
Vector = NDArray[np.float32]
"""A timbre: of length 1, (size,)."""
MAX_PENDING = 64


@dataclass(frozen=True)
class Request:
    """An action of `controls.ACTIONS` with its arguments, asked of an instance.

    Parameters
    ----------
    names_files : whether its texts may name files of this machine, or timbres of the library alone.
    """

    instance: str
    action: str
    arguments: tuple[str, ...] | tuple[float, ...]
    names_files: bool = True


@dataclass(frozen=True, eq=False)
class Heard:
    """What an instance sounded like: target and residual (2, samples) of the same moments."""

    instance: str
    target: Audio
    residual: Audio
    sample_rate: float


@dataclass(frozen=True, eq=False)
class TimbreChange:
    """A timbre for an instance from now on: a unit vector (size,), or None for none.

    Parameters
    ----------
    words : what it was made of, for people.
    """

    instance: str
    slot: Slot
    vector: NDArray[np.float32] | None
    words: str = ""


class RequestQueue:
    """Requests and what was heard, in order; who asks never waits."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Request | Heard | None] = queue.Queue(MAX_PENDING)
        self.answers: dict[str, str] = {}
        """What became of the last request, in words, by instance."""

    def put(self, item: Request | Heard | None) -> bool:
        """Append an item, None as the last one; return False if there are too many already."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            return False
        return True

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to take."""
        return self._queue.empty()

    def get(self) -> Request | Heard | None:
        """Wait for the next item and return it."""
        return self._queue.get()

    def take_all(self) -> list[Request | Heard]:
        """Return what there is, without waiting."""
        items = []
        while not self._queue.empty():
            if (item := self._queue.get()) is not None:
                items.append(item)
        return items


class SoundCapture:
    """Keeps the sound of a target, and of all else, from when it is asked for.

    Who asks and who takes may be in other threads than the one that puts, which never waits and
    does nothing where nobody has asked.
    """

    def __init__(self) -> None:
        self._asked: NDArray[np.float32] | None = None  # rows to fill, by who asks
        self._seen: NDArray[np.float32] | None = None  # of `_asked`, by the thread that puts
        self._rows: NDArray[np.float32] | None = None  # that are being filled
        self._filled = 0
        self._is_ended = False
        self._done: NDArray[np.float32] | None = None

    def begin(self, rows: NDArray[np.float32]) -> None:
        """Fill rows (samples, 4) with the sound from now on: target left and right, residual."""
        self._is_ended = False
        self._asked = rows

    def end(self) -> None:
        """Let the next samples be the last: the rows are full then, and as many as are filled."""
        self._is_ended = True

    @property
    def is_asked(self) -> bool:
        """Return whether `put` has something to do."""
        return self._rows is not None or self._asked is not self._seen

    def put(self, target: Audio, residual: Audio) -> bool:
        """Take the next samples, each (2, n); return whether the rows have just become full."""
        asked = self._asked
        if asked is not self._seen:
            self._rows, self._seen, self._filled = asked, asked, 0
        rows = self._rows
        if rows is None:
            return False
        end = min(self._filled + target.shape[1], len(rows))
        count = end - self._filled
        rows[self._filled : end, :2] = target[:, :count].T
        rows[self._filled : end, 2:] = residual[:, :count].T
        self._filled = end
        if end < len(rows) and not self._is_ended:
            return False
        self._rows, self._done = None, rows[:end]
        return True

    def take(self) -> NDArray[np.float32] | None:
        """Return the rows that have become full, once; None if there are none."""
        done, self._done = self._done, None
        return done


def heard(instance: str, rows: NDArray[np.float32], sample_rate: float) -> Heard:
    """Return captured rows (samples, 4) as sound."""
    columns = np.ascontiguousarray(rows.T)
    return Heard(instance, columns[:2], columns[2:], sample_rate)
