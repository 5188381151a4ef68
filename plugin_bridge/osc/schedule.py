"""Messages of bundles that are meant for later."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Iterator

from plugin_bridge.osc.counters import Counters
from plugin_bridge.osc.packets import Message
from plugin_bridge.osc.rate_limit import Address

FARTHEST_S = 600.0  # a time tag farther ahead is taken for a mistake
LATE_S = 0.005  # a time tag is late when it is older
MAX_LATER = 8192  # messages that wait for their time
MAX_LATER_OF_ONE = 2048  # of them, of one sender
MAX_AT_ONCE = 256


class Schedule:
    """Keeps messages until their time has come, so many that no sender takes the room of others.

    A message for now never waits, and is never refused for those that do.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._later: list[tuple[float, int, Message, Address]] = []
        self._of_sender: Counter[Address] = Counter()
        self._sequence = 0  # of two for the same time the first is first

    def keep(self, message: Message, sender: Address) -> bool:
        """Return whether a message is meant for later; then it is kept, or refused and counted."""
        ahead_s = 0.0 if message.due_s is None else message.due_s - time.time()
        count_fault = self._counters.count_fault
        if ahead_s <= 0 or message.due_s is None:
            if ahead_s < -LATE_S:
                words = f"{message.address} was meant for {-ahead_s * 1000:.0f} ms ago"
                count_fault("late", words)
            return False
        if ahead_s > FARTHEST_S:
            words = f"{message.address} is meant for a time {ahead_s:.0f} s ahead: left out"
            count_fault("too_far", words)
        elif len(self._later) >= MAX_LATER or self._of_sender[sender] >= MAX_LATER_OF_ONE:
            count_fault("too_many", f"{sender[0]} has too many messages for later: left out")
        else:
            self._sequence += 1
            self._of_sender[sender] += 1
            heapq.heappush(self._later, (message.due_s, self._sequence, message, sender))
        return True

    def due(self) -> Iterator[tuple[Message, Address]]:
        """Yield messages whose time has come, in their order, some at once."""
        for _ in range(MAX_AT_ONCE):
            if not self._later or self._later[0][0] > time.time():
                return
            _, _, message, sender = heapq.heappop(self._later)
            self._of_sender[sender] -= 1
            if not self._of_sender[sender]:
                del self._of_sender[sender]
            yield message, sender

    def due_in_s(self) -> float:
        """Return the time until the next one is due; infinite if there is none."""
        return self._later[0][0] - time.time() if self._later else float("inf")
