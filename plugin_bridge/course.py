"""The course of a plugin's parameters over time, from the records in its ring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.shm import RECORDS, VALUES, Ring

SHORTEST_RAMP = 256  # frames; faster changes click
_KEPT_FRAMES = 1 << 17


class Course:
    """Values at any position: straight lines from one record's values to the next one's.

    A record holds a block's values; they are reached at the end of the block, or 256 frames after
    its beginning, whichever is later. So a value depends on records that came before it alone, and
    the course is the same however far the plugin is ahead of the engine.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._read = 0
        self._positions: NDArray[np.int64] = np.zeros(1, np.int64)
        self._frames: NDArray[np.int64] = np.ones(1, np.int64)
        self._before: NDArray[np.float32] = np.zeros((1, VALUES), np.float32)
        self._after: NDArray[np.float32] = np.zeros((1, VALUES), np.float32)

    def update(self, start: int) -> None:
        """Take the records written since; `start` is the first position of the stream."""
        recorded = self._ring["recorded"]
        first = max(self._read, recorded - RECORDS)
        for number in range(first, recorded):
            self._append(self._ring.records[number % RECORDS], start)
        self._read = recorded

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Values (positions, parameters) at positions in rising order."""
        last = len(self._positions) - 1
        if positions[0] >= self._positions[last] + self._frames[last]:
            held: NDArray[np.float32] = np.tile(self._after[last], (len(positions), 1))
            return held
        index = np.searchsorted(self._positions, positions, side="right") - 1
        index = np.maximum(index, 0)
        done = (positions - self._positions[index]) / self._frames[index]
        share = np.clip(done, 0, 1).astype(np.float32)[:, None]
        before, after = self._before[index], self._after[index]
        values: NDArray[np.float32] = before + share * (after - before)
        return values

    def _append(self, record: np.void, start: int) -> None:
        position = int(record["position"])
        after = np.nan_to_num(record["values"]).astype(np.float32)[None]
        jumps = position == start or not self._positions[-1]  # the first one of all, or of a stream
        before = after if jumps else self.at(np.array([position]))
        kept = (self._positions > position - _KEPT_FRAMES) & (not jumps)
        kept[-1] = not jumps
        frames = max(int(record["frames"]), SHORTEST_RAMP)
        self._positions = np.append(self._positions[kept], position)
        self._frames = np.append(self._frames[kept], frames)
        self._before = np.concatenate([self._before[kept], before])
        self._after = np.concatenate([self._after[kept], after])
