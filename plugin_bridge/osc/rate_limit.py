"""Who may send, and how much: what a flood or a stranger sends is counted, not read."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

from plugin_bridge.osc.packets import MAX_BYTES

Address = tuple[str, int]  # IP address, port
PACKETS_PER_S = 1000.0
BURST = 500.0
CROWD = 50.0  # packets that came faster than they may for long
MAX_WAITING = 256


@dataclass
class Counters:
    """What became of the packets and messages since the start."""

    packets: int = 0
    applied: int = 0
    stranger: int = 0
    oversized: int = 0
    malformed: int = 0
    flooded: int = 0
    unknown_address: int = 0
    wrong_type: int = 0
    out_of_range: int = 0
    late: int = 0
    too_far: int = 0

    def faults(self) -> dict[str, int]:
        """The counts that are not zero and tell of something wrong."""
        counts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {k: v for k, v in counts.items() if v and k not in ("packets", "applied")}


class AllowList:
    """Hosts that may send: this machine, and the networks that were named.

    Raises ValueError for a network that is none.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(name, strict=False) for name in networks]

    def __contains__(self, host: str) -> bool:
        address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address  # so a socket of both kinds sees IPv4
        if address.is_loopback:
            return True
        return any(address in network for network in self._networks)


class RateLimiter:
    """Lets packets through at a bounded rate; of those held back the last of each address stays.

    So a fader that is swept too fast is followed more coarsely, and ends where it ended.
    """

    def __init__(
        self,
        allowed: AllowList,
        counters: Counters,
        *,
        per_s: float = PACKETS_PER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed, self._counters, self._per_s, self._clock = allowed, counters, per_s, clock
        self._tokens, self._last_s = BURST, clock()
        self._waiting: dict[tuple[Address, bytes], bytes] = {}

    def admit(self, packet: bytes, sender: Address) -> bytes | None:
        """The packet, or None if it is refused or has to wait."""
        counters = self._counters
        counters.packets += 1
        if sender[0] not in self._allowed:
            counters.stranger += 1
        elif len(packet) > MAX_BYTES:
            counters.oversized += 1
        elif self._take():
            self._waiting.pop((sender, _key(packet)), None)  # it is older than this one
            return packet
        else:
            counters.flooded += 1
            key = sender, _key(packet)
            if key in self._waiting or len(self._waiting) < MAX_WAITING:
                self._waiting[key] = packet
        return None

    def held_back(self) -> Iterator[tuple[bytes, Address]]:
        """Packets that have waited and may go now."""
        while self._waiting and self._take():
            sender, key = next(iter(self._waiting))
            yield self._waiting.pop((sender, key)), sender

    @property
    def is_flooded(self) -> bool:
        """Whether packets come so fast that it is better to take many at once."""
        return self._tokens < BURST - CROWD

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def _take(self) -> bool:
        now_s = self._clock()
        self._tokens = min(BURST, self._tokens + (now_s - self._last_s) * self._per_s)
        self._last_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _key(packet: bytes) -> bytes:
    """What makes packets replace each other: the address."""
    return packet[: packet.find(b"\0", 0, 256)]
