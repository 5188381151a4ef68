"""A surface that keeps every move with its time, as lanes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from plugin_bridge.automation.automation import Key, make_lane
from plugin_bridge.automation.lane import Lane, Point
from plugin_bridge.control.controls import HOST_ONLY
from plugin_bridge.control.surface import MemorySurface

APART_S = 0.002  # points of a recording are at least so far apart


class MoveRecorder(MemorySurface):
    """A board that keeps every move with its time, from the first move on."""

    def __init__(
        self, instances: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(instances)
        self._clock, self._begun_s = clock, -1.0
        self._played: dict[Key, list[Point]] = {}

    def set_value(self, instance: str, name: str, value: float) -> None:
        super().set_value(instance, name, value)
        now_s = self._clock()
        self._begun_s = now_s if self._begun_s < 0 else self._begun_s
        add(self._played.setdefault((instance, name), []), now_s - self._begun_s, value)

    @property
    def points(self) -> int:
        return sum(map(len, self._played.values()))

    def lanes(self) -> dict[Key, Lane]:
        """What was played until now."""
        return lanes_of(self._played)


def add(points: list[Point], time_s: float, value: float) -> None:
    """Append a step; one that follows too closely takes the place of the last."""
    point = Point(time_s, value, "step")
    if len(points) > 1 and time_s - points[-1].time_s < APART_S:
        points[-1] = Point(points[-1].time_s, value, "step")
    else:
        points.append(point)


def lanes_of(played: Mapping[Key, Sequence[Point]]) -> dict[Key, Lane]:
    """Lanes of what was played, but not of what only a plugin's host can turn."""
    moved = {key: points for key, points in played.items() if key[1] not in HOST_ONLY}
    return {key: make_lane(key[1], points) for key, points in moved.items()}
