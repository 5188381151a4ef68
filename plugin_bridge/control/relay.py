"""The end of a `SurfaceProxy` in the process that plays: applies moves, answers with snapshots."""

from __future__ import annotations

import math
import select
import time
from collections.abc import Iterable
from multiprocessing.connection import Connection

from plugin_bridge.control.remote import (
    LEASE_S,
    METERS_EVERY,
    Listen,
    Refusal,
    Snapshot,
    Stream,
    TimbreWords,
    Values,
)
from plugin_bridge.control.servers import FaultReport, Report
from plugin_bridge.control.surface import ControlSurface
from plugin_bridge.control.timbre_requests import TimbreChange


def relay(surface: ControlSurface, pipe: Connection, report: Report) -> None:
    """Apply what comes from a `SurfaceProxy`, and answer with snapshots when asked.

    What is asked here of timbres, and heard, goes over with the answers, and so does why a change
    was refused. An exception in the surface is told, once of each kind, and ends nothing else.
    Returns when the other side says that it ends. Raises EOFError or OSError if it does not say so.
    """
    told: Values = {}
    pace, faults = _Pace(), FaultReport(report)
    for instance in surface.instances:
        pipe.send(TimbreWords(instance, surface.timbres(instance)))
    while True:
        is_message = bool(select.select([pipe], [], [], pace.wait_s())[0])
        for item in surface.requests.take_all():
            pipe.send(item)
        if not is_message:
            if pace.stream:
                meters = pace.brings_meters
                pipe.send(_answer(surface, pace.stream.heard, told, faults, meters=meters))
                pace.step()
            continue
        if (message := pipe.recv()) is None:
            return
        if isinstance(message, (TimbreChange, Listen)):
            refusal = None
            with faults.survived(surface):
                refusal = _apply(surface, message)
            if refusal:
                pipe.send(refusal)
            continue
        moves, heard, stream = message
        for (instance, name), value in moves.items():
            with faults.survived(surface):
                surface.set_value(instance, name, value)
            told.pop((instance, name), None)  # over there it may be another by now
        if heard is not None:
            pipe.send(_answer(surface, heard, told, faults))
        pace.follow(stream)


class _Pace:
    """When the next snapshot of a stream is due; the first at once, none after the lease."""

    def __init__(self) -> None:
        self.stream: Stream | None = None
        self._due_s = self._until_s = -math.inf
        self._n_sent = 0

    def follow(self, stream: Stream | None) -> None:
        """Go on with a stream, or begin with another one."""
        now_s = time.monotonic()
        if stream != self.stream:
            self.stream, self._due_s, self._n_sent = stream, now_s, 0
        self._until_s = now_s + LEASE_S

    def wait_s(self) -> float | None:
        """Return the time until the next one is due; None if none is."""
        now_s = time.monotonic()
        if self.stream is None or now_s > self._until_s:
            self.stream = None
            return None
        return max(0.0, self._due_s - now_s)

    @property
    def brings_meters(self) -> bool:
        """Return whether the next one has meters."""
        return self._n_sent % METERS_EVERY == 0

    def step(self) -> None:
        """Note that one has gone; what is late is left out."""
        self._n_sent += 1
        if self.stream:
            self._due_s = max(self._due_s + self.stream.every_s, time.monotonic())


def _apply(surface: ControlSurface, change: TimbreChange | Listen) -> Refusal | None:
    """Do what is asked of a timbre; return why it was not done, None if it was."""
    what = change.slot if isinstance(change, TimbreChange) else "learn"
    try:
        if isinstance(change, TimbreChange):
            surface.change_timbre(change)
        else:
            surface.listen(change.instance, change.seconds)
    except ValueError as error:
        words = surface.timbres(change.instance)
        return Refusal(change.instance, f"{what}: {error}", words)
    return None


def _answer(
    surface: ControlSurface,
    heard: Iterable[str],
    told: Values,
    faults: FaultReport,
    *,
    meters: bool = True,
) -> Snapshot:
    """Return the snapshot of a surface; where that fails one without news, and all with the next.

    The other side waits for an answer, and would ask no more without one.
    """
    with faults.survived(surface):
        return snapshot_of(surface, heard, told, meters=meters)
    told.clear()
    return Snapshot({}, {}, {})


def snapshot_of(
    surface: ControlSurface, heard: Iterable[str], told: Values, *, meters: bool = True
) -> Snapshot:
    """Return a snapshot with the sound of `heard`, and the values that differ from those `told`.

    `told` has them afterwards; `meters`: with these as well.
    """
    values = {}
    for instance in surface.instances:
        for name in surface.controls(instance):
            key, value = (instance, name), surface.value(instance, name)
            if told.get(key) != value:
                values[key] = told[key] = value
    shown = {name: surface.meters(name) for name in surface.instances} if meters else {}
    return Snapshot(values, shown, {instance: surface.sound(instance) for instance in heard})
