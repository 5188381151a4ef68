"""The main path: blocks of a mixture in, as many samples of every stem out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from realtime.blocks import Fifo, FrameDelay, adapter_delay, check_block, sane
from realtime.conditions import Conditions, ConditionSource, HeldConditions, check_direction
from realtime.joint import JointFilter
from realtime.masks import (
    apply_masks,
    are_gains,
    as_gains,
    checked_masks,
    masked_in_pieces,
    to_bins,
)
from realtime.model import Model, ModelStream
from realtime.selection import SourceSelection, from_anywhere, from_directions
from realtime.sliding import SlidingMasks
from realtime.stft import AT_ONCE, MAX_FRAMES, Audio, Spectra, analyse, synthesise, windows
from realtime.turns import TakingTurns, cuts_between
from realtime.two_answers import TwoAnswers

RESIDUAL = "residual"
TWICE_TIER = "offline"
"""Where there is time for two answers; see `TwoAnswers`."""


class Separator:
    """Separate targets from a stream; what is in no target is the residual.

    For the input x and the output y of `process`, with d = `latency`::

        y[target].sum() + y[residual] = x delayed by d samples    (within 1.2e-7 of full scale)

    and any partition of the input into blocks gives the same output.

    Parameters
    ----------
    model : an `OnnxModel` or anything that keeps `realtime.model.Model`.
    sample_rate : Hz, 32 000 to 192 000; the windows scale with it, nothing is resampled.
    targets : how many, or their names; the model's own where it names them.
    tier : one of those that the model has, by its name in `realtime.spec.TIERS`.
    channels : 2, or 1: a mono mixture is a stereo one with equal channels.
    block_multiple : what every block is a multiple of, for the least latency; None: any sizes.
    conditions : source of the conditions by frame, instead of `set`.
    select : of a model with sources of its own: whether the targets are the user's, each a sum of
        these sources from a direction, by the conditions of `realtime.selection`.
    wait : whether to wait for a run of the model that works beside the stream, so that the output
        depends on the input alone. Real time does not: it counts `late_runs`.

    Attributes
    ----------
    invalid_samples, model_faults : how many samples, and how often masks or activity, were none,
        since it was made.
    activity : (frames, targets) of the newest frames, 0 to 1; None if the model does not tell it.
    on_activity : told the number of a first frame and the activity of it and those after it, which
        holds until the call returns; None: nothing is.
    """

    def __init__(
        self,
        model: Model,
        sample_rate: float,
        *,
        targets: int | Sequence[str] = 1,
        tier: str = "live",
        channels: int = 2,
        block_multiple: int | None = None,
        conditions: ConditionSource | None = None,
        select: bool = False,
        wait: bool = True,
    ) -> None:
        if channels not in (1, 2):
            raise ValueError(
                f"{channels} channels: expected stereo (2) or mono (1); fold down first"
            )
        if block_multiple is not None and block_multiple < 1:
            raise ValueError(f"block_multiple is {block_multiple}, expected samples > 0 or None")
        self._selection = SourceSelection.of(model.spec) if select else None
        names = _target_names(() if select else model.spec.targets, targets)
        self.spec, self.sample_rate, self.channels = model.spec, sample_rate, channels
        self.block_multiple = block_multiple
        self.tier = model.spec.tier_at(tier, sample_rate)
        self.targets: tuple[str, ...] = names
        self.stems: tuple[str, ...] = (*names, RESIDUAL)
        self._stream = self._begin(model, len(model.spec.targets) if select else len(names), tier)
        self._sliding = SlidingMasks(model, self.tier, len(names)) if self.tier.runs else None
        self.wait = wait
        self._sizes = self._selection.conditions if self._selection else dict(model.spec.conditions)
        hop_s = self.tier.hop / sample_rate
        self._held = HeldConditions(self._sizes, len(names), hop_s)
        self._conditions: ConditionSource = conditions or self._held
        self._windows = windows(self.tier)
        self._joint = JointFilter(len(names), hop_s) if model.spec.joint else None
        self.invalid_samples = self.model_faults = 0
        self.on_activity: Callable[[int, NDArray[np.float32]], None] | None = None
        self.reset()

    @property
    def latency(self) -> int:
        """Return by how many samples the output lags behind the input."""
        return self.tier.latency + adapter_delay(self.tier.hop, self.block_multiple)

    @property
    def late_runs(self) -> int:
        """Return how many runs of the model came too late; the masks before went on."""
        return self._sliding.late_runs if self._sliding else 0

    def position_of(self, frame: int) -> float:
        """Sample of the input at the centre of what frame `frame` makes of the output."""
        return self.tier.position_of(frame)

    def set(
        self,
        target: str | int = 0,
        *,
        azimuth_deg: float | None = None,
        width_deg: float | None = None,
        timbre: NDArray[np.float32] | None = None,
        against: NDArray[np.float32] | None = None,
        sources: NDArray[np.float32] | None = None,
    ) -> None:
        """Point a target at a direction or a timbre; it glides there. Safe from any thread.

        Parameters
        ----------
        azimuth_deg : −45 (hard left) to 45 (hard right), by the constant-power law.
        width_deg : 1 to 90, the full opening.
        timbre, against : unit vectors of the model's size, of what is wanted and of what is not;
            zeros say nothing.
        sources : how much of each of the model's own sources it is, with ``select``.

        Raises
        ------
        ValueError for an unknown target, a value out of range or a condition the model lacks.
        """
        index = self._index_of(target)
        if azimuth_deg is not None or width_deg is not None:
            with self._held.setting:  # one may set the azimuth while another sets the width
                azimuth, width = self._goal("direction")[index]
                azimuth = azimuth if azimuth_deg is None else azimuth_deg
                width = width if width_deg is None else width_deg
                check_direction(float(azimuth), float(width))
                self._held.set("direction", index, np.array([azimuth, width], np.float32))
        vectors = {"timbre": timbre, "against": against, "sources": sources}
        for name, vector in vectors.items():
            if vector is not None:
                self._goal(name)
                self._held.set(name, index, np.asarray(vector, np.float32))

    def process(self, block: Audio) -> NDArray[np.float32]:
        """Take a block (channels, n) of any n and give (stems, channels, n), `latency` later.

        Raises
        ------
        TypeError, ValueError if the block is not float32 or of another shape.
        """
        check_block(block, self.channels, self.block_multiple)
        block, damaged = sane(block)
        self.invalid_samples += damaged
        self._feed(block if self.channels == 2 else np.repeat(block, 2, axis=0))
        return self._output.pop(block.shape[1])[:, : self.channels]

    def flush(self) -> NDArray[np.float32]:
        """Give the last `latency` samples (stems, channels, latency); reset."""
        self._feed(np.zeros((2, self.latency + self.tier.hop), np.float32))
        tail = self._output.pop(self.latency)[:, : self.channels]
        self.reset()
        return tail

    def reset(self) -> None:
        """Forget the stream: the next block is the first.

        Conditions that were set stay, and so do the counts of what was wrong.
        """
        tier, stems = self.tier, len(self.stems)
        self.frame = 0
        self.activity: NDArray[np.float32] | None = None
        self._stream.reset()
        if self._sliding:
            self._sliding.reset()
        if self._joint:
            self._joint.reset()
        self._held.reset()
        self._input = Fifo((2,))
        self._output = Fifo((stems, 2), zeros=adapter_delay(tier.hop, self.block_multiple))
        self._history = np.zeros((2, tier.window - tier.hop), np.float32)
        self._ahead = FrameDelay(tier.lookahead, (2, tier.bins))
        self._delayed = Fifo((2,), zeros=tier.latency)
        self._carry = np.zeros((stems - 1, 2, tier.synthesis - tier.hop), np.float32)

    def _begin(self, model: Model, targets: int, tier: str) -> ModelStream:
        twice = model.spec.two_answers and tier == TWICE_TIER

        def stream() -> ModelStream:
            whole = model.stream(targets)
            if not twice:
                return whole
            hop_s = self.tier.turns * self.tier.hop / self.sample_rate
            return TwoAnswers(whole, model.stream(targets), targets, hop_s)

        if self.tier.turns == 1:
            return stream()
        return TakingTurns([stream() for _ in range(self.tier.turns)])

    def _feed(self, samples: Audio) -> None:
        """Separate as many whole hops as there are with these samples (2, n)."""
        hop = self.tier.hop
        self._input.push(samples)
        while frames := min(len(self._input) // hop, MAX_FRAMES):
            self._output.push(self._separate(self._input.pop(frames * hop)))

    def _separate(self, samples: Audio) -> NDArray[np.float32]:
        """Separate whole hops (2, frames · hop) into as much of every stem: the model's path."""
        hop, targets = self.tier.hop, len(self.targets)
        frames = samples.shape[1] // hop
        analysis_window, synthesis_window = self._windows

        signal = np.concatenate([self._history, samples], axis=1)
        self._history = signal[:, frames * hop :]
        spectra = analyse(signal, analysis_window, hop)

        conditions = self._conditions(self.frame, frames)
        self.frame += frames
        told = {} if self._selection else conditions
        masks = self._masks(samples, spectra, told)
        spectra = self._ahead.exchange(spectra)
        pieces: Iterable[tuple[slice, slice, Spectra]]
        if self._selection:
            estimates = self._selection.estimates(masks, spectra, conditions)
            self.activity = self._selection.activity(self.activity, conditions)
            pieces = [(slice(0, frames), slice(0, targets), estimates)]
        elif self._sliding and "direction" in conditions:
            estimates = self._from_directions(masks, spectra, conditions)
            pieces = [(slice(0, frames), slice(0, targets), estimates)]
        else:
            pieces = self._masked(masks, spectra, conditions)
        if self.activity is not None and self.on_activity is not None:
            self.on_activity(self.frame - frames, self.activity)
        out = np.empty((targets + 1, 2, frames * hop), np.float32)
        for when, group, estimates in pieces:
            flat = estimates.reshape(len(estimates), -1, estimates.shape[-1])
            carry = self._carry[group].reshape(flat.shape[1], -1)
            signals = synthesise(flat, synthesis_window, hop, carry)
            place = slice(when.start * hop, when.stop * hop)
            out[:-1][group][:, :, place] = signals.reshape(-1, 2, signals.shape[1])

        self._delayed.push(samples)
        np.subtract(self._delayed.pop(frames * hop), out[:-1].sum(0), out=out[-1])
        return out

    def _masked(
        self, masks: NDArray[np.float32], spectra: Spectra, conditions: Conditions
    ) -> Iterator[tuple[slice, slice, Spectra]]:
        """Apply the masks, those of frames in which all are gains by one filter for all targets.

        Yields as `masked_in_pieces` does.
        """
        azimuth_deg = self._azimuth_deg(conditions)
        joint = are_gains(masks) if self._joint else np.zeros(len(masks), np.bool_)
        for first, last in itertools.pairwise([0, *cuts_between(joint), len(joint)]):
            part = slice(first, last)
            filters, where = masks[part], None if azimuth_deg is None else azimuth_deg[part]
            if self._joint and joint[first]:
                gains, where = as_gains(filters), None
                filters = self._joint.filters(gains, spectra[part], conditions["timbre"][part])
            for when, group, estimates in masked_in_pieces(filters, spectra[part], where, AT_ONCE):
                yield slice(first + when.start, first + when.stop), group, estimates

    def _from_directions(
        self, masks: NDArray[np.float32], spectra: Spectra, conditions: Conditions
    ) -> Spectra:
        """Take targets from their directions; where none has one, by one filter for all."""
        direction = conditions["direction"]
        if self._joint is None:
            return from_directions(masks, spectra, direction)
        free = from_anywhere(direction)
        estimates = np.empty((*masks.shape[:2], *spectra.shape[1:]), np.complex64)
        if free.any():
            filters = self._joint.filters(masks[free], spectra[free], conditions["timbre"][free])
            estimates[free] = apply_masks(filters, spectra[free], None)
        if not free.all():
            estimates[~free] = from_directions(masks[~free], spectra[~free], direction[~free])
        return estimates

    def _masks(
        self, samples: Audio, spectra: Spectra, conditions: Conditions
    ) -> NDArray[np.float32]:
        """Run the model: masks (frames, targets, axes, bins), finite and of all bins."""
        if self._sliding:
            self._sliding.wait = self.wait
            masks = self._sliding.step(samples, conditions)
            self.model_faults = self._sliding.faults
            return to_bins(masks, self.tier.bins)
        outputs = self._stream.step(self._seen(spectra), conditions)
        if "activity" in outputs:
            self.activity = self._sane_activity(outputs["activity"])
        return self._sane_masks(outputs["masks"])

    def _seen(self, spectra: Spectra) -> NDArray[np.float32]:
        """Return the bins that the model sees, as real numbers (frames, 2, bins, 2)."""
        frames, channels, bins = spectra.shape
        real = spectra.view(np.float32).reshape(frames, channels, bins, 2)
        wanted = self.spec.bins or bins
        if wanted <= bins:
            return real[:, :, :wanted]
        return np.pad(real, ((0, 0), (0, 0), (0, wanted - bins), (0, 0)))

    def _sane_masks(self, masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the masks for all bins; count a fault where the model gave invalid ones.

        A model that gives numbers that are not finite is started anew.
        """
        checked, are_valid = checked_masks(masks)
        if not are_valid:
            self.model_faults += 1
            if not np.isfinite(masks).all():
                self._stream.reset()
        return to_bins(checked, self.tier.bins)

    def _sane_activity(self, activity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return activity from 0 to 1; a model that gives other numbers is counted as at fault."""
        if activity.min(initial=0) >= 0 and activity.max(initial=0) <= 1:
            return activity  # of NaN neither is true
        self.model_faults += 1
        return np.nan_to_num(activity).clip(0, 1)

    def _azimuth_deg(self, conditions: Conditions) -> NDArray[np.float32] | None:
        return conditions["direction"][..., 0] if self.spec.mask_axes == "steered" else None

    def _index_of(self, target: str | int) -> int:
        if target in self.targets:
            return self.targets.index(str(target))
        if isinstance(target, int) and 0 <= target < len(self.targets):
            return target
        raise ValueError(f"no target {target!r}; there are {', '.join(self.targets)}")

    def _goal(self, condition: str) -> NDArray[np.float32]:
        if self._conditions is not self._held:
            raise ValueError("the conditions come from a source of their own: change it there")
        if condition not in self._sizes:
            raise ValueError(f"model {self.spec.name!r} takes no {condition}")
        return self._held.goal(condition)


def _target_names(fixed: tuple[str, ...], wanted: int | Sequence[str]) -> tuple[str, ...]:
    if fixed:
        return fixed
    if isinstance(wanted, str):
        raise TypeError(f"targets is {wanted!r}, expected a number or a list of names")
    if isinstance(wanted, int):
        names = ("target",) if wanted == 1 else tuple(f"target{k + 1}" for k in range(wanted))
    else:
        names = tuple(wanted)
    if not names or len(set(names)) < len(names) or RESIDUAL in names:
        raise ValueError(f"targets {names}: expected one or more names, distinct, not 'residual'")
    return names
