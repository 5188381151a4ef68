"""Times as a histogram: how many fall between which milliseconds, and how late the latest were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EDGES_MS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 50.0)


@dataclass(frozen=True)
class TimeHistogram:
    """Times in milliseconds; `counts` has one number for each bucket.

    The first bucket is up to the first of `EDGES_MS`, the last one is beyond the last.
    """

    count: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    counts: tuple[int, ...]

    @classmethod
    def of(cls, times_s: Sequence[float]) -> TimeHistogram:
        """Count times given in seconds. Raises ValueError if there are none."""
        if not len(times_s):
            raise ValueError("no times to count: measure for longer")
        times_ms = 1000 * np.asarray(times_s, np.float64)
        bucket = np.searchsorted(EDGES_MS, times_ms)  # a time on an edge is below it
        counts = np.bincount(bucket, minlength=len(EDGES_MS) + 1)
        p50, p99, p999 = (round(float(x), 3) for x in np.percentile(times_ms, (50, 99, 99.9)))
        worst = round(float(times_ms.max()), 3)
        return cls(times_ms.size, p50, p99, p999, worst, tuple(int(n) for n in counts))

    def rows(self) -> list[tuple[str, int]]:
        """Return the buckets up to the last that is not empty: their words, and how many."""
        words = [f"to {edge:g} ms" for edge in EDGES_MS] + [f"beyond {EDGES_MS[-1]:g} ms"]
        last = max(index for index, n in enumerate(self.counts) if n)
        return list(zip(words, self.counts, strict=True))[: last + 1]

    def summary(self) -> str:
        """Say the percentiles in a line."""
        return (
            f"median {self.p50_ms:.2f}, 99 % {self.p99_ms:.2f}, 99.9 % {self.p999_ms:.2f}, "
            f"longest {self.max_ms:.2f} ms"
        )
