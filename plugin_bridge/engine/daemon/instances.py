"""The plugin instances of an engine as a control surface: OSC moves them and shows their meters."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Mapping, Sequence

from plugin_bridge.control.actions import ACTIONS, Action
from plugin_bridge.control.controls import REMOTE_CONTROLS, Control
from plugin_bridge.control.surface import Facts, Meters, Sound, osc_name
from plugin_bridge.control.timbre_requests import RequestQueue, Slot, TimbreChange, Vector, heard
from plugin_bridge.engine.daemon.worker_process import WorkerProcess
from plugin_bridge.engine.shared.instance_view import InstanceView


class InstanceSurface:
    """A `ControlSurface` whose instances come and go.

    An instance is called by its label, without one like its track in the host, else ``track_2``;
    another one of the same name gets its number behind it, or the next that is free. An instance
    that comes back has the number that it had.
    """

    connected = True

    def __init__(self) -> None:
        self.requests = RequestQueue()
        self._lock = threading.Lock()  # the daemon adds and removes, OSC looks
        self._numbers: dict[str, int] = {}
        self._workers: dict[str, WorkerProcess] = {}

    def add(self, worker: WorkerProcess) -> tuple[str, int]:
        """Add an instance; return its name and number."""
        with self._lock:
            number = self._number(worker.hello["uuid"])
            name = self._name_for(worker, number)
            ranked = [*self._workers.items(), (name, worker)]
            ranked.sort(key=lambda item: self._numbers[item[1].hello["uuid"]])
            self._workers = dict(ranked)
        return name, number

    def rename(self, worker: WorkerProcess) -> str:
        """Call an instance by the names of its hello; return what it is called now."""
        with self._lock:
            name = self._name_for(worker, self._number(worker.hello["uuid"]))
            self._workers = {
                name if known is worker else other: known for other, known in self._workers.items()
            }
        return name

    def remove(self, worker: WorkerProcess) -> None:
        """Remove an instance."""
        with self._lock:
            self._workers = {name: w for name, w in self._workers.items() if w is not worker}
        for name in self.requests.answers.keys() - self._workers.keys():
            self.requests.answers.pop(name, None)

    def workers(self) -> Sequence[tuple[str, WorkerProcess]]:
        """Return the names of the instances, each with its process."""
        return tuple(self._workers.items())

    @property
    def instances(self) -> Sequence[str]:
        return tuple(self._workers)

    def controls(self, instance: str) -> Mapping[str, Control]:
        return REMOTE_CONTROLS

    def value(self, instance: str, name: str) -> float:
        control, worker = REMOTE_CONTROLS[name], self._workers.get(instance)
        return worker.page.value(control.id) if worker else control.default

    def set_value(self, instance: str, name: str, value: float) -> None:
        if worker := self._workers.get(instance):
            worker.page.request(REMOTE_CONTROLS[name].id, value)

    def meters(self, instance: str) -> Meters:
        view = self._view(instance)
        return view.meters() if view else {}

    def facts(self, instance: str) -> Facts:
        worker = self._workers.get(instance)
        return worker.facts if worker else {}

    def sound(self, instance: str) -> Sound | None:
        view = self._view(instance)
        return view.sound() if view else None

    def _view(self, instance: str) -> InstanceView | None:
        worker = self._workers.get(instance)
        return InstanceView(worker.page, worker.ring) if worker and worker.ring else None

    def refresh(self, instances: Collection[str], every_s: float = 0.0) -> bool:
        return True

    def actions(self, instance: str) -> Mapping[str, Action]:
        return ACTIONS

    def timbres(self, instance: str) -> Mapping[str, str]:
        worker = self._workers.get(instance)
        return worker.timbres if worker else {}

    def timbre_vector(self, instance: str, slot: Slot) -> Vector | None:
        worker = self._workers.get(instance)
        return worker.timbre_vector(slot) if worker else None

    def change_timbre(self, change: TimbreChange) -> None:
        self._worker(change.instance).change_timbre(change.slot, change.vector, change.words)

    def listen(self, instance: str, seconds: float) -> None:
        self._worker(instance).listen(seconds)

    def pass_heard(self, worker: WorkerProcess) -> None:
        """Put on the requests what an instance has listened to, if it has."""
        rows = worker.take_heard()
        if rows is None or worker.ring is None:
            return
        for name, known in self._workers.items():
            if known is worker:
                self.requests.put(heard(name, rows, worker.ring.rate_hz))

    def _worker(self, instance: str) -> WorkerProcess:
        """Return the process of an instance. Raises ValueError if it is gone."""
        if (worker := self._workers.get(instance)) is None:
            raise ValueError("the track is not there any more")
        return worker

    def _name_for(self, worker: WorkerProcess, number: int) -> str:
        """Return its name; if another has that, with the number behind it, or the next."""
        name = worker.hello["label"] or worker.hello["track"] or f"track_{number}"
        taken = {osc_name(n) for n, other in self._workers.items() if other is not worker}
        numbered = (f"{name}_{behind}" for behind in itertools.count(number))
        return next(n for n in itertools.chain([name], numbered) if osc_name(n) not in taken)

    def _number(self, uuid: str) -> int:
        """Return the number that an instance had, or the lowest free one."""
        if uuid not in self._numbers:
            present = [worker.hello["uuid"] for worker in self._workers.values()]
            if len(self._numbers) > 4 * len(present) + 64:  # forget those that have long gone
                self._numbers = {known: self._numbers[known] for known in present}
            taken = set(self._numbers.values())
            self._numbers[uuid] = next(n for n in range(1, len(taken) + 2) if n not in taken)
        return self._numbers[uuid]
