"""Lanes of controls that are moved while the sound runs: what sounds is what can be recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from plugin_bridge.automation.automation import Automation, Key
from plugin_bridge.automation.lane import Lane, Point
from plugin_bridge.automation.move_log import MoveLog
from plugin_bridge.control.actions import ACTIONS, Action
from plugin_bridge.control.controls import REMOTE_CONTROLS, Control
from plugin_bridge.control.surface import Facts, Meters, Sound
from plugin_bridge.control.timbre_requests import RequestQueue, Slot, TimbreChange, Vector
from plugin_bridge.control.timbres_live import LiveTimbres

KEPT_S = 0.15
"""Of the past of a moved lane so much stays: more than smoothing and half a window reach."""
BEFORE_S = 10.0
"""By more than any latency: no frame lies so long before the sample that comes in with it."""


class LiveLanes:
    """Lanes of a running stream, and the control surface that moves them.

    A move takes effect with the next frame. Its lane gets a step half the smoothing time later,
    so that the ramp of `LaneConditions` begins at that frame: the recorded lanes, rendered offline
    in the same tier, give the same sound. Times are those of what is recorded: where the stream
    skips sound they go on, and where it starts anew they go back by its latency, never further.

    Parameters
    ----------
    automation : lanes that run until they are moved.
    instances : names of the targets.
    rest : values of the controls that have no lane, by target.
    frame_s : time between frames.
    parameters : controls of plugins on a stem, by target, as ``plugin/parameter``.
    left_out : controls of the table that do nothing here, so that there are none.
    meters, sound : give the meters and the newest sound of a target.
    facts : of all targets.
    timbres : of the targets; None if there are none to be had.
    log : where the lanes are recorded, `MoveLog.start`ed with `lanes_at_start`.
    """

    connected = True

    def __init__(
        self,
        automation: Automation,
        instances: Sequence[str],
        rest: Mapping[str, Mapping[str, float]],
        frame_s: float,
        *,
        parameters: Mapping[str, Mapping[str, Control]] | None = None,
        left_out: Collection[str] = (),
        meters: Callable[[str], Meters] = lambda instance: {},
        sound: Callable[[str], Sound | None] = lambda instance: None,
        facts: Facts | None = None,
        timbres: LiveTimbres | None = None,
        log: MoveLog | None = None,
    ) -> None:
        self.instances = tuple(instances)
        self._automation, self._rest, self._frame_s = automation, rest, frame_s
        self._inputs = {n: row for n, row in REMOTE_CONTROLS.items() if n not in left_out}
        self._parameters, self._meters, self._log = parameters or {}, meters, log
        self._sound, self._facts = sound, facts or {}
        self._timbres = timbres or LiveTimbres(())
        self._lock = threading.Lock()
        self._moves: dict[Key, float] = {}  # since the last frame
        self._values: dict[Key, float] = {}  # of what has been moved
        self._points: dict[Key, list[Point]] = {}  # the recent past of what has been moved
        self._lanes: dict[Key, Lane] = {}
        self._time_s = 0.0

    def controls(self, instance: str) -> Mapping[str, Control]:
        return {**self._inputs, **self._parameters.get(instance, {})}

    def value(self, instance: str, name: str) -> float:
        if (instance, name) in self._values:
            return self._values[instance, name]
        lane = self._automation.lane(instance, name)
        return float(lane.at(self._time_s)) if lane else self._start(instance, name)

    def set_value(self, instance: str, name: str, value: float) -> None:
        with self._lock:
            self._moves[instance, name] = self._values[instance, name] = value

    @property
    def moved(self) -> Collection[Key]:
        """Return the controls that have been moved since the start."""
        return tuple(self._values)

    @property
    def changed_timbres(self) -> Mapping[tuple[str, Slot], TimbreChange]:
        """Return the last change of each timbre since the start, by target and slot."""
        return self._timbres.changes

    def meters(self, instance: str) -> Meters:
        return self._meters(instance)

    def facts(self, instance: str) -> Facts:
        return self._facts

    def sound(self, instance: str) -> Sound | None:
        return self._sound(instance)

    def refresh(self, instances: Collection[str], every_s: float = 0.0) -> bool:
        return True

    def actions(self, instance: str) -> Mapping[str, Action]:
        return ACTIONS

    @property
    def requests(self) -> RequestQueue:
        return self._timbres.requests

    def timbres(self, instance: str) -> Mapping[str, str]:
        words = dict(self._timbres.words(instance))
        if (instance, "instrument") in self._values:
            words.pop("instruments", None)
        return words

    def timbre_vector(self, instance: str, slot: Slot) -> Vector | None:
        change = self._timbres.changes.get((instance, slot))
        return change.vector if change else None

    def change_timbre(self, change: TimbreChange) -> None:
        self._timbres.change(change)

    def listen(self, instance: str, seconds: float) -> None:
        self._timbres.listen(instance, seconds)

    def commit_moves(self, time_s: float) -> None:
        """Put what was moved since the last frame into its lanes; called for every frame."""
        self._time_s = time_s
        if not self._moves:
            return
        with self._lock:
            moves, self._moves = self._moves, {}
        for key, value in moves.items():
            self._step(key, time_s, value)

    def hold(self, time_s: float) -> None:
        """Let what has been moved stay as it is, since time is to go on from `time_s`.

        Called in the thread of the stream. A lane that nobody has moved is followed there.
        """
        for key, points in self._points.items():
            points[:] = [Point(time_s - BEFORE_S, points[-1].value, "step")]
            self._lanes[key] = _lane(points)

    def lane(self, target: str, name: str) -> Lane | None:
        """Return the lane of a control as it has been moved."""
        return self._lanes.get((target, name)) or self._automation.lane(target, name)

    def parameters(self, target: str) -> list[str]:
        """Return the names of all parameters of plugins on a stem: any may be moved."""
        return list(self._parameters.get(target, ()))

    def lanes_at_start(self) -> dict[Key, Lane]:
        """Return the lanes that hold until they are moved."""
        starts = {
            (target, name): Lane.level(value)
            for target, values in self._rest.items()
            for name, value in values.items()
        }
        return {**starts, **self._automation.lanes}

    def _step(self, key: Key, time_s: float, value: float) -> None:
        control = self.controls(key[0])[key[1]]
        step_s = time_s + control.smoothing_s / 2 - self._frame_s
        if key not in self._points:
            self._points[key] = self._before(key, step_s)
            if self._log:
                self._log.take_over(key, self._points[key])
        points = self._points[key]
        while len(points) > 1 and points[1].time_s < time_s - KEPT_S:
            del points[0]
        point = Point(max(step_s, points[-1].time_s), value, "step")
        points.append(point)
        self._lanes[key] = _lane(points)
        if self._log:
            self._log.add(key, point)

    def _before(self, key: Key, time_s: float) -> list[Point]:
        """Return the points of a lane up to a time, at which a move takes it over."""
        lane = self._automation.lane(*key)
        if lane is None:
            return [Point(0.0, self._start(*key), "step")]
        past = [point for point in lane.points if point.time_s < time_s]
        return [*past, Point(time_s, float(lane.at(time_s)), "step")]

    def _start(self, instance: str, name: str) -> float:
        return self._rest.get(instance, {}).get(name, self.controls(instance)[name].default)


def _lane(points: Sequence[Point]) -> Lane:
    if all(point.shape == "step" for point in points):
        return Lane.steps([point.time_s for point in points], [point.value for point in points])
    return Lane(points)
