"""What hands outside have moved, and what they are shown: a page of memory for each audio process.

The daemon makes it and hears the hands; the audio process looks at it once a hop, without a system
call. Each field has one writer: the daemon `moves` and `wanted`, the audio process the rest. What a
process has left on its page when it ended is put on that of its successor.
"""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plugin_bridge.control.metering import decibels
from plugin_bridge.engine.shared.ring import VALUES

Held = dict[int, tuple[float, float]]  # by control: its value, and the plugin's parameter then

_PAGE = np.dtype(
    [
        ("moves", "<u4", (VALUES,)),  # of each control so far; counted after `wanted` is stored
        ("wanted", "<f4", (VALUES,)),
        ("taken", "<u4", (VALUES,)),  # of the moves
        ("values", "<f4", (VALUES,)),
        ("held", "?", (VALUES,)),  # by a hand: not by the plugin nor a lane
        ("asked", "<f4", (VALUES,)),  # the plugin's parameters; NaN: not known yet
        ("powers", "<f4", (2,)),  # of target and residual
        ("activity", "<f4"),  # NaN: the model does not tell
    ]
)


class ControlPage:
    """The page, mapped; `fd` is its file descriptor.

    Parameters
    ----------
    fd : of a page that another process has made; None makes one.
    """

    def __init__(self, fd: int | None = None) -> None:
        self.fd = os.memfd_create("stemsteer-hands", os.MFD_CLOEXEC) if fd is None else fd
        if fd is None:
            os.ftruncate(self.fd, _PAGE.itemsize)
        self._memory = mmap.mmap(self.fd, _PAGE.itemsize)
        self._page: Any = np.frombuffer(self._memory, _PAGE)[0]
        self._moves = memoryview(self._memory)[: 4 * VALUES]  # the page's first field
        self._seen = b""
        if fd is None:
            self._page["activity"] = self._page["asked"] = np.nan

    def play(self, control: int, value: float) -> None:
        """Move a control."""
        self._page["wanted"][control] = value
        self._page["moves"][control] += 1

    def value(self, control: int) -> float:
        """Where a control is, or is asked to go."""
        page = self._page
        waits = page["moves"][control] != page["taken"][control]
        return float(page["wanted" if waits else "values"][control])

    def held(self) -> Held:
        """What hands have moved that neither the plugin nor a lane has taken back."""
        page = self._page
        held = page["held"] | (page["moves"] != page["taken"])
        controls = map(int, np.flatnonzero(held))
        return {k: (self.value(k), float(page["asked"][k])) for k in controls}

    def inherit(self, held: Held) -> None:
        """Begin with what was `held`; before an audio process looks at the page."""
        for control, (value, asked) in held.items():
            self._page["values"][control] = value
            self._page["asked"][control] = asked
            self._page["held"][control] = True

    @property
    def levels_db(self) -> tuple[float, float]:
        """RMS of target and residual of late, full scale is 0."""
        target, residual = decibels(self.powers)
        return target, residual

    @property
    def activity(self) -> float | None:
        """How surely the target plays, if the model tells."""
        value = float(self._page["activity"])
        return None if np.isnan(value) else value

    def moved(self) -> list[tuple[int, float]]:
        """Controls that have been moved since the last call, and where to."""
        seen = self._moves.tobytes()
        if seen == self._seen:
            return []
        self._seen = seen
        moves = np.frombuffer(seen, "<u4")
        news = np.flatnonzero(moves != self._page["taken"])
        wanted = [(int(k), float(self._page["wanted"][k])) for k in news]
        self._page["taken"] = moves
        return wanted

    def show(self, values: ArrayLike, held: ArrayLike, asked: ArrayLike) -> None:
        """Say where the controls are, which of them hands hold, and the plugin's parameters."""
        self._page["values"], self._page["held"], self._page["asked"] = values, held, asked

    @property
    def powers(self) -> NDArray[np.float32]:
        """Return the mean powers (2,) of target and residual, which the audio process averages."""
        powers: NDArray[np.float32] = self._page["powers"]
        return powers

    def show_activity(self, activity: float) -> None:
        """Publish how surely the target plays, 0 to 1."""
        self._page["activity"] = activity

    def close(self) -> None:
        """Close the file descriptor; the memory goes with the object."""
        os.close(self.fd)
