"""The OSC server: one thread that reads, waits for what is due, and feeds back.

It never touches the audio: it puts values on a board, from which the audio takes them.
"""

from __future__ import annotations

import heapq
import importlib.metadata
import ipaddress
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol

from plugin_bridge.control.surface import ControlSurface
from plugin_bridge.osc.dialects import OscDialects
from plugin_bridge.osc.namespace import ROOT, Namespace, Reply
from plugin_bridge.osc.packets import MAX_BYTES, MalformedError, Message, decode, encode
from plugin_bridge.osc.rate_limit import Address, AllowList, Counters, RateLimiter
from plugin_bridge.osc.subscriptions import Subscriptions
from realtime.errors import StemsteerError

DEFAULT_PORT = 9900
FARTHEST_S = 600.0  # a time tag farther ahead is taken for a mistake
LATE_S = 0.005  # a time tag is late when it is older
MAX_PENDING = 10_000
_READ_AT_ONCE = 256
QUEUE_BYTES = 1 << 20  # of packets that the system keeps for us, if it allows so much
CROWDED_S = 0.003


class Background(Protocol):
    """Something else that the server's thread looks after between packets."""

    def due_in_s(self) -> float:
        """Time until it is to be attended to in any case."""

    def attend(self) -> None:
        """Its turn, behind every other work; must not wait."""


