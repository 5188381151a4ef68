"""A control surface seen from another process: a proxy over there, and what relays it here.

Moves go over at most once every two milliseconds, with the last value of each control; values and
meters come back when somebody has asked. A move costs the process that plays a wake-up of one
thread, however many of them there are.
"""

from __future__ import annotations

import math
import select
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection

from plugin_bridge.control.controls import Control
from plugin_bridge.control.surface import ControlSurface, MemorySurface, Meters

GATHER_S = 0.002
"""What is moved within this time goes over together."""
REFRESH_S = 0.1
"""Between two looks at the surface when nobody asks."""
STALE_S = 0.01
"""Meters that are older are asked for anew."""
Values = dict[tuple[str, str], float]
Snapshot = tuple[Values, dict[str, Meters]]
Controls = Mapping[str, Mapping[str, Control]]


class SurfaceProxy(MemorySurface):
    """The surface of another process; the thread that attends to it carries what goes to and fro.

    Parameters
    ----------
    pipe : to `relay` in the other process.
    controls : of every instance there.

    `closed` is set when the other side has ended.
    """

    def __init__(self, pipe: Connection, controls: Controls) -> None:
        super().__init__(list(controls))
        self._pipe, self._controls = pipe, controls
        self._moves: Values = {}  # since the last that went over
        self._meters: dict[str, Meters] = {}
        self._asked, self._received_s, self._sent_s = False, 0.0, -math.inf
        self.closed = threading.Event()

    def controls(self, instance: str) -> Mapping[str, Control]:
        return self._controls[instance]

    def value(self, instance: str, name: str) -> float:
        return self._values.get((instance, name), self._controls[instance][name].default)

    def set_value(self, instance: str, name: str, value: float) -> None:
        with self._lock:
            self._values[instance, name] = self._moves[instance, name] = value

    def meters(self, instance: str) -> Meters:
        if time.monotonic() - self._received_s > STALE_S:
            self._asked = True
        return self._meters.get(instance, {})

    def fileno(self) -> int:
        """Return the descriptor on which the other side answers."""
        return self._pipe.fileno()

    def due_in_s(self) -> float:
        """Return the time until what has been moved or asked is to go over."""
        pause_s = GATHER_S if self._moves or self._asked else REFRESH_S
        return self._sent_s + pause_s - time.monotonic()

    def attend(self) -> None:
        """Take the newest snapshot, send what has been moved and asked since the last time.

        An answer waits for the next turn: a wake-up costs more than what it would be fresher.
        """
        try:
            while not self.closed.is_set() and select.select([self._pipe], [], [], 0)[0]:
                self._take(self._pipe.recv())
            if self.due_in_s() <= 0:
                with self._lock:
                    moves, self._moves = self._moves, {}
                asked, self._asked = self._asked or not moves, False
                self._sent_s = time.monotonic()
                self._pipe.send((moves, asked))
        except (EOFError, OSError):
            self.closed.set()

    def _take(self, snapshot: Snapshot | None) -> None:
        if snapshot is None:
            self.closed.set()
            return
        values, self._meters = snapshot
        with self._lock:
            self._values.update({k: v for k, v in values.items() if k not in self._moves})
        self._received_s = time.monotonic()


def relay(surface: ControlSurface, pipe: Connection) -> None:
    """Apply moves that come from a `SurfaceProxy`, and answer with a snapshot when asked.

    Returns when the other side says that it ends. Raises EOFError or OSError if it does not say so.
    """
    while (message := pipe.recv()) is not None:
        moves, asked = message
        for (instance, name), value in moves.items():
            surface.set_value(instance, name, value)
        if asked:
            pipe.send(snapshot_of(surface))


def snapshot_of(surface: ControlSurface) -> Snapshot:
    """Return all values and meters of a surface."""
    values = {
        (instance, name): surface.value(instance, name)
        for instance in surface.instances
        for name in surface.controls(instance)
    }
    return values, {instance: surface.meters(instance) for instance in surface.instances}
