"""What subscribers are told: the values that moved, and the meters."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from plugin_bridge.control.surface import ControlSurface
from plugin_bridge.osc.namespace import address_of
from plugin_bridge.osc.packets import encode, encode_bundle
from plugin_bridge.osc.rate_limit import Address

FASTEST_HZ = 60.0
KEPT_S = 600.0  # a subscription that is not renewed ends
AGAIN_S = 5.0  # everything is told anew: packets get lost
MAX_SUBSCRIBERS = 16
BUNDLE_BYTES = 1400  # a packet no larger is not cut into pieces on the way


@dataclass
class _Subscriber:
    interval_s: float
    next_s: float
    until_s: float
    again_s: float = 0.0
    told: dict[str, tuple[float, ...]] = field(default_factory=dict)


class Subscriptions:
    """Sends to each subscriber, at its rate, what has changed since it was told last."""

    def __init__(self, board: ControlSurface) -> None:
        self._board = board
        self._subscribers: dict[Address, _Subscriber] = {}

    def subscribe(self, receiver: Address, rate_hz: float) -> None:
        """Begin or renew; at most 60 times a second. It tells everything once."""
        known = receiver in self._subscribers
        if known or len(self._subscribers) < MAX_SUBSCRIBERS:
            now_s = time.monotonic()
            interval_s = 1 / min(rate_hz, FASTEST_HZ)
            self._subscribers[receiver] = _Subscriber(interval_s, now_s, now_s + KEPT_S)

    def unsubscribe(self, receiver: Address) -> None:
        """End a subscription, if there is one."""
        self._subscribers.pop(receiver, None)

    def due_in_s(self) -> float:
        """Time until somebody is to be told; 0.2 if nobody is."""
        soonest = min((s.next_s for s in self._subscribers.values()), default=math.inf)
        return min(soonest - time.monotonic(), 0.2)

    def send(self, sender: socket.socket) -> None:
        """Tell those whose turn it is."""
        now_s = time.monotonic()
        due = [(r, s) for r, s in self._subscribers.items() if s.next_s <= now_s]
        if not due:
            return
        shown = dict(self._shown())
        for receiver, subscriber in due:
            subscriber.next_s = max(subscriber.next_s + subscriber.interval_s, now_s)
            if now_s >= subscriber.again_s:
                subscriber.again_s, subscriber.told = now_s + AGAIN_S, {}
            news = [encode(a, v) for a, v in shown.items() if subscriber.told.get(a) != v]
            subscriber.told = shown
            if now_s > subscriber.until_s or not _send(sender, receiver, news):
                self.unsubscribe(receiver)

    def _shown(self) -> Iterator[tuple[str, tuple[float, ...]]]:
        """Addresses and values of all controls and meters."""
        for instance in self._board.instances:
            for name in self._board.controls(instance):
                yield address_of(instance, name), (self._board.value(instance, name),)
            for name, values in self._board.meters(instance).items():
                yield address_of(instance, name), tuple(values)


def _send(sender: socket.socket, receiver: Address, messages: list[bytes]) -> bool:
    """Send in bundles that fit a packet; False if the receiver is not there."""
    bundle: list[bytes] = []
    size = 16
    try:
        for message in messages:
            if bundle and size + 4 + len(message) > BUNDLE_BYTES:
                sender.sendto(encode_bundle(bundle), receiver)
                bundle, size = [], 16
            bundle.append(message)
            size += 4 + len(message)
        if bundle:
            sender.sendto(encode_bundle(bundle), receiver)
    except BlockingIOError:
        return True  # its network is busy: it is told the next time
    except OSError:
        return False
    return True
