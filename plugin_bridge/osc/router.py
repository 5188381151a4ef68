"""What each message does: it moves controls, asks for something, or subscribes."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable, Sequence

from plugin_bridge.control.surface import ControlSurface
from plugin_bridge.osc.adm import QUERY_PORT
from plugin_bridge.osc.counters import Counters
from plugin_bridge.osc.dialects import OscDialects
from plugin_bridge.osc.namespace import REPLIES_PER_UNIT, ROOT, Namespace, Reply
from plugin_bridge.osc.packets import Message, encode
from plugin_bridge.osc.rate_limit import Address, is_loopback
from plugin_bridge.osc.subscriptions import FASTEST_HZ, SLOWEST_HZ, Subscriptions

DEFAULT_HZ = 30.0
Send = Callable[[bytes, Address], None]


class Router:
    """Applies messages to a surface and sends the answers.

    Parameters
    ----------
    send : sends a packet to an address; must not wait or raise.
    strict, mirrored : as of `OscServer`.
    """

    def __init__(
        self,
        surface: ControlSurface,
        counters: Counters,
        send: Send,
        *,
        strict: bool,
        mirrored: bool,
    ) -> None:
        self.namespace = Namespace(surface, counters, strict=strict)
        self.subscriptions = Subscriptions(surface)
        self._counters, self._send = counters, send
        self._dialects = OscDialects(surface, mirrored=mirrored)

    def apply(self, message: Message, sender: Address) -> None:
        """Do what a message says."""
        address, arguments = message.address, message.arguments
        root, _, verb = address.lstrip("/").partition("/")
        if message.unknown_type:
            self._counters.count_fault(
                "unknown_type", f"{address} has an argument of the type {message.unknown_type!r}"
            )
        elif not self.namespace.matches(root, ROOT):
            self._apply_dialect(message, sender)
        elif verb == "ping":
            self._reply([(f"/{ROOT}/pong", (_version(),))], sender)
        elif verb == "list":
            self._reply(self.namespace.names(), sender)
        elif verb == "get":
            self._get(message, sender)
        elif verb in ("subscribe", "unsubscribe"):
            self._subscribe(verb, message, sender)
        else:
            self.namespace.set(address, arguments, is_own=is_loopback(sender[0]))

    def _get(self, message: Message, sender: Address) -> None:
        wanted = message.arguments or (f"/{ROOT}/*/*",)
        if len(wanted) == 1 and isinstance(wanted[0], str):
            self._reply(self.namespace.get(wanted[0]), sender)
        else:
            self._count_wrong(message, "one address or nothing")

    def _count_wrong(self, message: Message, expected: str) -> None:
        words = f"{message.address}: it has {list(message.arguments)!r}, expected {expected}"
        self._counters.count_fault("wrong_type", words)

    def _apply_dialect(self, message: Message, sender: Address) -> None:
        address = message.address
        if not message.arguments:
            replies = self._dialects.replies(address)
            if replies is not None:
                self.namespace.units += len(replies) / REPLIES_PER_UNIT
                self._reply(replies, sender, QUERY_PORT)
                return
        try:
            moves = self._dialects.moves(address, message.arguments)
        except ValueError as error:
            self._counters.count_fault("wrong_type", str(error))
            return
        if moves is None:
            self._counters.count_fault("unknown_address", f"no control at {address}")
        for move in moves or ():
            self.namespace.apply_move(move)

    def _subscribe(self, verb: str, message: Message, sender: Address) -> None:
        numbers = [n for n in message.arguments if isinstance(n, (int, float))]
        if len(numbers) < len(message.arguments) or len(numbers) > 2:
            self._count_wrong(message, "a rate in Hz and a port at most")
            return
        rate_hz = numbers[0] if numbers else DEFAULT_HZ
        port = numbers[1] if len(numbers) > 1 else sender[1]
        count_fault = self._counters.count_fault
        if not 1 <= port < 65_536:  # so NaN is none
            count_fault("wrong_type", f"{message.address}: port {port:g} is none")
        elif verb == "subscribe" and not rate_hz > 0:
            count_fault("wrong_type", f"{message.address}: rate {rate_hz:g} Hz is none")
        elif verb == "unsubscribe":
            self.subscriptions.unsubscribe((sender[0], int(port)))
        elif not self.subscriptions.subscribe(
            (sender[0], int(port)), min(max(rate_hz, SLOWEST_HZ), FASTEST_HZ)
        ):
            count_fault("too_many", f"{sender[0]} cannot subscribe: there are too many already")

    def _reply(self, replies: Sequence[Reply], sender: Address, *ports: int) -> None:
        """Send answers to where a message came from, and to other ports of that host."""
        for address, arguments in replies:
            packet = encode(address, arguments)
            for port in dict.fromkeys((sender[1], *ports)):
                self._send(packet, (sender[0], port))


@functools.cache
def _version() -> str:
    try:
        return importlib.metadata.version("stemsteer")
    except importlib.metadata.PackageNotFoundError:  # run from its source, not installed
        return "0"
