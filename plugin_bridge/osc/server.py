"""The OSC server: reads packets, waits for what is due, and feeds back, in one thread.

It never touches the audio: it sets values of a surface, from which the audio takes them.
"""

from __future__ import annotations

import ipaddress
import math
import socket
import time
from collections import deque
from collections.abc import Sequence

from plugin_bridge.control.servers import Report
from plugin_bridge.control.surface import ControlSurface
from plugin_bridge.osc.counters import Counters
from plugin_bridge.osc.kernel_filter import drop_senders
from plugin_bridge.osc.namespace import MAX_UNITS
from plugin_bridge.osc.packets import MAX_BYTES, MalformedError, Message, decode
from plugin_bridge.osc.rate_limit import Address, AllowList, RateLimiter
from plugin_bridge.osc.router import Router
from plugin_bridge.osc.schedule import Schedule
from realtime.errors import StemsteerError

DEFAULT_PORT = 9900
QUEUE_BYTES = 1 << 20  # of packets that the system keeps for us, if it allows so much
READ_AT_ONCE, SLICE_S = 1024, 0.005
MESSAGES_PER_UNIT = 4  # of one packet
HELD_S = 0.002  # between two looks at packets that were held back
CROWDED_S, MOST_TO_WAIT_FOR = 0.003, 64
"""While packets are held back it is better to take more at once: fewer wake-ups, which would
disturb the audio's thread. So many a turn, and they have to be read as fast as it goes."""


class OscServer:
    """Receives OSC on a UDP port and moves the controls of a surface.

    Parameters
    ----------
    host : address to listen on; one that others can reach needs `allowed`.
    port : 0 takes a free one; `port` tells which.
    allowed : hosts and networks that may send beside this machine.
    strict : refuse values out of range instead of clamping them.
    mirrored : take left for right in the conventions of others.
    report : told in a sentence of the first fault of each kind.

    Raises
    ------
    StemsteerError if the port is taken, ValueError for a host open to others without `allowed`.
    """

    name = "OSC"

    def __init__(
        self,
        surface: ControlSurface,
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        allowed: Sequence[str] = (),
        strict: bool = False,
        mirrored: bool = False,
        report: Report = lambda words: None,
    ) -> None:
        self.counters = Counters(report=report)
        self._allowed = AllowList(allowed)
        self._limiter = RateLimiter(self._allowed, self.counters)
        self._schedule = Schedule(self.counters)
        self._admitted: deque[tuple[bytes, Address]] = deque()
        self._muted: frozenset[Address] = frozenset()
        self._socket = _bind(host, port, bool(allowed))
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self.router = Router(surface, self.counters, self._send, strict=strict, mirrored=mirrored)

    def allows(self, host: str) -> bool:
        """Return whether a host may send."""
        return host in self._allowed

    def fileno(self) -> int:
        """Return the descriptor of its socket."""
        return self._socket.fileno()

    def due_in_s(self) -> float:
        """Return the time until there is something to do that no packet brings."""
        if self._admitted:
            return 0.0
        held_s = HELD_S if self._limiter.waiting or self._muted else math.inf
        return min(held_s, self._schedule.due_in_s(), self.router.subscriptions.due_in_s())

    def attend(self) -> None:
        """Read and apply what has come and what is due, and tell subscribers."""
        flooded = self.counters.flooded
        n_packets = self._read()
        is_crowded = self.counters.flooded > flooded and n_packets < MOST_TO_WAIT_FOR
        self._take_admitted()
        for message, sender in self._schedule.due():
            self._apply([message], sender)
        self.router.subscriptions.send(self._socket)
        self._listen_to_others()
        if is_crowded:
            time.sleep(CROWDED_S)

    def stop(self) -> None:
        """Release the port."""
        self._socket.close()

    def summary(self) -> str:
        """Return what came in, in a line."""
        return self.counters.summary()

    def _read(self) -> int:
        """Read what has come; return how many packets."""
        n_packets = 0
        while n_packets < READ_AT_ONCE:
            try:
                packet, sender = self._socket.recvfrom(MAX_BYTES + 1)
            except BlockingIOError:
                break
            except OSError:  # a reply of ours came back: nobody listens there any more
                n_packets += 1
                continue
            n_packets += 1
            if self._limiter.admit(packet, sender[:2]) is not None:
                self._admitted.append((packet, sender[:2]))
            if n_packets % MOST_TO_WAIT_FOR == 0:
                self._listen_to_others()
        return n_packets

    def _take_admitted(self) -> None:
        """Apply what was read, for a short time: then the socket's queue has to be looked after."""
        until_s = time.monotonic() + SLICE_S
        while self._admitted and time.monotonic() < until_s:
            self._take(*self._admitted.popleft())
        if not self._admitted:
            for packet, sender in self._limiter.held_back():
                self._take(packet, sender)

    def _listen_to_others(self) -> None:
        """Leave out senders that are too loud, and take them in again later."""
        muted = self._limiter.muted()
        if muted != self._muted:
            self._muted = muted
            drop_senders(self._socket, muted)

    def _take(self, packet: bytes, sender: Address) -> None:
        """Apply a packet; whatever is wrong with it is counted and ends nothing."""
        try:
            messages = decode(packet)
        except MalformedError as error:
            words = f"a packet from {sender[0]} is not OSC: {error}"
            self.counters.count_fault("malformed", words)
            return
        self._apply([m for m in messages if not self._schedule.keep(m, sender)], sender)

    def _apply(self, messages: Sequence[Message], sender: Address) -> None:
        namespace = self.router.namespace
        namespace.units = len(messages) / MESSAGES_PER_UNIT
        for message in messages:
            if namespace.units > MAX_UNITS:
                words = f"{message.address} comes in a packet that is too much work: left out"
                self.counters.count_fault("too_costly", words)
                continue
            try:
                self.router.apply(message, sender)
            except Exception as error:  # the net: what nobody has foreseen costs one message
                words = f"a fault of Stemsteer itself at {message.address}: {error!r}"
                self.counters.count_fault("unforeseen", words)
        self._limiter.charge(sender, namespace.units)

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


def _is_own(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
