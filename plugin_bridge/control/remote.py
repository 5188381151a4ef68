"""A control surface seen from another process: a proxy of it; `relay` is its other end.

Moves go over at most once every two milliseconds, with the last value of each control; values,
meters and the newest sound come back when somebody has asked, or in a stream for as long as
somebody follows it: then nobody has to wake up to ask. A move costs the process that plays a
wake-up of one thread, however many of them there are.
"""

from __future__ import annotations

import math
import pickle
import select
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

from plugin_bridge.control.actions import ACTIONS, Action
from plugin_bridge.control.controls import Control
from plugin_bridge.control.surface import Facts, MemorySurface, Meters, Sound
from plugin_bridge.control.timbre_requests import Heard, Request, Slot, TimbreChange, Vector

GATHER_S = 0.002
"""What is moved within this time goes over together."""
REFRESH_S = 0.1
"""Between two looks at the surface when nobody asks."""
STALE_S = 0.01
"""Meters that are older are asked for anew."""
LEASE_S = 1.0
"""So long a stream goes on without a message that wants it."""
METERS_EVERY = 3
"""Snapshots of a stream from one with meters to the next: they cost the process that plays most."""
Values = dict[tuple[str, str], float]
Controls = Mapping[str, Mapping[str, Control]]


@dataclass(frozen=True)
class Snapshot:
    """Values of a surface that are news, all meters or none, and the newest sound of instances."""

    values: Values
    meters: Mapping[str, Meters]
    sounds: Mapping[str, Sound | None]


@dataclass(frozen=True)
class Stream:
    """Snapshots that come by themselves, at a distance in time, with the sound of instances."""

    heard: frozenset[str]
    every_s: float


@dataclass(frozen=True)
class TimbreWords:
    """What an instance begins with; see `ControlSurface.timbres`."""

    instance: str
    words: Mapping[str, str]


@dataclass(frozen=True)
class Refusal:
    """Why an instance did not take what was asked, and its timbres, which are as they were."""

    instance: str
    reason: str
    words: Mapping[str, str]


@dataclass(frozen=True)
class Listen:
    """The arguments of `ControlSurface.listen`."""

    instance: str
    seconds: float


