"""The course of an instance's controls: its plugin's parameters, hands outside, and lanes.

What moved last has a control. A lane has its controls from the start of the song on, until the
plugin or a hand moves them; a hand's value stays until the plugin's parameter moves.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation.lane import Lane
from plugin_bridge.control.controls import BY_NAME, CONTROLS
from plugin_bridge.engine.shared.control_page import Held
from plugin_bridge.engine.shared.ring import RECORDS, VALUES, SharedRing

SHORTEST_RAMP = 256  # frames; faster changes click
_KEPT_FRAMES = 1 << 17
_BYPASS = BY_NAME["bypass"].id
_SEGMENT = np.dtype(
    [
        ("position", "<i8"),
        ("frames", "<i8"),
        ("song", "<i8"),  # place in the host's song at `position`
        ("rolling", "<i8"),  # 1: the song goes on from there
        ("led", "?", (VALUES,)),  # by a lane
        ("before", "<f4", (VALUES,)),
        ("after", "<f4", (VALUES,)),
    ]
)


class ControlTimeline:
    """Values at any position: straight lines from one record's values to the next one's.

    A record holds a block's values; they are reached at the end of the block, or 256 frames after
    its beginning, whichever is later. So a value depends on records that came before it alone, and
    the course is the same however far the plugin is ahead of the engine. A hand's move is spread
    over the control's smoothing time. A lane gives the mean over the smoothing time around the
    place in the song, as it does offline; where the host renders and its song stands, because it
    has none, the song is the stream.

    Parameters
    ----------
    lanes : by id of the control.
    held : what hands held of the instance before. It is theirs again where the plugin's parameter
        has not moved since.
    """

    def __init__(
        self, ring: SharedRing, lanes: Mapping[int, Lane] | None = None, held: Held | None = None
    ) -> None:
        self._ring, self._lanes = ring, lanes or {}
        self._read = 0
        self._before = held or {}
        self._asked: NDArray[np.float32] | None = None  # what the plugin's parameters are
        self._by_hand = np.zeros(VALUES, np.bool_)
        self._segments = np.zeros(1, _SEGMENT)
        self._segments["frames"] = 1
        self._settle()

    def update(self, start: int) -> None:
        """Take the records written since; `start` is the first position of the stream."""
        recorded = self._ring["recorded"]
        first = max(self._read, recorded - RECORDS)
        for number in range(first, recorded):
            self._take(self._ring.records[number % RECORDS], start)
        self._read = recorded
        if self._before and self._asked is not None:
            self._take_up(self._asked)

    @property
    def held(self) -> NDArray[np.bool_]:
        """Which controls a hand has."""
        held: NDArray[np.bool_] = self._by_hand & ~self._segments[-1]["led"]
        return held

    @property
    def asked(self) -> NDArray[np.float32]:
        """The plugin's parameters; NaN: not known yet."""
        return np.full(VALUES, np.nan, np.float32) if self._asked is None else self._asked

    def move(self, control: int, value: float, position: int) -> None:
        """A hand moves a control, from `position` on or from the last record if that is later."""
        last = self._segments[-1]
        segment = last.copy()
        segment["position"] = max(position, int(last["position"]))
        segment["song"] += segment["rolling"] * (segment["position"] - last["position"])
        smoothing = CONTROLS[control].smoothing_s * self._ring.rate_hz
        segment["frames"] = max(SHORTEST_RAMP, round(smoothing))
        segment["after"][control] = value
        segment["led"][control] = False
        self._by_hand[control] = True
        self._append(segment, jumps=False)

    def still(self, position: int) -> list[float] | None:
        """The values, if nothing is on its way from `position` on; soon told, unlike `at`."""
        return None if self._lanes or position < self._reached else self._resting

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Values (positions, parameters) at positions in rising order."""
        segments = self._segments
        index = np.searchsorted(segments["position"], positions, side="right") - 1
        index = np.maximum(index, 0)
        found = segments[index]
        done = (positions - found["position"]) / found["frames"]
        share = np.clip(done, 0, 1).astype(np.float32)[:, None]
        values: NDArray[np.float32] = found["before"] + share * (found["after"] - found["before"])
        if self._lanes:
            self._follow_lanes(values, positions, segments[index])
        return values

    def goal(self, position: int) -> NDArray[np.float32]:
        """The values that are on their way: those of the last record and move, and the lanes'."""
        values: NDArray[np.float32] = self._segments["after"][-1:].copy()
        if self._lanes:
            self._follow_lanes(values, np.array([position]), self._segments[-1:])
        goal: NDArray[np.float32] = values[0]
        return goal

    def _follow_lanes(
        self, values: NDArray[np.float32], positions: NDArray[np.int64], found: np.ndarray
    ) -> None:
        rate_hz = self._ring.rate_hz
        songs = found["song"] + found["rolling"] * (positions - found["position"])
        for control, lane in self._lanes.items():
            led = found["led"][:, control]
            if led.any():
                smoothing_s = CONTROLS[control].smoothing_s
                middle = lane.mean(songs[led] / rate_hz - smoothing_s / 2, smoothing_s)
                values[led, control] = middle

    def _take(self, record: np.void, start: int) -> None:
        position = int(record["position"])
        asked = np.nan_to_num(record["values"]).astype(np.float32)
        begins = self._asked is None
        moved = np.zeros(VALUES, np.bool_) if self._asked is None else asked != self._asked
        self._asked = asked
        self._by_hand &= ~moved
        last = self._segments[-1]
        segment = last.copy()
        segment["position"], segment["frames"] = position, max(record["frames"], SHORTEST_RAMP)
        segment["song"], segment["rolling"] = record["song"], record["rolling"] != 0
        if not record["rolling"] and self._ring["offline"]:
            segment["song"], segment["rolling"] = position - start, 1
        segment["after"] = np.where(self._by_hand, last["after"], asked)
        if not self._by_hand[_BYPASS]:
            segment["after"][_BYPASS] = 0  # the plugin's own is done by the plugin
        if segment["rolling"] and not last["rolling"]:
            segment["led"][list(self._lanes)] = True
        segment["led"] &= ~moved
        self._append(segment, jumps=begins or position == start)

    def _take_up(self, asked: NDArray[np.float32]) -> None:
        last = self._segments[-1]
        for control, (value, asked_then) in self._before.items():
            if np.isnan(asked_then) or asked_then == asked[control]:
                last["before"][control] = last["after"][control] = value
                last["led"][control] = False
                self._by_hand[control] = True
        self._before = {}
        self._settle()

    def _append(self, segment: np.void, *, jumps: bool) -> None:
        position = int(segment["position"])
        if jumps:  # the first one of all, or of a stream
            segment["before"] = segment["after"]
            kept = self._segments[:0]
        else:
            segment["before"] = self.at(np.array([position]))[0]
            kept = self._segments[self._segments["position"] > position - _KEPT_FRAMES]
        self._segments = np.append(kept, segment)
        self._settle()

    def _settle(self) -> None:
        """Note where, and with what, the last segment ends."""
        last = self._segments[-1]
        self._reached = int(last["position"] + last["frames"])
        self._resting: list[float] = last["after"].tolist()
