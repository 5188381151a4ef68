"""Who may send, and how much: what a flood or a stranger sends is counted, not read.

Every sender, an address and a port, has a rate of its own, so a flood takes nothing from others.
All of them share another one, which bounds the work; what waits for it goes sender by sender.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from plugin_bridge.osc.counters import Counters
from plugin_bridge.osc.packets import BUNDLE, MAX_BYTES

Address = tuple[str, int]  # IP address, port
PER_S = 1000.0
BURST = 500.0
"""Units that a sender may use a second and at once; a unit is a message of 64 bytes, or its like
in work: about 20 µs."""
TOTAL_PER_S, TOTAL_BURST = 4000.0, 1000.0
RESERVE = 500.0
"""What is left of the total is for senders that have half of their own burst left."""
BYTES_PER_UNIT = 64
MAX_SENDERS = 1024
MAX_WAITING = 64  # packets of a sender
MAX_WAITING_BYTES = 4 << 20  # of all senders
LOUD_PACKETS, LOUD_S = 600, 0.1
"""A sender with so many packets too many in so short a time is not listened to for a while."""
LOUD_IN_A_CROWD = 60
"""The same where many are loud, and for one that has been muted a short time ago."""
MUTE_S, LONGEST_MUTE_S, PROBATION_S = 1.0, 8.0, 10.0


class AllowList:
    """Hosts that may send: this machine, and the networks that were named.

    Raises ValueError for a network that is none.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [_network(name) for name in networks]

    def __contains__(self, host: str) -> bool:
        address = _address(host)
        return address.is_loopback or any(address in network for network in self._networks)


def is_loopback(host: str) -> bool:
    """Return whether an address that a packet came from is one of this machine alone."""
    return _address(host).is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address  # so a socket of both kinds sees IPv4
    return address


def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError as error:
        raise ValueError(f"--allow {name}: {error}; expected 192.168.1.20 or 10.0.0.0/8") from None


@dataclass
class _Bucket:
    """A store of units that fills again at a rate."""

    per_s: float
    most: float
    units: float
    filled_s: float

    def fill(self, now_s: float) -> float:
        """Return the units there are by now; negative while it is in debt."""
        if now_s > self.filled_s:
            self.units = min(self.most, self.units + (now_s - self.filled_s) * self.per_s)
            self.filled_s = now_s
        return self.units


@dataclass
class _Sender:
    allowed: bool
    bucket: _Bucket
    waiting: dict[bytes, bytes] = field(default_factory=dict)
    refused: int = 0  # packets since `counted_s`
    counted_s: float = 0.0
    mute_s: float = MUTE_S  # how long it is muted the next time
    muted_until_s: float = -math.inf


