"""What subscribers are told: the values that moved, and the meters."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from plugin_bridge.control.surface import ControlSurface
from plugin_bridge.osc.namespace import address_of
from plugin_bridge.osc.packets import encode, encode_bundle
from plugin_bridge.osc.rate_limit import Address

SLOWEST_HZ, FASTEST_HZ = 0.1, 60.0
KEPT_S = 600.0  # a subscription that is not renewed ends
AGAIN_S = 5.0  # everything is told anew: packets get lost
MAX_SUBSCRIBERS = 16
BUNDLE_BYTES = 1400  # a packet no larger is not cut into pieces on the way
Values = tuple[float, ...]


@dataclass
class _Subscriber:
    interval_s: float
    next_s: float
    until_s: float
    again_s: float = 0.0
    told: dict[str, Values] = field(default_factory=dict)


class Subscriptions:
    """Sends to each subscriber, at its rate, what has changed since it was told last."""

    def __init__(self, surface: ControlSurface) -> None:
        self._surface = surface
        self._subscribers: dict[Address, _Subscriber] = {}

    def subscribe(self, receiver: Address, rate_hz: float) -> bool:
        """Begin or renew, and tell everything once; return False if there are too many others."""
        now_s = time.monotonic()
        self._drop_expired(now_s)
        if receiver not in self._subscribers and len(self._subscribers) >= MAX_SUBSCRIBERS:
            return False
        self._subscribers[receiver] = _Subscriber(1 / rate_hz, now_s, now_s + KEPT_S)
        return True

    def unsubscribe(self, receiver: Address) -> None:
        """End a subscription, if there is one."""
        self._subscribers.pop(receiver, None)

    def due_in_s(self) -> float:
        """Return the time until somebody is to be told; infinite if nobody is."""
        soonest = min((s.next_s for s in self._subscribers.values()), default=math.inf)
        return soonest - time.monotonic()

    def send(self, sender: socket.socket) -> None:
        """Tell those whose turn it is.

        What a busy socket does not take is told the next time.
        """
        now_s = time.monotonic()
        self._drop_expired(now_s)
        due = [(r, s) for r, s in self._subscribers.items() if s.next_s <= now_s]
        if not due:
            return
        shown = dict(self._shown())
        for receiver, subscriber in due:
            subscriber.next_s = max(subscriber.next_s + subscriber.interval_s, now_s)
            if now_s >= subscriber.again_s:
                subscriber.again_s, subscriber.told = now_s + AGAIN_S, {}
            news = {a: v for a, v in shown.items() if subscriber.told.get(a) != v}
            if not _tell(sender, receiver, news, subscriber.told):
                self.unsubscribe(receiver)

    def _drop_expired(self, now_s: float) -> None:
        self._subscribers = {r: s for r, s in self._subscribers.items() if now_s <= s.until_s}

    def _shown(self) -> Iterator[tuple[str, Values]]:
        """Yield addresses and values of all controls and meters, as floats like OSCQuery says."""
        self._surface.refresh(())  # for the next time, where they are in another process
        for instance in self._surface.instances:
            for name in self._surface.controls(instance):
                yield address_of(instance, name), (float(self._surface.value(instance, name)),)
            for name, values in self._surface.meters(instance).items():
                yield address_of(instance, name), tuple(map(float, values))


def _tell(
    sender: socket.socket, receiver: Address, news: Mapping[str, Values], told: dict[str, Values]
) -> bool:
    """Send news in bundles that fit a packet, and note in `told` what has been sent.

    Return False if the receiver is not there.
    """
    for bundle in _bundles(news):
        try:
            sender.sendto(encode_bundle([packet for _, packet in bundle]), receiver)
        except BlockingIOError:
            return True  # its network is busy
        except OSError:
            return False
        told.update({address: news[address] for address, _ in bundle})
    return True


def _bundles(news: Mapping[str, Values]) -> Iterator[list[tuple[str, bytes]]]:
    """Yield addresses and encoded messages, so many together as fit a packet."""
    bundle: list[tuple[str, bytes]] = []
    size = 16
    for address, values in news.items():
        message = encode(address, values)
        if bundle and size + 4 + len(message) > BUNDLE_BYTES:
            yield bundle
            bundle, size = [], 16
        bundle.append((address, message))
        size += 4 + len(message)
    if bundle:
        yield bundle