class SurfaceProxy(MemorySurface):
    """The surface of another process; the thread that attends to it carries what goes to and fro.

    Parameters
    ----------
    pipe : to `relay` in the other process.
    controls, facts : of every instance there.

    `closed` is set when the other side has ended.
    """

    def __init__(
        self, pipe: Connection, controls: Controls, facts: Mapping[str, Facts] | None = None
    ) -> None:
        super().__init__(list(controls))
        self._pipe, self._controls, self._facts = pipe, controls, facts or {}
        self._moves: Values = {}  # since the last that went over
        self._shown = Snapshot({}, {}, {})
        self._heard: set[str] = set()  # instances whose sound has been asked since then
        self._timbres: dict[str, dict[str, str]] = {}
        self._given: dict[tuple[str, Slot], tuple[TimbreChange, ...]] = {}  # the last two of each
        self._changes: list[TimbreChange | Listen] = []  # since the last that went over
        self._asked = self._pending = False  # for a snapshot: to be asked for, not yet answered
        self._stream: Stream | None = None
        self._is_news, self._followed_s = False, -math.inf  # of the stream: not told yet, last used
        self._received_s, self._sent_s = -math.inf, -math.inf
        self.closed = threading.Event()

    def controls(self, instance: str) -> Mapping[str, Control]:
        return self._controls[instance]

    def value(self, instance: str, name: str) -> float:
        return self._values.get((instance, name), self._controls[instance][name].default)

    def set_value(self, instance: str, name: str, value: float) -> None:
        with self._lock:
            self._values[instance, name] = self._moves[instance, name] = value

    def meters(self, instance: str) -> Meters:
        self._ask(())
        return self._shown.meters.get(instance, {})

    def facts(self, instance: str) -> Facts:
        return self._facts.get(instance, {})

    def sound(self, instance: str) -> Sound | None:
        self.refresh((instance,))
        return self._shown.sounds.get(instance)

    def refresh(self, instances: Collection[str], every_s: float = 0.0) -> bool:
        if every_s:
            self._follow(Stream(frozenset(instances), every_s))
        else:
            self._ask(instances)
        return not self._is_stale() and self._shown.sounds.keys() >= set(instances)

    def actions(self, instance: str) -> Mapping[str, Action]:
        return ACTIONS

    def timbres(self, instance: str) -> Mapping[str, str]:
        return self._timbres.get(instance, {})

    def timbre_vector(self, instance: str, slot: Slot) -> Vector | None:
        """Return the vector that the words of `timbres` belong to, which a refusal brings back."""
        words = self.timbres(instance).get(slot)
        given = reversed(self._given.get((instance, slot), ()))
        return next((change.vector for change in given if change.words == words), None)

    def change_timbre(self, change: TimbreChange) -> None:
        with self._lock:
            self._changes.append(change)
            key = change.instance, change.slot
            self._given[key] = (*self._given.get(key, ())[-1:], change)
            words = self._timbres.get(change.instance, {})
            self._timbres[change.instance] = {**words, change.slot: change.words}

    def listen(self, instance: str, seconds: float) -> None:
        with self._lock:
            self._changes.append(Listen(instance, seconds))

    def fileno(self) -> int:
        """Return the descriptor on which the other side answers."""
        return self._pipe.fileno()

    def due_in_s(self) -> float:
        """Return the time until what has been moved or asked is to go over."""
        pause_s = LEASE_S / 2 if self._stream else REFRESH_S
        if self._moves or self._asked or self._changes or self._is_news:
            pause_s = GATHER_S
        return self._sent_s + pause_s - time.monotonic()

    def attend(self) -> None:
        """Take the newest snapshot, send what has been moved and asked since the last time.

        An answer waits for the next turn: a wake-up costs more than what it would be fresher.
        """
        try:
            while not self.closed.is_set() and select.select([self._pipe], [], [], 0)[0]:
                self._take(self._pipe.recv())
            if self.due_in_s() <= 0:
                self._send()
        except (EOFError, OSError):
            self.closed.set()

    def _send(self) -> None:
        """Send what has been moved and asked, and that the stream is wanted, while it is."""
        self._sent_s = time.monotonic()
        if self._followed_s < self._sent_s - LEASE_S / 2:
            self._stream = None
        with self._lock:
            moves, self._moves = self._moves, {}
            asked, self._asked = self._asked or not (moves or self._stream), False
            heard = self._heard if asked else set()
            self._heard = self._heard - heard
            changes, self._changes = self._changes, []
        for change in changes:
            self._pipe.send(change)
        self._pending, self._is_news = self._pending or asked, False
        # as `send`, which makes a pickler of its own each time
        self._pipe.send_bytes(pickle.dumps((moves, heard if asked else None, self._stream)))

    def _follow(self, stream: Stream) -> None:
        self._followed_s = time.monotonic()
        if stream != self._stream:
            self._stream, self._is_news = stream, True

    def _is_stale(self) -> bool:
        return time.monotonic() - self._received_s > STALE_S

    def _ask(self, heard: Collection[str]) -> None:
        """Ask for a snapshot with the sound of `heard`, if none so new is here or coming.

        What a stream brings is not asked for beside it, also if it is late.
        """
        if self._stream and self._stream.heard.issuperset(heard):
            return
        if self._is_stale() or not self._shown.sounds.keys() >= set(heard):
            with self._lock:
                self._heard.update(heard)
            self._asked = self._asked or not self._pending

    def _take(self, snapshot: Snapshot | TimbreWords | Refusal | Request | Heard | None) -> None:
        if snapshot is None:
            self.closed.set()
            return
        if isinstance(snapshot, Refusal):
            self.requests.answers[snapshot.instance] = snapshot.reason
        if isinstance(snapshot, (TimbreWords, Refusal)):
            self._timbres[snapshot.instance] = dict(snapshot.words)
            return
        if isinstance(snapshot, (Request, Heard)):
            self.requests.put(snapshot)
            return
        if not snapshot.meters:
            snapshot = Snapshot(snapshot.values, self._shown.meters, snapshot.sounds)
        self._shown, self._pending = snapshot, False
        with self._lock:
            values = snapshot.values.items()
            self._values.update({k: v for k, v in values if k not in self._moves})
        self._received_s = time.monotonic()
