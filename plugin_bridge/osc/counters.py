"""What became of packets and messages: counted every time, told a few times of each kind."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from plugin_bridge.control.servers import Report
from plugin_bridge.control.text import printable

MOST_TOLD = {"wrong_type": 8, "unknown_address": 8}
"""How many faults of a kind are told, each once; of other kinds one. People type these."""


@dataclass
class Counters:
    """What became of the packets and messages since the start."""

    packets: int = 0
    applied: int = 0
    stranger: int = 0
    oversized: int = 0
    malformed: int = 0
    unknown_type: int = 0
    flooded: int = 0
    muted: int = 0
    too_costly: int = 0
    unknown_address: int = 0
    wrong_type: int = 0
    out_of_range: int = 0
    late: int = 0
    too_far: int = 0
    too_many: int = 0
    unforeseen: int = 0
    report: Report = field(default=lambda words: None, repr=False)
    _told: dict[str, set[str]] = field(default_factory=dict, repr=False)

    def faults(self) -> dict[str, int]:
        """Return the counts that are not zero and tell of something wrong."""
        names = [f.name for f in fields(self) if f.type == "int"]
        counts = {name: getattr(self, name) for name in names if name not in ("packets", "applied")}
        return {name: count for name, count in counts.items() if count}

    def count_fault(self, kind: str, words: str) -> None:
        """Count a fault; tell of the first of each kind, see `MOST_TOLD`."""
        setattr(self, kind, getattr(self, kind) + 1)
        told, most = self._told.setdefault(kind, set()), MOST_TOLD.get(kind, 1)
        if len(told) < most and words not in told:
            told.add(words)
            more = "more of the kind are" if len(told) == most else "the same again is"
            self.report(f"{printable(words)} ({more} only counted)")

    def summary(self) -> str:
        """Return what came in, in a line."""
        faults = ", ".join(f"{count} {kind}" for kind, count in self.faults().items())
        return f"{self.packets} packets, {self.applied} moves; {faults or 'no fault'}"
