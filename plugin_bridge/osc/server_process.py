"""The OSC server in a process of its own.

A busy Python thread beside the audio's takes the interpreter from it for milliseconds at a time.
So, where sound is played, packets are read over there, and here arrive only the moves, at most one
every two milliseconds with the last of each control.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType

from plugin_bridge.control.controls import Control
from plugin_bridge.control.surface import ControlSurface, MemorySurface, Meters
from plugin_bridge.osc.discovery import advertise
from plugin_bridge.osc.oscquery import QueryServer
from plugin_bridge.osc.server import OscServer
from realtime.errors import StemsteerError

GATHER_S = 0.002
SHOW_S = 0.1  # between two looks at the board when nobody asks
START_S = 30.0
STALE_S = 0.01
Values = dict[tuple[str, str], float]
Shown = tuple[Values, dict[str, Meters]]


@dataclass(frozen=True)
class OscOptions:
    """How to listen; see `OscServer`."""

    host: str
    port: int
    allowed: tuple[str, ...] = ()
    strict: bool = False
    mirrored: bool = False
    announce: bool = False


class OscProcess:
    """An `OscServer` for a board, in another process; `port` once it is entered.

    Raises
    ------
    StemsteerError if it cannot listen.
    """

    def __init__(self, board: ControlSurface, options: OscOptions) -> None:
        self._board = board
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        controls = {name: dict(board.controls(name)) for name in board.instances}
        self._process = context.Process(
            target=_serve, args=(far, options, controls), name="stemsteer-osc", daemon=True
        )
        self._process.start()
        far.close()
        self._thread = threading.Thread(target=self._relay, name="stemsteer-osc", daemon=True)
        self.port = self._await()

    @property
    def pid(self) -> int:
        """Of the other process."""
        return self._process.pid or 0

    def __enter__(self) -> OscProcess:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._pipe.send(None)  # it answers the same, so that both ends know
        self._thread.join(timeout=5)
        self._process.join(timeout=5)
        self._pipe.close()

    def _await(self) -> int:
        answer = self._pipe.recv() if self._pipe.poll(START_S) else "it did not start in time"
        if isinstance(answer, int):
            return answer
        self._process.join(timeout=5)
        raise StemsteerError(str(answer))

    def _relay(self) -> None:
        """Put moves on the board, and show it when asked."""
        try:
            while (message := self._pipe.recv()) is not None:
                moves, asked = message
                for (instance, name), value in moves.items():
                    self._board.set_value(instance, name, value)
                if asked:
                    self._pipe.send(self._shown())
        except (EOFError, OSError):  # the other process is gone: hands are off, sound goes on
            return

    def _shown(self) -> Shown:
        board = self._board
        values = {(i, n): board.value(i, n) for i in board.instances for n in board.controls(i)}
        return values, {instance: board.meters(instance) for instance in board.instances}


class SurfaceProxy(MemorySurface):
    """The board as it is seen over there; the server's thread carries what goes to and fro.

    `left` is set when the other side ends.
    """

    def __init__(self, pipe: Connection, controls: Mapping[str, Mapping[str, Control]]) -> None:
        super().__init__(list(controls))
        self._pipe, self._controls = pipe, controls
        self._moves: Values = {}
        self._meters: dict[str, Meters] = {}
        self._asked, self._shown_s, self._sent_s = False, 0.0, -math.inf
        self.left = threading.Event()

    def controls(self, instance: str) -> Mapping[str, Control]:
        return self._controls[instance]

    def value(self, instance: str, name: str) -> float:
        return self._values.get((instance, name), self._controls[instance][name].default)

    def set_value(self, instance: str, name: str, value: float) -> None:
        with self._lock:
            self._values[instance, name] = self._moves[instance, name] = value

    def meters(self, instance: str) -> Meters:
        if time.monotonic() - self._shown_s > STALE_S:
            self._asked = True
        return self._meters.get(instance, {})

    def due_in_s(self) -> float:
        """What comes within `GATHER_S` goes together."""
        pause_s = GATHER_S if self._moves or self._asked else SHOW_S
        return self._sent_s + pause_s - time.monotonic()

    def attend(self) -> None:
        """Take the board as it was a moment ago, send what has been moved and asked since.

        An answer waits for the next turn: a wake-up costs more than what it would be fresher.
        """
        try:
            while not self.left.is_set() and select.select([self._pipe], [], [], 0)[0]:
                self._take(self._pipe.recv())
            if self.due_in_s() <= 0:
                with self._lock:
                    moves, self._moves = self._moves, {}
                asked, self._asked = self._asked or not moves, False
                self._sent_s = time.monotonic()
                self._pipe.send((moves, asked))
        except (EOFError, OSError):
            self.left.set()

    def _take(self, shown: Shown | None) -> None:
        if shown is None:
            self.left.set()
            return
        values, self._meters = shown
        with self._lock:
            self._values.update({k: v for k, v in values.items() if k not in self._moves})
        self._shown_s = time.monotonic()


def _serve(
    pipe: Connection, options: OscOptions, controls: Mapping[str, Mapping[str, Control]]
) -> None:
    """The other process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that plays
    if hasattr(os, "nice"):
        os.nice(5)  # the sound comes first
    mirror = SurfaceProxy(pipe, controls)
    with contextlib.ExitStack() as stack:
        try:
            server = _listen(stack, mirror, options)
        except (StemsteerError, ValueError) as error:
            pipe.send(str(error))
            return
        pipe.send(server.port)
        server.start()
        mirror.left.wait()
        server.stop()
    _say(summary(server))
    with contextlib.suppress(OSError):
        pipe.send(None)


def _listen(stack: contextlib.ExitStack, mirror: SurfaceProxy, options: OscOptions) -> OscServer:
    server = OscServer(
        mirror,
        host=options.host,
        port=options.port,
        allowed=options.allowed,
        strict=options.strict,
        mirrored=options.mirrored,
        report=lambda words: _say(words),
        chore=mirror,
    )
    stack.enter_context(QueryServer(server, mirror, server.port))
    if options.announce:
        stack.enter_context(advertise(options.host, server.port))
    return server


def summary(server: OscServer) -> str:
    """What came in, in a line."""
    counts = server.counters
    faults: Sequence[str] = [f"{count} {kind}" for kind, count in counts.faults().items()]
    return f"{counts.packets} packets, {counts.applied} moves; {', '.join(faults) or 'no fault'}"


def _say(words: str) -> None:
    print(f"stemsteer: {words}", file=sys.stderr, flush=True)
