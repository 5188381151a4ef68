"""Peers that see the instances of the engine and move them: a panel in a process of its own.

An observer is told which instances there are, with descriptors of their memory that nobody can
write by; it reads meters and sound there, which costs the daemon nothing. Its moves come as
messages.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
from collections.abc import Iterator
from typing import Any

from plugin_bridge.control.actions import ACTIONS
from plugin_bridge.control.controls import REMOTE_CONTROLS
from plugin_bridge.control.timbre_requests import Request
from plugin_bridge.engine.daemon.instances import InstanceSurface
from plugin_bridge.engine.daemon.worker_process import log
from plugin_bridge.engine.shared.messages import MESSAGE_BYTES, read_message
from realtime.errors import StemsteerError

MAX_OBSERVERS = 8
MAX_ANSWER = 300  # characters
_READ_AT_ONCE = 64  # messages


class Observers:
    """The connected observers of a surface."""

    def __init__(self, surface: InstanceSurface) -> None:
        self._surface = surface
        self._peers: dict[socket.socket, bytes] = {}  # with what each was told last

    def __contains__(self, peer: object) -> bool:
        return peer in self._peers

    def __iter__(self) -> Iterator[socket.socket]:
        return iter(tuple(self._peers))

    def add(self, peer: socket.socket) -> None:
        """Take a peer, and tell it the instances. Raises StemsteerError if there are too many."""
        if len(self._peers) >= MAX_OBSERVERS:
            raise StemsteerError(f"{MAX_OBSERVERS} panels are connected already")
        peer.setblocking(False)
        self._peers[peer] = b""
        self._tell(peer)

    def tell(self) -> None:
        """Tell all of them the instances, where that is news; who does not read is dropped."""
        for peer in self:
            self._tell(peer)

    def read(self, peer: socket.socket) -> bool:
        """Apply what an observer has sent; return False if it has gone or sends nonsense."""
        try:
            for _ in range(_READ_AT_ONCE):
                message = peer.recv(MESSAGE_BYTES)
                if not message:
                    return False
                self._apply(read_message(message))
        except BlockingIOError:
            return True
        except (OSError, StemsteerError) as error:
            log.warning("an observer is dropped: %s", error)
            return False
        return True

    def remove(self, peer: socket.socket) -> None:
        """Forget an observer and close its socket."""
        self._peers.pop(peer, None)
        peer.close()

    def _apply(self, message: dict[str, Any]) -> None:
        if "ask" in message:
            self._ask(message["ask"])
        moves = message.get("set")
        for move in moves if isinstance(moves, list) else ():
            if not _is_move(move):
                raise StemsteerError("a move is not [instance, control, number]")
            instance, name, value = move
            if instance in self._surface.instances and name in REMOTE_CONTROLS:
                self._surface.set_value(instance, name, REMOTE_CONTROLS[name].clamp(value))

    def _ask(self, asked: object) -> None:
        """Put on the requests what is asked of a timbre; files cannot be named by this way."""
        if not isinstance(asked, list) or len(asked) < 2 or asked[1] not in tuple(ACTIONS):
            raise StemsteerError("ask is not [instance, action, ...]")
        instance, name, *arguments = asked
        try:
            request = Request(
                str(instance), name, ACTIONS[name].check(arguments), names_files=False
            )
        except ValueError as error:
            raise StemsteerError(str(error)) from error
        if instance in self._surface.instances:
            self._surface.requests.put(request)

    def _tell(self, peer: socket.socket) -> None:
        workers, answers = self._surface.workers(), self._surface.requests.answers
        entries = [
            {
                "name": name,
                "pid": w.pid,
                "facts": w.facts,
                "timbres": w.timbres,
                "answer": answers.get(name, "")[:MAX_ANSWER],
            }
            for name, w in workers
        ]
        news = json.dumps(entries).encode()
        if news == self._peers[peer]:
            return
        self._peers[peer] = news
        fds: list[int] = []
        try:
            present = []
            for entry, (_, worker) in zip(entries, workers, strict=True):
                with contextlib.suppress(OSError):  # it is just going
                    fds += worker.read_only_fds()
                    present.append(entry)
            told = json.dumps({"instances": present}, ensure_ascii=False)
            socket.send_fds(peer, [told.encode(errors="replace")], fds)
        except OSError:  # it does not read, or has gone; `read` sees the end
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        finally:
            for fd in fds:
                os.close(fd)


def _is_move(move: object) -> bool:
    if not isinstance(move, list) or len(move) != 3:
        return False
    instance, name, value = move
    is_number = type(value) in (int, float) and math.isfinite(value)
    return isinstance(instance, str) and isinstance(name, str) and is_number
