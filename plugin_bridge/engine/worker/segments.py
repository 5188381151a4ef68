"""The newest ramps of an instance's controls, kept in arrays that are made once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.engine.shared.ring import VALUES

KEPT = 2048
"""Segments that are kept at least: of a ring's 1024 records and as many overrides between them."""


class Segments:
    """Ramps in rising order of position, one row each; the first row stands for all before it.

    Rows are appended in place. Only when the arrays are full, every `KEPT` rows, does their newer
    half move to the front, so that an automated track copies a row for each record and not all
    that is kept.

    Attributes
    ----------
    position : first sample of the ramp.
    samples : of the ramp, from `before` to `after`, (rows, `VALUES`).
    switch_position, switch_samples : of the instrument's ramp, which may begin in an earlier row.
    song_position : of the host's song at `position`; `rolling` is 1 if it goes on from there.
    from_lane : controls (rows, `VALUES`) that follow their lane, not the ramp.
    """

    def __init__(self) -> None:
        rows = 2 * KEPT
        self.position = np.zeros(rows, np.int64)
        self.samples = np.ones(rows, np.int64)
        self.switch_position = np.zeros(rows, np.int64)
        self.switch_samples = np.ones(rows, np.int64)
        self.song_position = np.zeros(rows, np.int64)
        self.rolling = np.zeros(rows, np.int64)
        self.from_lane = np.zeros((rows, VALUES), np.bool_)
        self.before = np.zeros((rows, VALUES), np.float32)
        self.after = np.zeros((rows, VALUES), np.float32)
        self._columns: tuple[NDArray[np.generic], ...] = (
            self.position, self.samples, self.switch_position, self.switch_samples,
            self.song_position, self.rolling, self.from_lane, self.before, self.after,
        )  # fmt: skip
        self._first, self._end = 0, 1

    @property
    def last(self) -> int:
        """Return the index of the newest row."""
        return self._end - 1

    def append(self) -> int:
        """Append a copy of the newest row; return its index, for all columns."""
        if self._end == 2 * KEPT:
            for column in self._columns:
                column[:KEPT] = column[KEPT:]
            self._first, self._end = max(0, self._first - KEPT), KEPT
        row = self._end
        for column in self._columns:
            column[row] = column[row - 1]
        self._end += 1
        return row

    def forget_before_last(self) -> None:
        """Let the newest row be the first: a stream begins."""
        self._first = self.last

    def find(self, positions: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the index of the row in which each position lies."""
        begun = self.position[self._first : self._end].searchsorted(positions, side="right")
        return np.maximum(begun - 1, 0) + self._first
