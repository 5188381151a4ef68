"""From lanes to the conditions of the separator's frames, and to the levels of its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation.lane import Lane, Times
from plugin_bridge.control.controls import BY_NAME, MAX_INSTRUMENTS
from plugin_bridge.control.levels import LEVELS, Level, OutputLevels, amplitude
from plugin_bridge.control.target import Target, TimbrePair
from plugin_bridge.control.target_conditions import (
    ANY_INSTRUMENT,
    TargetConditions,
    TargetValues,
    has_own_sources,
    numbers_of,
)
from plugin_bridge.control.target_timbres import TargetTimbres
from realtime.arrays import Audio
from realtime.conditions import Conditions
from realtime.spec import ModelSpec, Tier

Values = Mapping[str, float]  # control -> value
_DEFAULTS = {name: Lane.level(control.default) for name, control in BY_NAME.items()}


class LaneSource(Protocol):
    """Where lanes come from: a file, or controls that are moved while the sound runs."""

    def commit_moves(self, time_s: float) -> None:
        """Put the moves made until now into their lanes, at `time_s`."""

    def lane(self, target: str, name: str) -> Lane | None:
        """Return the lane of a control of a target, if there is one."""

    def parameters(self, target: str) -> list[str]:
        """Return the names ``plugin/parameter`` of lanes for the plugins on a stem, or `ALL`."""


class LaneConditions:
    """A condition source for `Separator`: the values of lanes at the time of each frame.

    The value of frame k is the mean of its lane over `smoothing_s` around the frame's place in
    the input, `Tier.position_of(k)`: jumps become short ramps, and the same lanes give the same
    sound live and offline.

    Parameters
    ----------
    lanes : the lanes; one that is missing is level at the value in `rest`, or at its default.
    targets : names, in the order of the separator.
    tier : of the separator, at its sample rate (``Separator.tier``).
    rest : values of the controls without a lane, by target.
    model : what the model is told; None: directions alone.
    instruments : numbers of the instruments of a target without a lane of them; several make a
        family.
    """

    def __init__(
        self,
        lanes: LaneSource,
        targets: Sequence[str],
        tier: Tier,
        sample_rate: float,
        rest: Mapping[str, Values] | None = None,
        *,
        model: TargetConditions | None = None,
        instruments: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self._model, self._instruments = model, instruments or {}
        self.timbres = model.timbres if model else TargetTimbres(0)
        self.lanes, self.targets, self.tier, self.sample_rate = lanes, targets, tier, sample_rate
        self.origin = 0
        """Where sample 0 of the stream lies in the lanes; a stream that starts anew moves it."""
        self._rest = {
            (target, name): Lane.level(BY_NAME[name].check(value))
            for target, values in (rest or {}).items()
            for name, value in values.items()
        }

    def __call__(self, first_frame: int, frames: int) -> Conditions:
        """Return the conditions (frames, targets, size) of some frames, by name."""
        frame = np.arange(frames, dtype=np.float64)
        positions = self.origin + self.tier.position_of(first_frame) + self.tier.hop * frame
        times_s: Times = positions / self.sample_rate
        self.lanes.commit_moves(float(times_s[0]))
        azimuth, width = self._of_all("azimuth", times_s), self._of_all("width", times_s)
        if self._model is None:
            return {"direction": np.stack([azimuth, width], axis=-1)}
        shares = [self.instrument_shares(target, times_s) for target in self.targets]
        return self._model(
            TargetValues(
                azimuth_deg=azimuth,
                width_deg=width,
                instruments=np.stack(shares, axis=1),
                morph=self._of_all("timbre_morph", times_s),
                strength=self._of_all("strength", times_s),
            ),
            times_s,
        )

    def _of_all(self, name: str, times_s: Times) -> NDArray[np.float32]:
        """Return the values (times, targets) of a control of all targets."""
        out = np.empty((times_s.size, len(self.targets)), np.float32)
        for index, target in enumerate(self.targets):
            out[:, index] = self.values(target, name, times_s)
        return out

    def instrument_shares(self, target: str, times_s: Times) -> NDArray[np.float32]:
        """Return how much of each instrument a target is, (times, `MAX_INSTRUMENTS`)."""
        shares = np.zeros((times_s.size, MAX_INSTRUMENTS), np.float32)
        lane = self.lanes.lane(target, "instrument")
        if lane is None:
            lane = self._rest.get((target, "instrument"))
        if lane is None:
            shares[:, list(self._instruments.get(target, (ANY_INSTRUMENT,)))] = 1
            return shares
        smoothing_s = BY_NAME["instrument"].smoothing_s
        for number, share in lane.shares(times_s - smoothing_s / 2, smoothing_s).items():
            shares[:, int(number)] = share
        return shares

    def values(self, target: str, name: str, times_s: Times) -> Times:
        """Return the smoothed values of a control at `times_s`."""
        control, lane = BY_NAME[name], self.lane_or_default(target, name)
        if lane.constant is not None:
            return np.full(times_s.shape, lane.constant)
        middle = lane.mean(times_s - control.smoothing_s / 2, control.smoothing_s)
        return np.clip(middle, control.low, control.high)

    def lane_or_default(self, target: str, name: str) -> Lane:
        """Return the lane of a control, or the level that stands for it."""
        return self.lanes.lane(target, name) or self._rest.get((target, name)) or _DEFAULTS[name]

    def time_s(self, sample: float) -> float:
        """Return the time in the lanes of a sample of the stream."""
        return (self.origin + sample) / self.sample_rate

    def gain(self, target: str, first_sample: int, samples: int) -> Level:
        """Return the amplitude of the control `gain`: one for all samples, or one for each."""
        return amplitude(self._level(target, "gain", first_sample, samples))

    def levels(self, target: str, first_sample: int, samples: int) -> OutputLevels:
        """Return the levels of a target's output at samples of the input."""
        return OutputLevels(*(self._level(target, name, first_sample, samples) for name in LEVELS))

    def _level(self, target: str, name: str, first_sample: int, samples: int) -> Level:
        """Return the values of a control at samples of the input; one value where it is level."""
        control, lane = BY_NAME[name], self.lane_or_default(target, name)
        first_sample += self.origin
        start_s, end_s = (
            first_sample / self.sample_rate,
            (first_sample + samples) / self.sample_rate,
        )
        reach_s = control.smoothing_s / 2
        constant = lane.constant_between(start_s - reach_s, end_s + reach_s)
        if constant is not None:
            return min(max(constant, control.low), control.high)
        times_s = np.arange(first_sample, first_sample + samples) / self.sample_rate
        return self.values(target, name, times_s)

    def output(
        self, target: str, first_sample: int, mixture: Audio, own: Audio, rest: Audio
    ) -> Audio:
        """Return what a plugin puts out of a mixture, its target and all else (channels, n)."""
        return self.levels(target, first_sample, own.shape[1]).output(mixture, own, rest)

    def outputs(self, first_sample: int, stems: NDArray[np.float32]) -> list[Audio]:
        """Return the outputs of all targets from their stems and the residual.

        Parameters
        ----------
        stems : (stems, channels, n), the residual last; their sum is the mixture.
        """
        mixture = stems.sum(0)
        return [
            self.output(target, first_sample, mixture, own, mixture - own)
            for target, own in zip(self.targets, stems[:-1], strict=True)
        ]

    @property
    def has_unity_levels(self) -> bool:
        """Return whether every output is its target alone: nothing moves its level."""
        return not self.moves(*LEVELS)

    def moves(self, *names: str) -> bool:
        """Return whether a lane or a value of any target moves one of these controls."""
        return any(
            self.lanes.lane(target, name) or (target, name) in self._rest
            for target in self.targets
            for name in names
        )


