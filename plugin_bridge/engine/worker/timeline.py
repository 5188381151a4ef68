"""The controls of an instance over time: its plugin's parameters, overrides from outside, lanes.

What moved last has a control. A lane has its controls from the start of the song on, until the
plugin or an override moves them; an override stays until the plugin's parameter moves.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation.lane import Lane
from plugin_bridge.control.controls import BY_NAME, CONTROLS
from plugin_bridge.engine.shared.control_page import Overrides
from plugin_bridge.engine.shared.ring import RECORDS, VALUES, SharedRing

SHORTEST_RAMP = 256  # samples; faster changes click
_KEPT_SAMPLES = 1 << 17
_BYPASS = BY_NAME["bypass"].id
_SEGMENT = np.dtype(
    [
        ("position", "<i8"),
        ("samples", "<i8"),  # of the ramp from `before` to `after`
        ("song_position", "<i8"),  # of the host's song at `position`
        ("rolling", "<i8"),  # 1: the song goes on from there
        ("from_lane", "?", (VALUES,)),  # follows its lane, not the ramp
        ("before", "<f4", (VALUES,)),
        ("after", "<f4", (VALUES,)),
    ]
)


class ControlTimeline:
    """Values of the controls at any position: straight lines from record to record.

    A record holds a block's values; they are reached at the end of the block, or 256 samples after
    its beginning, whichever is later. So a value depends on records that came before it alone, and
    the timeline is the same however far the plugin is ahead of the engine. An override is spread
    over the control's smoothing time. A lane gives the mean over the smoothing time around the
    song position, as it does offline; where the host renders and its song stands, because it has
    none, the song is the stream.

    Parameters
    ----------
    lanes : by id of the control.
    overrides : of the process that served the instance before. They hold again where the plugin's
        parameter has not moved since.
    """

    def __init__(
        self,
        ring: SharedRing,
        lanes: Mapping[int, Lane] | None = None,
        overrides: Overrides | None = None,
    ) -> None:
        self._ring, self._lanes = ring, lanes or {}
        self._read = 0
        self._inherited = overrides or {}
        self._host_values: NDArray[np.float32] | None = None  # the plugin's parameters
        self._overridden = np.zeros(VALUES, np.bool_)
        self._segments = np.zeros(1, _SEGMENT)
        self._segments["samples"] = 1
        self._settle()

    def update(self, start: int) -> None:
        """Read the records written since; `start` is the first position of the stream."""
        recorded = self._ring["recorded"]
        first = max(self._read, recorded - RECORDS)
        for number in range(first, recorded):
            self._read_record(self._ring.records[number % RECORDS], start)
        self._read = recorded
        if self._inherited and self._host_values is not None:
            self._inherit(self._host_values)

    @property
    def overridden(self) -> NDArray[np.bool_]:
        """Return which controls are overridden from outside."""
        overridden: NDArray[np.bool_] = self._overridden & ~self._segments[-1]["from_lane"]
        return overridden

    @property
    def host_values(self) -> NDArray[np.float32]:
        """Return the plugin's parameters; NaN where they are not known yet."""
        if self._host_values is None:
            return np.full(VALUES, np.nan, np.float32)
        return self._host_values

    def override(self, control: int, value: float, position: int) -> None:
        """Set a control from outside, from `position` on or from the last record if it is later."""
        last = self._segments[-1]
        segment = last.copy()
        segment["position"] = max(position, int(last["position"]))
        segment["song_position"] += segment["rolling"] * (segment["position"] - last["position"])
        smoothing = CONTROLS[control].smoothing_s * self._ring.rate_hz
        segment["samples"] = max(SHORTEST_RAMP, round(smoothing))
        segment["after"][control] = value
        segment["from_lane"][control] = False
        self._overridden[control] = True
        self._append(segment, jumps=False)

    def constant_after(self, position: int) -> list[float] | None:
        """Return constant values after `position`, or None while a ramp runs or there are lanes.

        The fast path of `values_at`.
        """
        return None if self._lanes or position < self._reached else self._resting

    def values_at(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the values (positions, controls) at positions in rising order."""
        segments = self._segments
        index = np.searchsorted(segments["position"], positions, side="right") - 1
        index = np.maximum(index, 0)
        found = segments[index]
        done = (positions - found["position"]) / found["samples"]
        share = np.clip(done, 0, 1).astype(np.float32)[:, None]
        values: NDArray[np.float32] = found["before"] + share * (found["after"] - found["before"])
        if self._lanes:
            self._follow_lanes(values, positions, segments[index])
        return values

    def target_values(self, position: int) -> NDArray[np.float32]:
        """Return the values that ramps are going to, and those of the lanes at `position`."""
        values: NDArray[np.float32] = self._segments["after"][-1:].copy()
        if self._lanes:
            self._follow_lanes(values, np.array([position]), self._segments[-1:])
        targets: NDArray[np.float32] = values[0]
        return targets

    def _follow_lanes(
        self, values: NDArray[np.float32], positions: NDArray[np.int64], found: np.ndarray
    ) -> None:
        rate_hz = self._ring.rate_hz
        song = found["song_position"] + found["rolling"] * (positions - found["position"])
        for control, lane in self._lanes.items():
            follows = found["from_lane"][:, control]
            if follows.any():
                smoothing_s = CONTROLS[control].smoothing_s
                starts_s = song[follows] / rate_hz - smoothing_s / 2
                values[follows, control] = lane.mean(starts_s, smoothing_s)

    def _read_record(self, record: np.void, start: int) -> None:
        position = int(record["position"])
        values = np.nan_to_num(record["values"]).astype(np.float32)
        begins = self._host_values is None
        moved = np.zeros(VALUES, np.bool_) if begins else values != self._host_values
        self._host_values = values
        self._overridden &= ~moved
        last = self._segments[-1]
        segment = last.copy()
        segment["position"], segment["samples"] = position, max(record["samples"], SHORTEST_RAMP)
        segment["song_position"], segment["rolling"] = (
            record["song_position"],
            record["rolling"] != 0,
        )
        if not record["rolling"] and self._ring["offline"]:
            segment["song_position"], segment["rolling"] = position - start, 1
        segment["after"] = np.where(self._overridden, last["after"], values)
        if not self._overridden[_BYPASS]:
            segment["after"][_BYPASS] = 0  # the plugin's own is done by the plugin
        if segment["rolling"] and not last["rolling"]:
            segment["from_lane"][list(self._lanes)] = True
        segment["from_lane"] &= ~moved
        self._append(segment, jumps=begins or position == start)

    def _inherit(self, host_values: NDArray[np.float32]) -> None:
        """Override again what was overridden, where the plugin's parameter has not moved since."""
        last = self._segments[-1]
        for control, (value, host_value) in self._inherited.items():
            if np.isnan(host_value) or host_value == host_values[control]:
                last["before"][control] = last["after"][control] = value
                last["from_lane"][control] = False
                self._overridden[control] = True
        self._inherited = {}
        self._settle()

    def _append(self, segment: np.void, *, jumps: bool) -> None:
        position = int(segment["position"])
        if jumps:  # the first one of all, or of a stream
            segment["before"] = segment["after"]
            kept = self._segments[:0]
        else:
            segment["before"] = self.values_at(np.array([position]))[0]
            kept = self._segments[self._segments["position"] > position - _KEPT_SAMPLES]
        self._segments = np.append(kept, segment)
        self._settle()

    def _settle(self) -> None:
        """Note where, and with what, the last segment ends."""
        last = self._segments[-1]
        self._reached = int(last["position"] + last["samples"])
        self._resting: list[float] = last["after"].tolist()
