"""The instances of a running engine as a control surface of another process.

Where no engine runs there are no instances; one that comes, or comes again, is found by itself.
"""

from __future__ import annotations

import array
import json
import math
import os
import select
import socket
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plugin_bridge.control.actions import ACTIONS, Action
from plugin_bridge.control.controls import REMOTE_CONTROLS, Control
from plugin_bridge.control.servers import Report
from plugin_bridge.control.surface import Facts, Meters, Sound
from plugin_bridge.control.timbre_requests import Request, RequestQueue, Slot, TimbreChange, Vector
from plugin_bridge.engine.shared.control_page import ControlPage
from plugin_bridge.engine.shared.instance_view import InstanceView
from plugin_bridge.engine.shared.messages import MAX_INSTANCES, OWN_MESSAGE_BYTES, REFUSED
from plugin_bridge.engine.shared.ring import SharedRing
from plugin_bridge.paths import engine_socket
from realtime.errors import StemsteerError

RETRY_S = 0.5
REFUSED_RETRY_S = 3.0  # after an engine that has refused
GATHER_S = 0.002
"""What is moved within this time goes over together."""
PENDING_S = 0.2
"""So long a value that was set is told in place of the engine's, which has not taken it yet."""
Key = tuple[str, str]


@dataclass(frozen=True)
class _Instance:
    pid: int
    view: InstanceView
    facts: Facts
    timbres: Mapping[str, str]


