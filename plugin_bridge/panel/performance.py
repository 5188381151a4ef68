"""A performance: how controls move, recorded as lanes from a press of a button to the next."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from plugin_bridge.automation.lane import Lane, Point
from plugin_bridge.automation.move_log import MoveLog
from realtime.errors import StemsteerError

Values = Mapping[str, Mapping[str, float]]
"""By instance and control."""


class Performance:
    """Writes what moves into a file of lanes in `folder`, whose name is the time of its beginning.

    Whoever moves it is recorded: a browser, OSC, automation. Times are seconds from the beginning,
    or those of the file that is played; where that goes back, the performance is over. Without a
    move there is no file.

    `attend` and `turn` belong to one thread; `told` and `lanes` may be asked by any.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._log: MoveLog | None = None
        self._path = self._folder
        self._values: dict[tuple[str, str], float] = {}
        self._moved: set[tuple[str, str]] = set()
        self._begun_s = self._newest_s = 0.0
        self._n_moves = 0
        self._message = ""

    @property
    def runs(self) -> bool:
        """Return whether something is recorded now."""
        return self._log is not None

    def told(self) -> dict[str, object]:
        """Return what browsers are told: whether it runs, where it is, in words."""
        there = self._log is None and self._path != self._folder
        return {"recording": self.runs, "message": self._message, "there": there}

    def lanes(self) -> tuple[str, bytes] | None:
        """Return the name and the contents of the last file that was finished."""
        if self._log is not None or self._path == self._folder:
            return None
        try:
            return self._path.name, self._path.read_bytes()
        except OSError:  # somebody has moved it
            return None

    def turn(self, wanted: bool, values: Values, position_s: float | None = None) -> None:
        """Begin or end; `position_s` is where the file is that is played, if there is one."""
        if wanted == self.runs:
            return
        if not wanted:
            self.end()
            return
        self._begun_s = time.monotonic() if position_s is None else 0.0
        self._newest_s = self._time_s(position_s)
        self._values = {(i, name): v for i, row in values.items() for name, v in row.items()}
        self._moved, self._n_moves = set(), 0
        try:
            self._path = self._free_path()
            log = MoveLog(self._path)
            log.start({key: Lane.level(value) for key, value in self._values.items()})
        except StemsteerError as error:
            self._path, self._message = self._folder, str(error)
            return
        self._log, self._message = log, f"recording to {self._path}"

    def attend(self, values: Values, position_s: float | None = None) -> None:
        """Record what has moved since the last time."""
        if self._log is None:
            return
        now_s = self._time_s(position_s)
        if now_s < self._newest_s:
            self.end()
            return
        self._newest_s = now_s
        for instance, row in values.items():
            for name, value in row.items():
                if self._values.get((instance, name)) != value:
                    self._move(self._log, (instance, name), Point(now_s, value, "step"))

    def _move(self, log: MoveLog, key: tuple[str, str], point: Point) -> None:
        if key not in self._moved:
            self._moved.add(key)
            log.take_over(key, [Point(0.0, self._values.get(key, point.value), "step")])
        self._values[key] = point.value
        log.add(key, point)
        self._n_moves += 1

    def end(self) -> None:
        """Finish the file, if one is being written."""
        log, self._log = self._log, None
        if log is None:
            return
        if not self._n_moves:
            log.discard()
            self._path, self._message = self._folder, "nothing has moved, so there is no file"
            return
        try:
            log.close()
            self._message = f"{self._n_moves} moves in {self._path}"
        except StemsteerError as error:
            self._message = str(error)

    def _time_s(self, position_s: float | None) -> float:
        return time.monotonic() - self._begun_s if position_s is None else position_s

    def _free_path(self) -> Path:
        stem = time.strftime("lanes-%Y-%m-%d-%H%M%S")
        path, number = self._folder / f"{stem}.csv", 1
        while path.exists():
            number += 1
            path = self._folder / f"{stem}-{number}.csv"
        return path