def conditions_of(
    spec: ModelSpec,
    lanes: LaneSource,
    targets: Sequence[Target],
    tier: Tier,
    sample_rate: float,
    examples: Mapping[str, TimbrePair] | None = None,
) -> LaneConditions:
    """Return what a model is told of targets: their lanes, else what they begin with.

    Parameters
    ----------
    tier : of the separator, at its sample rate.
    examples : timbres of the examples of targets, by name.

    Raises
    ------
    ValueError if a target asks for an instrument or has examples, and the model knows none, or
    for an instrument that is neither in the table nor a source of the model.
    """
    pairs = examples or {}
    told = None
    if has_own_sources(spec) or "timbre" in spec.conditions:
        numbered = [(k, pairs.get(target.name, TimbrePair())) for k, target in enumerate(targets)]
        timbres = TargetTimbres(
            spec.conditions.get("timbre", 0),
            {k: pair.like for k, pair in numbered if pair.like is not None},
            {k: pair.unlike for k, pair in numbered if pair.unlike is not None},
        )
        told = TargetConditions(spec, timbres)
    elif asking := [t.name for t in targets if t.instruments or t.by_timbre]:
        raise ValueError(
            f"model {spec.name!r} knows directions alone, {asking[0]!r} asks for an instrument: "
            "leave --model out, or name another"
        )
    return LaneConditions(
        lanes,
        [target.name for target in targets],
        tier,
        sample_rate,
        {target.name: target.values for target in targets},
        model=told,
        instruments={t.name: numbers_of(t.instruments, spec) or (ANY_INSTRUMENT,) for t in targets},
    )
