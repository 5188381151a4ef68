"""A file of lanes that grows while controls are moved, so that a crash loses a second at most."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from plugin_bridge.automation.automation import Key
from plugin_bridge.automation.formats.text import TITLES, csv_text, point_rows
from plugin_bridge.automation.lane import Lane, Point
from plugin_bridge.claim import Claim
from plugin_bridge.control.controls import HOST_ONLY
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError

FLUSH_S = 0.5
"""Longest time between a move and its line on the disk, beside the disk's own."""


class MoveLog:
    """Lines of lanes, each on the disk soon after its move; after every line it is a whole file.

    First come the lanes that hold until they are moved, then what is moved, in order of time. A
    thread writes: who moves a control never waits for the disk.

    Parameters
    ----------
    path : a .csv. If it is there and to be replaced, that is done by `close`: until then the lines
        are in ``.csv.part``, which a crash leaves and which can be renamed.

    Raises
    ------
    StemsteerError if it is there and not to be replaced by `force`; from `start`, if it cannot be
    written, or another process writes it, whatever `force`; from `close`, if lines could not.
    """

    def __init__(self, path: Path, *, force: bool = False) -> None:
        self._path, self._force = path, force
        self._file = self._free_file()
        self._claim: Claim | None = None  # from `start` to the end
        self._is_made = False
        self._lock = threading.Lock()
        self._pending: list[tuple[Key, Point]] = []
        self._newest: dict[Key, int] = {}  # place in `_pending` of the last point of a lane
        self._lanes: dict[Key, Lane] = {}  # that hold until they are moved
        self._is_stale = False  # a lane of these has been moved: it is to be written anew
        self._head_bytes = self._bytes = 0  # of titles and lanes; of whole lines
        self._quit = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stemsteer-moves", daemon=True)
        self.n_points = 0
        self.fault = ""

    def start(self, lanes: Mapping[Key, Lane]) -> None:
        """Write the lanes that hold until they are moved, and begin to write moves."""
        self._lanes = {key: lane for key, lane in lanes.items() if key[1] not in HOST_ONLY}
        self._claim = Claim(self._path)
        try:
            self._file = self._free_file()  # once more: another may have ended meanwhile
            self._write_head()
        except BaseException as error:
            self._claim.release()
            if not isinstance(error, OSError):
                raise
            raise StemsteerError(f"{self._file} cannot be written: {error.strerror}") from error
        self._thread.start()

    def take_over(self, key: Key, past: Iterable[Point]) -> None:
        """Write the past of a lane that is moved from now on; its own later points are void."""
        with self._lock:
            lane = self._lanes.get(key)
            if lane is not None and lane.constant is None:
                del self._lanes[key]
                self._is_stale = True
        for point in past:
            self.add(key, point)

    def add(self, key: Key, point: Point, *, apart_s: float = 0.0) -> None:
        """Add a point; one that follows closer than `apart_s` takes the place of the last."""
        if key[1] in HOST_ONLY:
            return
        with self._lock:
            place = self._newest.get(key)
            if place is not None and point.time_s - self._pending[place][1].time_s < apart_s:
                kept = Point(self._pending[place][1].time_s, point.value, point.shape)
                self._pending[place] = (key, kept)
                return
            self._newest[key] = len(self._pending)
            self._pending.append((key, point))
            self.n_points += 1

    def close(self) -> None:
        """Write what is left; from now on the file is called `path`."""
        self._end()
        with self._claim or contextlib.nullcontext():
            self._flush()
            if self.fault:
                raise StemsteerError(f"{self._file}: moves could not be written: {self.fault}")
            if self._file != self._path:
                os.replace(self._file, self._path)

    def discard(self) -> None:
        """Leave no file: there is nothing that its moves belong to."""
        self._end()
        with self._claim or contextlib.nullcontext():
            if self._is_made:
                self._file.unlink(missing_ok=True)

    def _free_file(self) -> Path:
        """Return the file to write until `close`, which is not the one that is to be replaced."""
        part = self._path.with_name(f"{self._path.name}.part")
        for taken in (self._path, part):
            if taken.exists() and not self._force:
                raise StemsteerError(f"{taken} is there already; replace it with --force")
        return part if self._path.exists() else self._path

    def _end(self) -> None:
        self._quit.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._quit.wait(FLUSH_S):
            self._flush()

    def _flush(self) -> None:
        """Write what has been added; what the disk does not take is tried again the next time."""
        with self._lock:
            rows, self._pending, self._newest = self._pending, [], {}
            is_stale, self._is_stale = self._is_stale, False
        try:
            if is_stale:
                self._write_head()
            if rows:
                self._append(
                    csv_text(row for key, point in rows for row in point_rows(key, [point]))
                )
            self.fault = ""
        except OSError as error:
            self.fault = error.strerror or str(error)
            with self._lock:
                self._is_stale = self._is_stale or is_stale
                self._pending = [*rows, *self._pending]
                self._newest = {}

    def _append(self, text: str) -> None:
        """Write whole lines behind the last whole one, and wait until the disk has them."""
        data = text.encode()
        with self._file.open("r+b", buffering=0) as file:
            file.truncate(self._bytes)  # half a line that a full disk left
            file.seek(self._bytes)
            if file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        self._bytes += len(data)

    def _write_head(self) -> None:
        """Write titles and lanes, and behind them the lines that are there already."""
        with self._lock:
            rows = [
                row for key, lane in self._lanes.items() for row in point_rows(key, lane.points)
            ]
        head = csv_text([TITLES, *sorted(rows, key=lambda row: float(row[0]))]).encode()
        replace = self._is_made or self._file != self._path
        with atomic_write(self._file, replace=replace) as hidden, hidden.open("wb") as file:
            file.write(head)
            if self._bytes:
                with self._file.open("rb") as old:
                    old.seek(self._head_bytes)
                    shutil.copyfileobj(old, file)
        self._is_made = True
        self._bytes += len(head) - self._head_bytes
        self._head_bytes = len(head)