class RateLimiter:
    """Lets packets through at a bounded rate; of those held back the last of each address stays.

    So a fader that is swept too fast is followed more coarsely, and ends where it ended.
    """

    def __init__(
        self,
        allowed: AllowList,
        counters: Counters,
        *,
        per_s: float = PER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed, self._counters, self._per_s, self._clock = allowed, counters, per_s, clock
        self._total = _Bucket(TOTAL_PER_S, TOTAL_BURST, TOTAL_BURST, clock())
        self._senders: OrderedDict[Address, _Sender] = OrderedDict()
        self._queue: OrderedDict[Address, _Sender] = OrderedDict()  # those with packets that wait
        self._waiting_bytes = 0
        self._muted: dict[Address, float] = {}

    def admit(self, packet: bytes, address: Address) -> bytes | None:
        """Return the packet, or None if it is refused or has to wait."""
        self._counters.packets += 1
        now_s = self._clock()
        sender = self._senders.get(address) or self._add(address, now_s)
        self._senders.move_to_end(address)
        if not sender.allowed:
            host = _address(address[0])
            self._counters.count_fault("stranger", f"{host} may not send: --allow {host} lets it")
            self._refuse(address, sender, now_s)
        elif len(packet) > MAX_BYTES:
            words = f"a packet of {len(packet)} bytes from {address[0]} is left out"
            self._counters.count_fault("oversized", f"{words}, expected at most {MAX_BYTES}")
            self._refuse(address, sender, now_s)
        elif now_s >= sender.muted_until_s and self._take(sender, packet, now_s):
            self._forget(address, sender, _key(packet))  # one that waited is older than this one
            return packet
        else:
            words = f"{address[0]} sends too much at once: the last of each address arrives"
            self._counters.count_fault("flooded", words)
            self._refuse(address, sender, now_s)
            self._hold_back(address, sender, packet)
        return None

    def charge(self, address: Address, units: float) -> None:
        """Take units for work that a packet has turned out to be."""
        if sender := self._senders.get(address):
            sender.bucket.units -= units
        self._total.units -= units

    def held_back(self) -> Iterator[tuple[bytes, Address]]:
        """Yield packets that have waited and may go now, from each sender in its turn."""
        turns = len(self._queue)
        while self._queue and turns > 0:
            address, sender = next(iter(self._queue.items()))
            key, packet = next(iter(sender.waiting.items()))
            if self._take(sender, packet, self._clock()):
                self._forget(address, sender, key)
                yield packet, address
                turns = len(self._queue)
            else:
                turns -= 1
            if address in self._queue:
                self._queue.move_to_end(address)

    def muted(self) -> frozenset[Address]:
        """Return the senders that are not to be listened to at the moment."""
        if self._muted:
            now_s = self._clock()
            self._muted = {a: until_s for a, until_s in self._muted.items() if until_s > now_s}
        return frozenset(self._muted)

    @property
    def waiting(self) -> bool:
        """Return whether packets are held back."""
        return bool(self._queue)

    def _add(self, address: Address, now_s: float) -> _Sender:
        if len(self._senders) >= MAX_SENDERS:
            old, sender = self._senders.popitem(last=False)
            for key in list(sender.waiting):
                self._forget(old, sender, key)
        bucket = _Bucket(self._per_s, BURST, BURST, now_s)
        sender = self._senders[address] = _Sender(address[0] in self._allowed, bucket)
        return sender

    def _take(self, sender: _Sender, packet: bytes, now_s: float) -> bool:
        """Take the units of a packet, if neither its sender nor all together are in debt."""
        own, total = sender.bucket.fill(now_s), self._total.fill(now_s)
        if own < 1 or total < 1 or (own < BURST / 2 and total < RESERVE):
            return False
        units = 1 + len(packet) // BYTES_PER_UNIT
        sender.bucket.units -= units
        self._total.units -= units
        return True

    def _refuse(self, address: Address, sender: _Sender, now_s: float) -> None:
        """Count a packet too many; mute who sends very many of them, longer each time."""
        if now_s - sender.counted_s > LOUD_S:
            sender.refused, sender.counted_s = 0, now_s
        sender.refused += 1
        again = now_s - sender.muted_until_s < PROBATION_S
        most = LOUD_IN_A_CROWD if again or self._total.units < RESERVE else LOUD_PACKETS
        if sender.refused >= most and now_s >= sender.muted_until_s:
            sender.mute_s = min(2 * sender.mute_s, LONGEST_MUTE_S) if again else MUTE_S
            sender.muted_until_s = self._muted[address] = now_s + sender.mute_s
            sender.bucket.units, sender.bucket.filled_s = 0.0, sender.muted_until_s
            words = f"{address[0]} sends far too much and is not listened to for"
            lost = "what it sends until then is lost, the last of an address too"
            self._counters.count_fault("muted", f"{words} {sender.mute_s:g} s: {lost}")

    def _hold_back(self, address: Address, sender: _Sender, packet: bytes) -> None:
        key = _key(packet)
        old = sender.waiting.get(key)
        if old is None and len(sender.waiting) >= MAX_WAITING:
            return
        more = len(packet) - len(old or b"")
        if self._waiting_bytes + more <= MAX_WAITING_BYTES:
            self._waiting_bytes += more
            sender.waiting[key] = packet
            self._queue[address] = sender

    def _forget(self, address: Address, sender: _Sender, key: bytes) -> None:
        """Drop a packet that waits, if there is one."""
        packet = sender.waiting.pop(key, None)
        if packet is not None:
            self._waiting_bytes -= len(packet)
            if not sender.waiting:
                del self._queue[address]


def _key(packet: bytes) -> bytes:
    """Return what makes packets replace each other: the address, of a bundle its first one."""
    begin = len(BUNDLE) + 12 if packet.startswith(BUNDLE) else 0
    return packet[: packet.find(b"\0", begin, begin + 256)]
