"""Controls moved by hand while the sound runs, as lanes: what is played is what can be recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from plugin_bridge.automation.automation import Automation, Key
from plugin_bridge.automation.lane import Lane, Point
from plugin_bridge.automation.move_recorder import lanes_of
from plugin_bridge.control.controls import Control
from plugin_bridge.control.surface import INPUTS_BY_NAME, Meters

KEPT_S = 0.15  # of what was played stays: more than any smoothing and latency


class LiveLanes:
    """Lanes of a running stream, and the board on which they are played.

    A move takes effect with the next frame. Its lane gets a step half the smoothing time later,
    so that the ramp of `LaneConditions` begins at that frame: the recorded lanes, rendered offline
    in the same tier, give the same sound.

    Parameters
    ----------
    automation : lanes that run until a hand takes them over.
    instances : names of the targets.
    rest : values of the controls that have no lane, by target.
    frame_s : time between frames.
    parameters : controls of plugins on a stem, by target, as ``plugin/parameter``.
    meters : tells what is shown of a target.
    """

    def __init__(
        self,
        automation: Automation,
        instances: Sequence[str],
        rest: Mapping[str, Mapping[str, float]],
        frame_s: float,
        *,
        parameters: Mapping[str, Mapping[str, Control]] | None = None,
        meters: Callable[[str], Meters] = lambda instance: {},
    ) -> None:
        self.instances = tuple(instances)
        self._automation, self._rest, self._frame_s = automation, rest, frame_s
        self._parameters, self._meters = parameters or {}, meters
        self._lock = threading.Lock()
        self._moves: dict[Key, float] = {}  # since the last frame
        self._values: dict[Key, float] = {}  # of what has been moved
        self._taken: dict[Key, list[Point]] = {}  # the recent past of what has been moved
        self._lanes: dict[Key, Lane] = {}
        self._time_s, self._lost_s = -KEPT_S, 0.0
        self.record: dict[Key, list[Point]] | None = None

    def controls(self, instance: str) -> Mapping[str, Control]:
        return {**INPUTS_BY_NAME, **self._parameters.get(instance, {})}

    def value(self, instance: str, name: str) -> float:
        if (instance, name) in self._values:
            return self._values[instance, name]
        lane = self._automation.lane(instance, name)
        return float(lane.at(self._time_s)) if lane else self._start(instance, name)

    def set_value(self, instance: str, name: str, value: float) -> None:
        with self._lock:
            self._moves[instance, name] = self._values[instance, name] = value

    def meters(self, instance: str) -> Meters:
        return self._meters(instance)

    def commit_moves(self, time_s: float) -> None:
        """Put what was moved since the last frame into its lanes; called for every frame."""
        if time_s < self._time_s:
            self._begin_anew()
        with self._lock:
            moves, self._moves = self._moves, {}
        self._time_s = time_s
        for key, value in moves.items():
            self._step(key, time_s, value)

    def lane(self, target: str, name: str) -> Lane | None:
        """The lane of a control as it has been played."""
        return self._lanes.get((target, name)) or self._automation.lane(target, name)

    def parameters(self, target: str) -> list[str]:
        """Names of all parameters of plugins on a stem: any may be played."""
        return list(self._parameters.get(target, ()))

    def recorded(self) -> dict[Key, Lane]:
        """All lanes since `record` was set to an empty dictionary, with what went before a hand."""
        played = lanes_of(self.record or {})
        starts = {
            (target, name): Lane.level(value)
            for target, values in self._rest.items()
            for name, value in values.items()
        }
        return {**starts, **self._automation.lanes, **played}

    def _step(self, key: Key, time_s: float, value: float) -> None:
        control = self.controls(key[0])[key[1]]
        step_s = time_s + control.smoothing_s / 2 - self._frame_s
        if key not in self._taken:
            self._taken[key] = self._before(key, step_s)
            if self.record is not None:
                self.record[key] = list(self._taken[key])
        points = self._taken[key]
        while len(points) > 1 and points[1].time_s < time_s - KEPT_S:
            del points[0]
        point = Point(max(step_s, points[-1].time_s), value, "step")
        points.append(point)
        self._lanes[key] = _lane(points)
        if self.record is not None:
            self.record[key].append(replace(point, time_s=point.time_s + self._lost_s))

    def _before(self, key: Key, time_s: float) -> list[Point]:
        """The lane of a control up to a time, at which a hand takes it over."""
        lane = self._automation.lane(*key)
        if lane is None:
            return [Point(0.0, self._start(*key), "step")]
        past = [point for point in lane.points if point.time_s < time_s]
        return [*past, Point(time_s, float(lane.at(time_s)), "step")]

    def _begin_anew(self) -> None:
        """The stream was reset: what has been moved stays where it is, its past is gone."""
        self._lost_s += self._time_s
        for key, points in self._taken.items():
            points[:] = [Point(-KEPT_S, points[-1].value, "step")]
            self._lanes[key] = _lane(points)

    def _start(self, instance: str, name: str) -> float:
        return self._rest.get(instance, {}).get(name, self.controls(instance)[name].default)


def _lane(points: Sequence[Point]) -> Lane:
    if all(point.shape == "step" for point in points):
        return Lane.steps([point.time_s for point in points], [point.value for point in points])
    return Lane(points)
