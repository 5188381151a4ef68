"""What a model is: the spec an ONNX file carries about itself, and nothing else.

Glossary: a *tier* is one latency setting of a model, a *condition* is what tells it which sound to
take (direction, timbre), a *target* is one sound it takes, a *state* is what it remembers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

from realtime.spec_fields import check_fields, check_memory, fields_of, spec_text

SCHEMA = 1
METADATA_KEY = "stemsteer"
MIN_RATE_HZ, MAX_RATE_HZ = 32_000, 192_000
TIERS = ("direct", "live", "studio", "lookahead", "offline")
ALONE = "alone_"
"""What the names of the states begin with that a graph has for targets told a timbre alone."""
MASK_AXES = {"mixture": 1, "channels": 2, "steered": 4}
"""What the channel axis of the masks means, and its length.

``mixture``: one mask for both channels. ``channels``: left, right. ``steered``: a real filter
(tt, tn, nt, nn) in the target's direction: with T = L cos θ + R sin θ along and
N = R cos θ − L sin θ across it, θ = azimuth + 45°, the target has tt T + tn N along and
nt T + nn N across.
"""


@dataclass(frozen=True)
class Runs:
    """When a model that sees a stretch of sound at once, and remembers nothing, runs over a stream.

    Run r sees the sound up to the end of hop n = (r + 1) · every − 1, and its masks serve the
    frames n + age to n + age + every − 1 of the tier. It sees Hann frames as long as the tier's
    windows; a frame of the tier gets the masks at its own place in time, or the newest.

    Parameters
    ----------
    frames : how many Hann frames a run sees.
    step : samples between them.
    every : hops between runs.
    age : hops between the newest sound that a run saw and the first frame that its masks serve;
        where it is negative they serve frames that the tier's look-ahead holds back.
    partial : how many of the frames at the end reach past the newest sample. They are completed by
        zeros or, if `mirrored`, by the sound reversed.
    fade : frames over which the masks of the run before are cross-faded into its own.
    mirrored : whether the partial frames are completed by the newest sound reversed.
    """

    frames: int
    step: int
    every: int
    age: int = 0
    partial: int = 0
    fade: int = 0
    mirrored: bool = False

    def __post_init__(self) -> None:
        if min(self.frames, self.step, self.every) < 1 or not 0 <= self.partial < self.frames:
            raise ValueError(f"runs need frames, step, every >= 1, partial < frames: {self}")
        if self.mirrored and 2 * self.partial > self.frames:
            raise ValueError(f"runs need half of their frames or fewer mirrored: {self}")
        if not 0 <= self.fade <= self.every:
            raise ValueError(f"runs need a fade of 0 to every: {self}")


@dataclass(frozen=True)
class Tier:
    """One latency setting: a pair of windows and how far ahead the model looks.

    Parameters
    ----------
    window : analysis window and FFT length, samples.
    synthesis : synthesis window, samples, ≤ window; the shorter it is, the lower the latency.
    hop : samples between frames; synthesis is a multiple of it, at least 2 hops.
    lookahead : frames by which the masks lag behind the spectrum.
    runs : for a model that sees a stretch of sound at once; None: it steps frame by frame.
    turns : hops between the frames that a state of the model links: with 2, the states of every
        other frame are those of a stream of their own, as the model was trained on longer hops.
    """

    window: int
    synthesis: int
    hop: int
    lookahead: int = 0
    runs: Runs | None = None
    turns: int = 1

    def __post_init__(self) -> None:
        if self.hop < 1 or self.window < self.synthesis or self.lookahead < 0:
            raise ValueError(f"tier needs 1 <= hop, synthesis <= window, lookahead >= 0: {self}")
        if self.synthesis < 2 * self.hop or self.synthesis % (2 * self.hop):
            raise ValueError(f"synthesis must be a multiple of two hops: {self}")
        if self.window % 2:
            raise ValueError(f"window must be even: {self}")
        if self.turns < 1 or (self.runs and self.turns > 1):
            raise ValueError(f"turns must be 1 or more, and 1 for a model that runs: {self}")
        if self.runs and self.runs.age < -self.lookahead:
            raise ValueError(f"masks of age {self.runs.age} need as much look-ahead: {self}")

    @property
    def bins(self) -> int:
        """Return the bins of a frame, from 0 Hz to half of the sample rate."""
        return self.window // 2 + 1

    @property
    def latency(self) -> int:
        """Return the samples from input to output when the input comes in whole hops."""
        return self.synthesis - self.hop + self.lookahead * self.hop

    def position_of(self, frame: int) -> float:
        """Return the sample of the input at the centre of what frame `frame` makes of the output.

        Counted from the first sample of the stream; it may be half a sample, and negative.
        """
        return (frame + 1 - self.lookahead) * self.hop - self.synthesis / 2

    def scaled(self, factor: float) -> Tier:
        """Return the same tier at a sample rate `factor` times as high."""
        window, synthesis, hop = self.window * factor, self.synthesis * factor, self.hop * factor
        step = self.runs.step * factor if self.runs else 0
        if hop % 1 or synthesis % 1 or window % 1 or step % 1:
            raise ValueError(f"{self} does not scale by {factor} to whole samples")
        runs = replace(self.runs, step=int(step)) if self.runs else None
        return Tier(int(window), int(synthesis), int(hop), self.lookahead, runs, self.turns)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Tier:
        """Make a tier of its fields as JSON has them."""
        runs = fields.get("runs")
        return cls(**{**fields, "runs": Runs(**runs) if runs else None})


@dataclass(frozen=True)
class ModelSpec:
    """Everything the runtime needs to know about a model, stored in its ONNX metadata as JSON.

    Tensors, by name (`frames` is dynamic; `targets` too, unless the model names its targets)::

        spectrum     (frames, channels=2, bins, 2)  float32, real and imaginary part
        <condition>  (frames, targets, size)        float32, one value a frame
        state_<name> (targets, ...)                 float32, zeros at the start
        -> masks     (frames, targets, axes, bins)  float32; axes by `mask_axes`
        -> activity  (frames, targets)              float32 in [0, 1], how surely the target sounds;
                                                    only some models
        -> next_<name>                              the state to feed back

    Masks and activity of step k are of frame k − `Tier.lookahead` of the spectrum.

    A model whose tiers have `runs` has no states. Its spectrum (frames, 2, bins, 2) is that of
    Hann frames scaled so that the window sums to one, and it may ask how many masks are wanted::

        <condition>  (targets, size)                float32, one value a run
        newest       (1,)                           float32, a whole number n
        -> masks     (n, targets, axes, bins)       of the newest n frames; else of all frames

    Such a model is never told a ``direction``: if it is among its conditions, what its masks leave
    is taken from there by the filter of `realtime.selection`.

    Parameters
    ----------
    bins : lowest bins the model sees at its own rate; None: any number, all of them.
    conditions : size of each condition; ``direction`` is (azimuth_deg, width_deg), ``timbre`` a
        unit vector of what is wanted, ``against`` one of what is not; zeros say nothing, and so
        does a direction of (0, 90) beside a timbre.
    targets : names of the targets of a model whose targets are fixed; empty: any number.
    encoder : identity of the encoder whose timbres the model was trained with; empty: none.
    classes : for a model that takes a timbre, the unit vector of every class of instruments. A
        family is the sum of its classes, brought to length one.
    gains_db : how well it was measured, by tier and instrument: SI-SDR of the estimate above that
        of the mixture on real songs, dB.
    joint : whether targets that are told timbres and no directions share one filter, see
        `realtime.joint`; else each is its own mask.
    alone_turns : hops between the frames that a state for timbres alone links, whose name begins
        with `ALONE`: each of them is kept so many times, and these take turns.
    two_answers : whether a timbre in a direction, or against another, is answered by the timbre
        alone as well, where there is time; see `realtime.two_answers`.
    """

    name: str
    tiers: Mapping[str, Tier]
    conditions: Mapping[str, int]
    mask_axes: str
    sample_rate: int = 44_100
    bins: int | None = None
    targets: tuple[str, ...] = ()
    description: str = ""
    licence: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    encoder: str = ""
    classes: Mapping[str, Sequence[float]] = field(default_factory=dict)
    gains_db: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    joint: bool = False
    alone_turns: int = 1
    two_answers: bool = False

    def __post_init__(self) -> None:
        if self.mask_axes not in MASK_AXES:
            raise ValueError(f"mask_axes is {self.mask_axes!r}, expected one of {list(MASK_AXES)}")
        if not self.tiers or not set(self.tiers) <= set(TIERS):
            raise ValueError(f"tiers are {list(self.tiers)}, expected some of {list(TIERS)}")
        if self.mask_axes == "steered" and "direction" not in self.conditions:
            raise ValueError("steered masks need the condition 'direction'")
        if self.conditions.get("direction", 2) != 2:
            raise ValueError("the condition 'direction' has size 2: azimuth_deg, width_deg")
        size = self.conditions.get("timbre", 0)
        if self.conditions.get("against", size) != size:
            raise ValueError("the conditions 'timbre' and 'against' are of one size")
        if all(tier.turns > 1 for tier in self.tiers.values()):
            raise ValueError("no tier has turns of 1, but a model is trained on frames in a row")
        odd = [name for name, vector in self.classes.items() if len(vector) != size]
        if odd:
            raise ValueError(f"the timbre of {odd[0]!r} has not {size} numbers as the condition")
        if not set(self.gains_db) <= set(self.tiers):
            raise ValueError(f"gains of the tiers {list(self.gains_db)}, which it does not have")
        if self.bins is not None and self.bins > min(t.bins for t in self.tiers.values()):
            raise ValueError(f"bins is {self.bins}, expected at most those of the windows")
        if self.joint and not size:
            raise ValueError("a joint filter is of targets with timbres: joint needs 'timbre'")
        if self.alone_turns > 1 and not size:
            raise ValueError("states for timbres alone take turns: alone_turns needs 'timbre'")
        if self.two_answers and not (size and "direction" in self.inputs):
            raise ValueError("two_answers are of timbres in directions: it needs both conditions")
        if self.has_runs:
            self._check_runs()

    def _check_runs(self) -> None:
        if bool(self.targets) == bool(self.inputs) or (self.targets and self.conditions):
            raise ValueError(
                "a model that runs over stretches needs targets of its own and no conditions, or "
                "conditions that its graph is told and no targets"
            )
        if self.conditions and not all(t.runs for t in self.tiers.values()):
            raise ValueError("a model told conditions by the run needs runs in all of its tiers")
        if self.mask_axes == "steered":
            raise ValueError("a model that runs over stretches has no steered masks")

    @property
    def has_runs(self) -> bool:
        """Return whether the model sees a stretch of sound at once, in some tier."""
        return any(tier.runs for tier in self.tiers.values())

    @property
    def trained_tier(self) -> str:
        """Return the first tier whose states link neighbouring frames, as they do in training."""
        return next(name for name, tier in self.tiers.items() if tier.turns == 1)

    @property
    def timbre_encoder(self) -> str:
        """Return the identity of the encoder whose timbres it may be told; empty: of none."""
        return self.encoder if "timbre" in self.conditions else ""

    @property
    def inputs(self) -> dict[str, int]:
        """Return the sizes of the conditions that the graph itself is told."""
        return {
            name: size
            for name, size in self.conditions.items()
            if not (self.has_runs and name == "direction")
        }

    def tier(self, name: str) -> Tier:
        """Return the tier `name`. Raises ValueError if the model does not have it."""
        if name not in self.tiers:
            raise ValueError(
                f"model {self.name!r} has no tier {name!r}; it has {', '.join(self.tiers)}"
            )
        return self.tiers[name]

    def tier_at(self, name: str, rate_hz: float) -> Tier:
        """Return the tier `name` for a sample rate, its windows scaled to keep their duration.

        Raises ValueError as `rate_factor` does, and where the tier has no windows of whole samples
        at that rate, or would ask for too much memory.
        """
        tier, factor = self.tier(name), rate_factor(rate_hz, self.sample_rate)
        try:
            scaled = tier.scaled(factor)
        except ValueError as error:
            raise ValueError(
                f"tier {name!r} of model {self.name!r} has no windows at {rate_hz:g} Hz: {error}"
            ) from error
        check_memory(self.name, scaled, len(self.targets))
        return scaled

    def to_json(self) -> str:
        """Return what an ONNX file carries under `METADATA_KEY`."""
        return spec_text(self, SCHEMA)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read a spec. Raises ValueError that says which field is wrong."""
        fields = fields_of(text, SCHEMA)
        check_fields(fields)
        try:
            tiers = fields["tiers"].items()
            fields["tiers"] = {name: Tier.from_fields(tier) for name, tier in tiers}
            fields["targets"] = tuple(fields.get("targets", ()))
            return cls(**fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the spec lacks a field or has one too many: {error}") from error


def rate_factor(rate_hz: float, model_rate_hz: float) -> float:
    """Return the factor by which windows grow at `rate_hz`, so that bins are within 9 % as wide.

    Of the multiples of 1, 1/2, 1/4 and 1/8 the coarsest that is near enough: whole powers of two
    suit the blocks of hosts, and 48 kHz is then 44.1 kHz with bins 8.8 % wider.

    Raises
    ------
    ValueError for a rate beyond `MIN_RATE_HZ` and `MAX_RATE_HZ`.
    """
    if not isinstance(rate_hz, Real):
        raise TypeError(f"sample rate is {rate_hz!r:.80}, expected a number of Hz")
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise ValueError(
            f"sample rate is {rate_hz:g} Hz, expected {MIN_RATE_HZ} to {MAX_RATE_HZ}: "
            "set the DAW or the sound card to such a rate, or resample the file"
        )
    ratio = rate_hz / model_rate_hz
    for steps in (1, 2, 4, 8):
        factor = round(ratio * steps) / steps
        if factor and 1 / 1.09 <= ratio / factor <= 1.09:
            return factor
    return round(ratio * 8) / 8
