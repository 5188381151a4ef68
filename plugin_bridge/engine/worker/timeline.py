"""The controls of an instance over time: its plugin's parameters, overrides from outside, lanes.

What moved last has a control. A lane has its controls from the start of the song on, until the
plugin or an override moves them; an override stays until the plugin's parameter moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation.lane import Lane
from plugin_bridge.control.controls import BY_NAME, CONTROLS, MAX_INSTRUMENTS
from plugin_bridge.engine.shared.control_page import Overrides
from plugin_bridge.engine.shared.ring import RECORDS, VALUES, SharedRing
from plugin_bridge.engine.worker.segments import Segments

SHORTEST_RAMP = 256  # samples; faster changes click
_BYPASS = BY_NAME["bypass"].id
_INSTRUMENT = BY_NAME["instrument"].id
_LEARN = BY_NAME["learn"].id
_ALL = tuple(range(VALUES))

Positions = NDArray[np.int64]
Values = NDArray[np.float32]


class ControlTimeline:
    """Values of the controls at any position: straight lines from record to record.

    A record holds values from its position on; they are reached after its samples, or 256 of them
    if that is later. So a value depends on records that came before it alone, and
    the timeline is the same however far the plugin is ahead of the engine. An override is spread
    over the control's smoothing time. A switch of instrument takes as long as the ramp with which
    it began, whatever moves meanwhile. A lane gives the mean over the smoothing time around the
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
        self._n_read = 0
        self._inherited = overrides or {}
        self._host_values: Values | None = None  # the plugin's parameters
        self._overridden = np.zeros(VALUES, np.bool_)
        self._segments = Segments()
        self.changes = 0  # of any value, counted
        self.learns = 0  # times that the plugin's switch was switched on since the history
        self._settle()

    def update(self, start: int) -> None:
        """Read the records written since; `start` is the first position of the stream.

        The first records that it finds are history: another process served the instance then, so
        `learns` does not count them.
        """
        recorded = self._ring["recorded"]
        if recorded == self._n_read:
            return
        is_history = self._n_read == 0
        for number in range(max(self._n_read, recorded - RECORDS), recorded):
            self._read_record(self._ring.records[number % RECORDS], start)
        self._n_read = recorded
        if is_history:
            self.learns = 0
        if self._inherited and self._host_values is not None:
            self._inherit(self._host_values)

    @property
    def follows_lanes(self) -> bool:
        """Return whether values may move without a record or an override."""
        return bool(self._led)

    @property
    def overridden(self) -> NDArray[np.bool_]:
        """Return which controls are overridden from outside."""
        segments = self._segments
        overridden: NDArray[np.bool_] = self._overridden & ~segments.from_lane[segments.last]
        return overridden

    @property
    def host_values(self) -> Values:
        """Return the plugin's parameters; NaN where they are not known yet."""
        if self._host_values is None:
            return np.full(VALUES, np.nan, np.float32)
        return self._host_values

    def override(self, control: int, value: float, position: int) -> None:
        """Set a control from outside, from `position` on or from the last record if it is later."""
        smoothing = CONTROLS[control].smoothing_s * self._ring.rate_hz
        row = self._append(position, max(SHORTEST_RAMP, round(smoothing)))
        segments = self._segments
        since = segments.position[row] - segments.position[row - 1]
        segments.song_position[row] += segments.rolling[row] * since
        segments.after[row, control] = value
        segments.from_lane[row, control] = False
        self._switch(row)
        self._overridden[control] = True
        self._settle()

    def follow(self, lanes: Mapping[int, Lane], position: int) -> None:
        """Follow other lanes from `position` on; they have their controls if the song goes on."""
        if lanes == self._lanes:
            return
        row = self._append(position, SHORTEST_RAMP)
        segments = self._segments
        since = segments.position[row] - segments.position[row - 1]
        segments.song_position[row] += segments.rolling[row] * since
        segments.from_lane[row] = False
        if segments.rolling[row]:
            segments.from_lane[row, list(lanes)] = True
            segments.from_lane[row] &= ~self._overridden
        self._lanes = lanes
        self._switch(row)
        self._settle()

    def constant_between(self, first: int, end: int, controls: Sequence[int]) -> list[float] | None:
        """Return the values of some controls if none moves between two positions, else None.

        The fast path of `values_at`, which takes much longer.
        """
        if first < self._rests_from:
            return None
        values = [self._resting[control] for control in controls]
        for index, control in enumerate(controls):
            if control in self._led:
                constant = self._lane_constant(control, first, end)
                if constant is None:
                    return None
                values[index] = constant
        return values

    def values_at(self, positions: Positions, controls: Sequence[int] = _ALL) -> Values:
        """Return the values (positions, controls) at positions in rising order.

        The column of the instrument says nothing: a choice has `instrument_shares`.
        """
        segments, rows = self._segments, self._segments.find(positions)
        done = (positions - segments.position[rows]) / segments.samples[rows]
        share = np.clip(done, 0, 1).astype(np.float32)[:, None]
        column = rows[:, None], np.asarray(controls)
        before = segments.before[column]
        values: Values = before + share * (segments.after[column] - before)
        for index, control in enumerate(controls):
            if control in self._lanes:
                follows = segments.from_lane[rows, control]
                if follows.any():
                    songs = self._song_positions(rows[follows], positions[follows])
                    values[follows, index] = self._lane_values(control, songs)
        return values

    def instrument_shares(self, positions: Positions) -> Values:
        """Return how much of each instrument is asked for, (positions, `MAX_INSTRUMENTS`).

        A choice has no values between its numbers: while it changes, the old one and the new one
        have their shares of the ramp with which the switch began.
        """
        segments, rows = self._segments, self._segments.find(positions)
        since = positions - segments.switch_position[rows]
        done = np.clip(since / segments.switch_samples[rows], 0, 1)
        shares = np.zeros((positions.size, MAX_INSTRUMENTS), np.float32)
        each = np.arange(positions.size)
        np.add.at(shares, (each, _numbers(segments.before[rows, _INSTRUMENT])), 1 - done)
        np.add.at(shares, (each, _numbers(segments.after[rows, _INSTRUMENT])), done)
        follows = segments.from_lane[rows, _INSTRUMENT]
        if follows.any():
            songs = self._song_positions(rows[follows], positions[follows])
            smoothing_s = CONTROLS[_INSTRUMENT].smoothing_s
            starts_s = songs / self._ring.rate_hz - smoothing_s / 2
            shares[follows] = 0
            for number, share in self._lanes[_INSTRUMENT].shares(starts_s, smoothing_s).items():
                shares[follows, int(number)] = share
        return shares

    def target_values(self, position: int) -> Values:
        """Return the values that ramps are going to, and those of the lanes at `position`."""
        values: Values = self._segments.after[self._segments.last].copy()
        self._follow_lanes(values, position)
        return values

    def _song_positions(self, rows: NDArray[np.intp], positions: Positions) -> Positions:
        segments = self._segments
        since = positions - segments.position[rows]
        songs: Positions = segments.song_position[rows] + segments.rolling[rows] * since
        return songs

    def _lane_values(self, control: int, song_positions: Positions) -> NDArray[np.float64]:
        row = CONTROLS[control]
        starts_s = song_positions / self._ring.rate_hz - row.smoothing_s / 2
        return np.clip(self._lanes[control].mean(starts_s, row.smoothing_s), row.low, row.high)

    def _lane_constant(self, control: int, first: int, end: int) -> float | None:
        """Return the value of a lane if it is level between two positions of the last segment."""
        segments, last = self._segments, self._segments.last
        song, since = int(segments.song_position[last]), self._begun
        rolling, reach_s = int(segments.rolling[last]), CONTROLS[control].smoothing_s / 2
        start_s = (song + rolling * (first - since)) / self._ring.rate_hz - reach_s
        end_s = (song + rolling * (end - since)) / self._ring.rate_hz + reach_s
        return self._lanes[control].constant_between(start_s, end_s)

    def _read_record(self, record: np.void, start: int) -> None:
        position = int(record["position"])
        values = np.nan_to_num(record["values"]).astype(np.float32)
        begins = self._host_values is None
        moved = np.zeros(VALUES, np.bool_) if begins else values != self._host_values
        self._host_values = values
        self.learns += int(moved[_LEARN] and values[_LEARN] > 0.5)
        self._overridden &= ~moved
        row = self._append(position, max(int(record["samples"]), SHORTEST_RAMP))
        segments = self._segments
        rolling = record["rolling"] != 0
        segments.song_position[row] = record["song_position"]
        if not rolling and self._ring["offline"]:
            segments.song_position[row], rolling = position - start, True
        segments.rolling[row] = rolling
        np.copyto(segments.after[row], values, where=~self._overridden)
        if not self._overridden[_BYPASS]:
            segments.after[row, _BYPASS] = 0  # the plugin's own is done by the plugin
        if self._lanes:
            if rolling and not segments.rolling[row - 1]:
                segments.from_lane[row, list(self._lanes)] = True
            segments.from_lane[row] &= ~moved
        self._switch(row)
        if begins or position == start:  # the first one of all, or of a stream
            segments.before[row] = segments.after[row]
            segments.forget_before_last()
        self._settle()

    def _inherit(self, host_values: Values) -> None:
        """Override again what was overridden, where the plugin's parameter has not moved since."""
        segments, last = self._segments, self._segments.last
        for control, (value, host_value) in self._inherited.items():
            if np.isnan(host_value) or host_value == host_values[control]:
                segments.before[last, control] = segments.after[last, control] = value
                segments.from_lane[last, control] = False
                self._overridden[control] = True
        self._inherited = {}
        self._settle()

    def _append(self, position: int, samples: int) -> int:
        """Begin a ramp where the values are at `position`; return its row.

        It goes to where the last one went until its `after` is changed.
        """
        segments = self._segments
        position = max(position, self._begun)
        values = self._last_values(position)
        row = segments.append()
        segments.position[row], segments.samples[row] = position, samples
        segments.before[row] = values
        return row

    def _switch(self, row: int) -> None:
        """Begin a switch of instrument if it moves at the newest row; else let one go on."""
        segments, last = self._segments, row - 1
        leaves_lane = segments.from_lane[last, _INSTRUMENT] > segments.from_lane[row, _INSTRUMENT]
        if leaves_lane or segments.after[row, _INSTRUMENT] != segments.after[last, _INSTRUMENT]:
            segments.switch_position[row] = segments.position[row]
            segments.switch_samples[row] = segments.samples[row]
        else:
            segments.before[row, _INSTRUMENT] = segments.before[last, _INSTRUMENT]

    def _last_values(self, position: int) -> Values:
        """Return the values at a position of the last segment: `values_at` for one, and quicker."""
        segments, last = self._segments, self._segments.last
        share = np.float32(min((position - self._begun) / (self._reached - self._begun), 1.0))
        before = segments.before[last]
        values: Values = before + share * (segments.after[last] - before)
        switched = 2 * (position - segments.switch_position[last]) >= segments.switch_samples[last]
        nearer = segments.after[last] if switched else before
        values[_INSTRUMENT] = nearer[_INSTRUMENT]
        self._follow_lanes(values, position)
        return values

    def _follow_lanes(self, values: Values, position: int) -> None:
        for control in self._led:
            song = self._song_positions(np.array([self._segments.last]), np.array([position]))
            values[control] = self._lane_values(control, song)[0]

    def _settle(self) -> None:
        """Note where, and with what, the last segment ends."""
        segments, last = self._segments, self._segments.last
        self._begun = int(segments.position[last])
        self._reached = self._begun + int(segments.samples[last])
        switched = int(segments.switch_position[last] + segments.switch_samples[last])
        self._rests_from = max(self._reached, switched)
        self._resting: list[float] = segments.after[last].tolist()
        self._led = [control for control in self._lanes if segments.from_lane[last, control]]
        self.changes += 1


def _numbers(values: Values) -> NDArray[np.intp]:
    """Return the numbers of instruments that values stand for."""
    return np.clip(np.rint(values), 0, MAX_INSTRUMENTS - 1).astype(np.intp)
