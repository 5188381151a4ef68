"""A control surface that records every move with its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from plugin_bridge.automation.lane import Point
from plugin_bridge.automation.move_log import MoveLog
from plugin_bridge.control.surface import MemorySurface

APART_S = 0.002  # points of a recording are at least so far apart


class MoveRecorder(MemorySurface):
    """A surface that writes every move to a log, with the time since the first one.

    Parameters
    ----------
    log : started, and closed by who made it.
    clock : seconds.
    """

    def __init__(
        self, instances: Sequence[str], log: MoveLog, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(instances)
        self._log, self._clock = log, clock
        self._begun_s: float | None = None
        self._order = threading.Lock()  # a move that is later than another is so in its lane, too

    def set_value(self, instance: str, name: str, value: float) -> None:
        super().set_value(instance, name, value)
        with self._order:
            now_s = self._clock()
            if self._begun_s is None:
                self._begun_s = now_s
            point = Point(now_s - self._begun_s, value, "step")
            self._log.add((instance, name), point, apart_s=APART_S)
