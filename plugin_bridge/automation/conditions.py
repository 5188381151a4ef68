"""From lanes to what the separator is told frame by frame, and to the levels of what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation.lane import Lane, Times
from plugin_bridge.control.controls import BY_NAME, MAX_INSTRUMENTS
from plugin_bridge.control.target_conditions import ANY, TargetConditions, TargetValues
from realtime.conditions import Conditions
from realtime.spec import Tier
from realtime.stft import Audio

Values = Mapping[str, float]  # control -> value
LEVELS = ("mix", "mode", "gain", "bypass")
_DEFAULTS = {name: Lane.level(control.default) for name, control in BY_NAME.items()}


class LaneSource(Protocol):
    """Where lanes come from: a file, or a hand that is playing."""

    def advance(self, time_s: float) -> None:
        """Take what has been played until now as played at `time_s`."""

    def lane(self, target: str, name: str) -> Lane | None:
        """The lane of a control of a target, if there is one."""

    def parameters(self, target: str) -> list[str]:
        """Names ``plugin/parameter`` of the lanes for the plugins on a stem."""


class LaneConditions:
    """A condition source for `Separator`: the lanes' values at the time of each frame.

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
        self.lanes, self.targets, self.tier, self.sample_rate = lanes, targets, tier, sample_rate
        self._rest = {
            (target, name): Lane.level(BY_NAME[name].check(value))
            for target, values in (rest or {}).items()
            for name, value in values.items()
        }

    def __call__(self, first_frame: int, frames: int) -> Conditions:
        """Return the conditions (frames, targets, size) of some frames, by name."""
        frame = np.arange(frames, dtype=np.float64)
        positions = self.tier.position_of(first_frame) + self.tier.hop * frame
        times_s: Times = positions / self.sample_rate
        self.lanes.advance(float(times_s[0]))
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
            )
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
            shares[:, list(self._instruments.get(target, (ANY,)))] = 1
            return shares
        smoothing_s = BY_NAME["instrument"].smoothing_s
        for number, share in lane.shares(times_s - smoothing_s / 2, smoothing_s).items():
            shares[:, int(number)] = share
        return shares

    def values(self, target: str, name: str, times_s: Times) -> Times:
        """Smoothed values of a control at `times_s`."""
        control, lane = BY_NAME[name], self.lane_or_default(target, name)
        if lane.constant is not None:
            return np.full(times_s.shape, lane.constant)
        middle = lane.mean(times_s - control.smoothing_s / 2, control.smoothing_s)
        return np.clip(middle, control.low, control.high)

    def lane_or_default(self, target: str, name: str) -> Lane:
        """The lane of a control, or the level that stands for it."""
        return self.lanes.lane(target, name) or self._rest.get((target, name)) or _DEFAULTS[name]

    def gain(self, target: str, first_sample: int, samples: int) -> NDArray[np.float32]:
        """Amplitude factors of the control `gain`, sample by sample; its lowest is silence."""
        return self._amplitude(target, self._times(first_sample, samples)).astype(np.float32)

    def shares(self, target: str, first_sample: int, samples: int) -> tuple[Times, Times]:
        """How much of the target and of all else goes into a target's output, sample by sample.

        By `mode`, `mix`, `gain` and `bypass`, at the samples of the input that the output shows:
        with isolate (target, rest) = (g, g (1 − mix)), with remove the other way round.
        """
        times_s = self._times(first_sample, samples)
        mix, mode, bypass = (
            self.values(target, name, times_s) for name in ("mix", "mode", "bypass")
        )
        own, rest = 1 - mix * mode, 1 - mix * (1 - mode)
        gain = self._amplitude(target, times_s)
        return bypass + (1 - bypass) * gain * own, bypass + (1 - bypass) * gain * rest

    def _times(self, first_sample: int, samples: int) -> Times:
        times_s: Times = np.arange(first_sample, first_sample + samples) / self.sample_rate
        return times_s

    def _amplitude(self, target: str, times_s: Times) -> Times:
        gain_db = self.values(target, "gain", times_s)
        return np.where(gain_db <= BY_NAME["gain"].low, 0.0, 10 ** (gain_db / 20))

    def output(self, target: str, first_sample: int, own: Audio, rest: Audio) -> Audio:
        """What a plugin would put out, from its target and from all else (channels, n)."""
        own_share, rest_share = self.shares(target, first_sample, own.shape[1])
        return (own * own_share + rest * rest_share).astype(np.float32)

    def outputs(self, first_sample: int, stems: NDArray[np.float32]) -> list[Audio]:
        """The outputs of all targets from their stems and the residual (stems, channels, n)."""
        mixture = stems.sum(0)
        return [
            self.output(target, first_sample, own, mixture - own)
            for target, own in zip(self.targets, stems[:-1], strict=True)
        ]

    @property
    def has_unity_levels(self) -> bool:
        """Whether every output is its target alone: nothing moves its level."""
        return not self.moves(*LEVELS)

    def moves(self, *names: str) -> bool:
        """Whether a lane or a value of any target moves one of these controls."""
        return any(
            self.lanes.lane(target, name) or (target, name) in self._rest
            for target in self.targets
            for name in names
        )
