"""The control page: memory by which the daemon moves an audio process' controls and reads meters.

The daemon makes one for each audio process and writes requests on it; the process looks at it once
a hop, without a system call. Each field has one writer: the daemon `requests` and `requested`, the
audio process the rest. Until it has had sound, a page tells the controls of the process before, or
their defaults.
"""

from __future__ import annotations

import mmap
import os
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plugin_bridge.control.controls import CONTROLS
from plugin_bridge.control.metering import decibels
from plugin_bridge.engine.shared.ring import VALUES
from realtime.blocks import read_ring, write_ring
from realtime.errors import StemsteerError

Overrides = dict[int, tuple[float, float]]
"""By id of an overridden control: its value, and what the plugin's parameter was then."""


class PageControls(NamedTuple):
    """What a page tells of its controls, for that of the next process: (`VALUES`,) by id."""

    values: NDArray[np.float32]
    overrides: Overrides


STEM_SAMPLES = 16_384
"""Of the newest sound so much stays: what is shown of it at 192 kHz, and time to read it."""
_PAGE = np.dtype(
    [
        ("layout", "<u4"),  # `LAYOUT` of who made the page
        ("requests", "<u4", (VALUES,)),  # of each control so far; counted after `requested`
        ("requested", "<f4", (VALUES,)),
        ("taken", "<u4", (VALUES,)),  # of the requests
        ("values", "<f4", (VALUES,)),
        ("overridden", "?", (VALUES,)),  # set from outside: not by the plugin nor a lane
        ("host_values", "<f4", (VALUES,)),  # the plugin's parameters; NaN: not known yet
        ("powers", "<f4", (2,)),  # of target and residual
        ("activity", "<f4"),  # NaN: the model does not tell
        ("stems_from", "<i8"),  # position of the first of `stems` since the last jump
        ("stems_end", "<i8"),  # position behind the newest; counted after them
        ("stems", "<f4", (4, STEM_SAMPLES)),  # target and residual, left and right; a ring
    ]
)

LAYOUT = zlib.crc32(repr(_PAGE.descr).encode())
"""Of the page's fields: another one where its maker is of another version than its reader."""


class ControlPage:
    """The page, mapped; `fd` is its file descriptor.

    Parameters
    ----------
    fd : of a page that another process has made; None makes one.
    writable : False for who only looks.

    Raises
    ------
    StemsteerError if the page is not one of this version.
    """

    def __init__(self, fd: int | None = None, *, writable: bool = True) -> None:
        self.fd = os.memfd_create("stemsteer-controls", os.MFD_CLOEXEC) if fd is None else fd
        if fd is None:
            os.ftruncate(self.fd, _PAGE.itemsize)
            os.pwrite(self.fd, LAYOUT.to_bytes(4, "little"), 0)
        _check(self.fd)
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._memory = mmap.mmap(self.fd, _PAGE.itemsize, access=access)
        self._page: Any = np.frombuffer(self._memory, _PAGE)[0]
        begin = _PAGE.fields["requests"][1]  # type: ignore[index]
        self._requests = memoryview(self._memory)[begin : begin + 4 * VALUES]
        self._stems: NDArray[np.float32] = self._page["stems"]
        self._seen = b""
        self._taken: NDArray[np.uint32] = self._page["taken"].copy()
        if fd is None:
            self._page["activity"] = self._page["host_values"] = np.nan
            for control in CONTROLS:
                self._page["values"][control.id] = control.default

    def request(self, control: int, value: float) -> None:
        """Ask the audio process to set a control."""
        self._page["requested"][control] = value
        self._page["requests"][control] += 1

    def value(self, control: int) -> float:
        """Return where a control is, or is asked to go."""
        page = self._page
        pending = page["requests"][control] != page["taken"][control]
        return float(page["requested" if pending else "values"][control])

    def overrides(self) -> Overrides:
        """Return the controls overridden from outside, with value and host value."""
        page = self._page
        overridden = page["overridden"] | (page["requests"] != page["taken"])
        controls = map(int, np.flatnonzero(overridden))
        return {k: (self.value(k), float(page["host_values"][k])) for k in controls}

    def controls(self) -> PageControls:
        """Return where all controls are, or are asked to go, and the overridden ones."""
        page = self._page
        values = np.where(page["requests"] != page["taken"], page["requested"], page["values"])
        return PageControls(values, self.overrides())

    def inherit(self, controls: PageControls) -> None:
        """Begin with the controls of another page; before an audio process looks at this one."""
        self._page["values"] = controls.values
        for control, (_, host_value) in controls.overrides.items():
            self._page["host_values"][control] = host_value
            self._page["overridden"][control] = True

    @property
    def levels_db(self) -> tuple[float, float]:
        """Return the recent RMS of target and residual, dB of full scale."""
        target, residual = decibels(self.powers)
        return target, residual

    @property
    def activity(self) -> float | None:
        """Return how surely the target plays, 0 to 1; None if the model does not tell."""
        value = float(self._page["activity"])
        return None if np.isnan(value) else value

    def take_requests(self) -> list[tuple[int, float]]:
        """Return the controls requested since the last call, with the values they are to have.

        They count as taken only with the next `publish`: if the process crashes before, its
        successor takes them, and until then nobody is told the values of before.
        """
        seen = self._requests.tobytes()  # one copy: a comparison of arrays would cost ten times it
        if seen == self._seen:
            return []
        self._seen = seen
        requests = np.frombuffer(seen, "<u4")
        pending = np.flatnonzero(requests != self._page["taken"])
        taken = [(int(k), float(self._page["requested"][k])) for k in pending]
        self._taken = requests
        return taken

    def publish(self, values: ArrayLike, overridden: ArrayLike, host_values: ArrayLike) -> None:
        """Tell the daemon the controls' values, which are overridden, the plugin's parameters."""
        page = self._page
        page["values"], page["overridden"], page["host_values"] = values, overridden, host_values
        page["taken"] = self._taken  # last: from here on `values` are told

    @property
    def powers(self) -> NDArray[np.float32]:
        """Return the mean powers (2,) of target and residual, which the audio process averages."""
        powers: NDArray[np.float32] = self._page["powers"]
        return powers

    def publish_activity(self, activity: float) -> None:
        """Tell the daemon how surely the target plays, 0 to 1."""
        self._page["activity"] = activity

    def publish_stems(self, stems: NDArray[np.float32], end: int) -> None:
        """Tell who looks the newest stems (2, 2, n), target and residual, before position `end`.

        It takes 3 µs a hop, 12 with cold caches.
        """
        page, samples = self._page, stems.shape[2]
        if page["stems_end"] != end - samples:
            page["stems_from"] = end - samples
        write_ring(self._stems, end - samples, stems.reshape(4, samples))
        page["stems_end"] = end

    def newest_stems(self, samples: int) -> tuple[NDArray[np.float32], int] | None:
        """Return the newest stems (2, 2, samples) and the position behind them.

        None if there are not so many since the start or the last jump.
        """
        end = int(self._page["stems_end"])
        stems = read_ring(self._stems, end, samples).reshape(2, 2, samples)
        return (stems, end) if end - samples >= self._page["stems_from"] else None

    def close(self) -> None:
        """Close the file descriptor; the memory goes with the object."""
        os.close(self.fd)


def _check(fd: int) -> None:
    layout = int.from_bytes(os.pread(fd, 4, 0), "little")
    if os.fstat(fd).st_size != _PAGE.itemsize or layout != LAYOUT:
        raise StemsteerError("the engine that runs is of another version: restart the engine")
