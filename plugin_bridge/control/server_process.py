"""Servers for a control surface in a process of their own.

A busy Python thread beside the audio's takes the interpreter from it for milliseconds at a time.
So, where sound is played, packets and requests are read over there, and here arrive only moves.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from plugin_bridge.control.relay import relay
from plugin_bridge.control.remote import Controls, SurfaceProxy
from plugin_bridge.control.servers import Report, Server, ServerSettings, attend_until
from plugin_bridge.control.surface import ControlSurface
from plugin_bridge.launch import ending_signals, own_process
from realtime.errors import StemsteerError

START_S = 30.0
STOP_S = 5.0


def print_report(words: str) -> None:
    """Print a sentence for the user on the error stream."""
    print(f"stemsteer: {words}", file=sys.stderr, flush=True)


class SharedPipe(Connection):
    """A pipe into which several threads send; each message goes over whole."""

    def __init__(self, handle: int) -> None:
        super().__init__(handle)
        self._sending = threading.Lock()

    def send(self, obj: Any) -> None:
        """Send an object. Raises OSError if the other side has gone, or does not read."""
        if not self._sending.acquire(timeout=STOP_S):
            raise TimeoutError("the other side does not read")
        try:
            super().send(obj)
        finally:
            self._sending.release()


class ServerProcess:
    """Servers of a surface, in another process; they listen from its construction on.

    If the process ends before it is told to, that is reported, and the surface goes on.

    Parameters
    ----------
    settings : how each server listens; `ports` has where, in this order.
    report : told in a sentence what a user should know.

    Raises
    ------
    StemsteerError if one of them cannot listen.
    """

    def __init__(
        self,
        surface: ControlSurface,
        settings: Sequence[ServerSettings],
        report: Report = print_report,
    ) -> None:
        self._surface, self._report, self._closing = surface, report, False
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                own_process("plugin_bridge.control.server_process", ends_with_parent=True),
                stdin=theirs.fileno(),
            )
        self._pipe = SharedPipe(ours.detach())
        self._thread = threading.Thread(target=self._relay, name="stemsteer-relay", daemon=True)
        self.ports = self._open(settings)

    @property
    def pid(self) -> int:
        """Return the number of the other process."""
        return self._process.pid

    def __enter__(self) -> ServerProcess:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._closing = True
        with contextlib.suppress(OSError):  # it has ended before; that was reported
            self._pipe.send(None)  # it answers the same, so that both ends know
        self._thread.join(timeout=STOP_S)
        self._wait()
        self._pipe.close()

    def _open(self, settings: Sequence[ServerSettings]) -> list[int]:
        surface = self._surface
        controls = {name: dict(surface.controls(name)) for name in surface.instances}
        facts = {name: dict(surface.facts(name)) for name in surface.instances}
        try:
            self._pipe.send((controls, facts, list(settings)))
            answer = self._pipe.recv() if self._pipe.poll(START_S) else "it did not start in time"
        except (EOFError, OSError):
            answer = "the process of the servers ended at once"
        if isinstance(answer, list):
            return answer
        self._process.kill()
        self._wait()
        raise StemsteerError(str(answer))

    def _relay(self) -> None:
        try:
            relay(self._surface, self._pipe, self._report)
        except (EOFError, OSError):
            if not self._closing:
                status = self._wait()
                self._report(
                    f"the process that listens for others has ended by itself, status "
                    f"{status}: the sound goes on without it; start anew to have it again"
                )

    def _wait(self) -> int:
        """Wait for the process, not for ever; return its status."""
        try:
            return self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _serve(pipe: Connection) -> None:
    """Run in the other process: open the servers, tell their ports, drive them until the end."""
    controls: Controls
    settings: list[ServerSettings]
    controls, facts, settings = pipe.recv()
    proxy = SurfaceProxy(pipe, controls, facts)
    servers: list[Server] = []
    try:
        for each in settings:
            servers.append(each.open(proxy, print_report))
        pipe.send([server.port for server in servers])
        attend_until(proxy.closed.is_set, [proxy, *servers], print_report)
    except (StemsteerError, ValueError) as error:
        pipe.send(str(error))
        return
    finally:
        for server in servers:
            server.stop()
    for words in filter(None, (server.summary() for server in servers)):
        print_report(words)
    with contextlib.suppress(OSError):  # the process that plays has ended, too
        pipe.send(None)


if __name__ == "__main__":
    for number in {*ending_signals()} - {signal.SIGTERM}:  # these are for the one that plays
        signal.signal(number, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)  # the sound comes first
    _serve(Connection(os.dup(sys.stdin.fileno())))