class OscServer:
    """Receives OSC on a UDP port and moves the controls of a board.

    Parameters
    ----------
    host : address to listen on; one that others can reach needs `allowed`.
    port : 0 takes a free one; see `port` after `start`.
    allowed : hosts and networks that may send beside this machine.
    strict : refuse values out of range instead of clamping them.
    mirrored : take left for right in the conventions of others.
    report : told in a sentence of the first fault of each kind.
    chore : attended to in the thread that reads, so that it needs none of its own.

    Raises
    ------
    StemsteerError if the port is taken, ValueError for a host open to others without `allowed`.
    """

    def __init__(
        self,
        board: ControlSurface,
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        allowed: Sequence[str] = (),
        strict: bool = False,
        mirrored: bool = False,
        report: Callable[[str], None] = lambda words: None,
        chore: Background | None = None,
    ) -> None:
        self._chore = chore
        self.counters = Counters()
        self.feedback = Subscriptions(board)
        self.namespace = Namespace(board, self.counters, report, strict=strict)
        self._conventions = OscDialects(board, mirrored=mirrored)
        self._allowed = AllowList(allowed)
        self._guard = RateLimiter(self._allowed, self.counters)
        self._pending: list[tuple[float, int, Message, Address]] = []
        self._sequence = 0
        self._quit = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stemsteer-osc", daemon=True)
        self._socket = _bind(host, port, bool(allowed))
        self.host, self.port = host, int(self._socket.getsockname()[1])

    def allows(self, host: str) -> bool:
        """Whether a host may send."""
        return host in self._allowed

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End, at once."""
        self._quit.set()
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> OscServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._quit.is_set():
            if select.select([self._socket], [], [], self._patience_s())[0]:
                self._read()
            for packet, sender in self._guard.held_back():
                self._take(packet, sender)
            while self._pending and self._pending[0][0] <= time.time():
                _, _, message, sender = heapq.heappop(self._pending)
                self._apply(message, sender)
            self.feedback.send(self._socket)
            if self._chore:
                self._chore.attend()
            if self._guard.is_flooded:
                time.sleep(CROWDED_S)  # fewer wake-ups, which would disturb the audio's thread

    def _patience_s(self) -> float:
        """Time until there is something to do anyway."""
        due_s = self._pending[0][0] - time.time() if self._pending else 0.2
        held_s = 0.002 if self._guard.waiting else 0.2
        chore_s = self._chore.due_in_s() if self._chore else 0.2
        return max(0.0, min(due_s, held_s, chore_s, self.feedback.due_in_s(), 0.2))

    def _read(self) -> None:
        for _ in range(_READ_AT_ONCE):
            try:
                packet, sender = self._socket.recvfrom(MAX_BYTES + 1)
            except BlockingIOError:
                return
            except OSError:  # a reply of ours came back: nobody listens there any more
                continue
            admitted = self._guard.admit(packet, sender[:2])
            if admitted is not None:
                self._take(admitted, sender[:2])

    def _take(self, packet: bytes, sender: Address) -> None:
        try:
            messages = decode(packet)
        except MalformedError as error:
            self.namespace.fault("malformed", f"a packet from {sender[0]} is not OSC: {error}")
            return
        for message in messages:
            self._schedule(message, sender)

    def _schedule(self, message: Message, sender: Address) -> None:
        ahead_s = 0.0 if message.due_s is None else message.due_s - time.time()
        if ahead_s > FARTHEST_S or len(self._pending) >= MAX_PENDING:
            self.namespace.fault(
                "too_far", f"{message.address} is meant for a time {ahead_s:.0f} s ahead: left out"
            )
        elif ahead_s > 0:
            self._sequence += 1
            due_s = message.due_s or 0.0
            heapq.heappush(self._pending, (due_s, self._sequence, message, sender))
        else:
            if ahead_s < -LATE_S:
                self.namespace.fault(
                    "late", f"{message.address} was meant for {-ahead_s * 1000:.0f} ms ago"
                )
            self._apply(message, sender)

    def _apply(self, message: Message, sender: Address) -> None:
        address, arguments = message.address, message.arguments
        root, _, verb = address.lstrip("/").partition("/")
        if root != ROOT:
            self._convention(message)
        elif verb == "ping":
            self._reply(sender, [(f"/{ROOT}/pong", (_version(),))])
        elif verb == "list":
            self._reply(sender, self.namespace.names())
        elif verb == "get":
            wanted = str(arguments[0]) if arguments else f"/{ROOT}/*/*"
            self._reply(sender, self.namespace.get(wanted))
        elif verb in ("subscribe", "unsubscribe"):
            self._subscription(verb, message, sender)
        else:
            self.namespace.set(address, arguments)

    def _convention(self, message: Message) -> None:
        try:
            moves = self._conventions.moves(message.address, message.arguments)
        except ValueError as error:
            self.namespace.fault("wrong_type", str(error))
            return
        if moves is None:
            self.namespace.fault("unknown_address", f"no control at {message.address}")
        for move in moves or ():
            self.namespace.play(move)

    def _subscription(self, verb: str, message: Message, sender: Address) -> None:
        numbers = [n for n in message.arguments if isinstance(n, (int, float))]
        rate_hz = numbers[0] if numbers else 30.0
        port = numbers[1] if len(numbers) > 1 else sender[1]
        if not 1 <= port < 65_536:  # so NaN is none
            self.namespace.fault("wrong_type", f"{message.address}: port {port:g} is none")
        elif verb == "subscribe" and not rate_hz > 0:
            self.namespace.fault("wrong_type", f"{message.address}: rate {rate_hz:g} Hz is none")
        elif verb == "unsubscribe":
            self.feedback.unsubscribe((sender[0], int(port)))
        else:
            self.feedback.subscribe((sender[0], int(port)), rate_hz)

    def _reply(self, sender: Address, replies: Sequence[Reply]) -> None:
        for address, arguments in replies:
            self._send(encode(address, arguments), sender)

    def _send(self, packet: bytes, receiver: Address) -> None:
        try:
            self._socket.sendto(packet, receiver)
        except OSError:  # it is gone, or its network is: nothing to be done from here
            return


def _bind(host: str, port: int, has_allowed: bool) -> socket.socket:
    if not _is_own(host) and not has_allowed:
        raise ValueError(
            f"listening on {host} lets others in: name who may send, with --allow ADDRESS or "
            "--allow NETWORK/24"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise StemsteerError(
            f"cannot listen for OSC on {host} port {port}: {error}; choose another with --port "
            "(of serve: --osc-port), or stop what uses it"
        ) from error
    listener.setblocking(False)
    return listener


def _version() -> str:
    try:
        return importlib.metadata.version("stemsteer")
    except importlib.metadata.PackageNotFoundError:  # run from its source, not installed
        return "0"


def _is_own(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