class EngineObserver:
    """A `ControlSurface` of the engine on this machine; a thread has to `attend` to it.

    Parameters
    ----------
    report : is told why the engine refuses, once until it does not.
    """

    def __init__(self, report: Report = lambda words: None) -> None:
        self._report, self._refusal = report, ""
        self.requests = RequestQueue()
        self._lock = threading.Lock()
        self._idle, self._silent = socket.socketpair()  # to sleep on while there is no engine
        self._connection: socket.socket | None = None
        self._is_accepted = False
        self._instances: dict[str, _Instance] = {}
        self._moves: dict[Key, float] = {}  # since the last that went over
        self._pending: dict[Key, tuple[float, float]] = {}  # what was set, and until when
        self._next_s = 0.0
        self.attend()

    @property
    def connected(self) -> bool:
        return self._is_accepted

    @property
    def instances(self) -> Sequence[str]:
        return tuple(self._instances)

    def controls(self, instance: str) -> Mapping[str, Control]:
        return REMOTE_CONTROLS

    def value(self, instance: str, name: str) -> float:
        value, until_s = self._pending.get((instance, name), (0.0, -math.inf))
        if time.monotonic() < until_s:
            return value
        seen, control = self._instances.get(instance), REMOTE_CONTROLS[name]
        return seen.view.page.value(control.id) if seen else control.default

    def set_value(self, instance: str, name: str, value: float) -> None:
        with self._lock:
            self._moves[instance, name] = value
            self._pending[instance, name] = value, time.monotonic() + PENDING_S

    def meters(self, instance: str) -> Meters:
        """Return the meters but for the directions, which `sound` shows better."""
        seen = self._instances.get(instance)
        return seen.view.figures() if seen else {}

    def facts(self, instance: str) -> Facts:
        seen = self._instances.get(instance)
        return seen.facts if seen else {}

    def sound(self, instance: str) -> Sound | None:
        seen = self._instances.get(instance)
        return seen.view.sound() if seen else None

    def refresh(self, instances: Collection[str], every_s: float = 0.0) -> bool:
        return True

    def actions(self, instance: str) -> Mapping[str, Action]:
        return ACTIONS

    def timbres(self, instance: str) -> Mapping[str, str]:
        seen = self._instances.get(instance)
        return seen.timbres if seen else {}

    def timbre_vector(self, instance: str, slot: Slot) -> Vector | None:
        return None

    def change_timbre(self, change: TimbreChange) -> None:
        raise ValueError("timbres of tracks are made where the engine is")

    def listen(self, instance: str, seconds: float) -> None:
        raise ValueError("tracks are listened to where the engine is")

    def fileno(self) -> int:
        """Return the descriptor of the connection, or of one on which nothing comes."""
        return (self._connection or self._idle).fileno()

    def due_in_s(self) -> float:
        """Return the time until moves are to go over, or the engine is to be looked for."""
        if self._connection and not self._moves and self.requests.is_empty:
            return math.inf
        return self._next_s - time.monotonic()

    def attend(self) -> None:
        """Read which instances there are, send what has been moved; look for an engine."""
        try:
            if self._connection is None:
                self._connect()
            else:
                self._read(self._connection)
                self._send(self._connection)
        except (OSError, ValueError):
            self._disconnect()

    def close(self) -> None:
        """End the connection."""
        self._disconnect()
        self._idle.close()
        self._silent.close()

    def _connect(self) -> None:
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + RETRY_S
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(str(engine_socket()))
            connection.send(b'{"ask": "observe"}')
        except OSError:
            connection.close()
            return
        connection.setblocking(False)
        self._connection = connection

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection, self._is_accepted, self._instances = None, False, {}

    def _read(self, connection: socket.socket) -> None:
        while self._connection and select.select([connection], [], [], 0)[0]:
            message, fds = _receive(connection)
            try:
                if not message:
                    raise ConnectionResetError
                if message.startswith(REFUSED.encode()):
                    self._tell_refusal(message.decode(errors="replace").removeprefix(REFUSED))
                    raise ConnectionRefusedError
                self._take(json.loads(message)["instances"], fds)
            finally:
                for fd in fds:
                    os.close(fd)

    def _tell_refusal(self, why: str) -> None:
        self._next_s = time.monotonic() + REFUSED_RETRY_S
        if why != self._refusal:
            self._refusal = why
            self._report(f"the engine refuses: {why}")

    def _take(self, entries: Sequence[Mapping[str, Any]], fds: Sequence[int]) -> None:
        """Map the memory of instances that are new; keep that of the others."""
        instances, answers = {}, {}
        for entry, page_fd, ring_fd in zip(entries, fds[::2], fds[1::2], strict=True):
            name, pid = str(entry["name"]), int(entry["pid"])
            known = self._instances.get(name)
            try:
                view = known.view if known and known.pid == pid else _view(page_fd, ring_fd)
            except (StemsteerError, OSError, ValueError):
                continue  # it is just going
            instances[name] = _Instance(pid, view, dict(entry["facts"]), dict(entry["timbres"]))
            answers[name] = str(entry.get("answer", ""))
        self._instances, self._is_accepted, self._refusal = instances, True, ""
        self.requests.answers = {name: words for name, words in answers.items() if words}

    def _send(self, connection: socket.socket) -> None:
        for item in self.requests.take_all():
            if isinstance(item, Request):
                asked = [item.instance, item.action, *item.arguments]
                connection.send(json.dumps({"ask": asked}).encode())
        if not self._moves or time.monotonic() < self._next_s:
            return
        with self._lock:
            moves, self._moves = self._moves, {}
        self._next_s = time.monotonic() + GATHER_S
        connection.send(
            json.dumps({"set": [[*key, value] for key, value in moves.items()]}).encode()
        )
        now_s = time.monotonic()
        with self._lock:
            self._pending = {k: p for k, p in self._pending.items() if p[1] > now_s}


def _view(page_fd: int, ring_fd: int) -> InstanceView:
    page = ControlPage(page_fd, writable=False)
    return InstanceView(page, SharedRing(ring_fd, writable=False))


def _receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """Return a message and its descriptors, more than `socket.recv_fds` makes room for."""
    fds = array.array("i")
    room = socket.CMSG_SPACE(2 * MAX_INSTANCES * fds.itemsize)
    message, ancillary, _, _ = connection.recvmsg(OWN_MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return message, list(fds)
