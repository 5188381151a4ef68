"""The main path: blocks of a mixture in, as many samples of every stem out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Audio, Spectra
from realtime.blocks import Fifo, FrameDelay, adapter_delay, check_block, sane
from realtime.conditions import Conditions, ConditionSource, HeldConditions, check_direction
from realtime.estimates import Piece, TargetEstimates
from realtime.masks import to_bins
from realtime.model import Model
from realtime.selection import SourceSelection
from realtime.sliding import SlidingMasks
from realtime.stepped import SteppedMasks
from realtime.stft import MAX_FRAMES, analyse, synthesise, windows

RESIDUAL = "residual"


class Separator:
    """Separate targets from a stream; what is in no target is the residual.

    For the input x and the output y of `process`, with d = `latency`::

        y[target].sum() + y[residual] = x delayed by d samples    (within 1.2e-7 of full scale)

    and any partition of the input into blocks gives the same output, but for the rounding of a
    network, whose sums of several frames at once may differ by 1e-6.

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

    Raises
    ------
    TypeError if `targets` is a single text, or neither a number nor a list. ValueError for another
    number of channels, a `block_multiple` below 1, a sample rate out of range, a tier that the
    model does not have, names that are not distinct, one of which is ``residual`` or which are not
    those that the model has, and for `select` with a model that has no sources of its own.

    Attributes
    ----------
    invalid_samples : how many samples were not finite or out of range, since it was made.
    frame : the number of the next frame, which is that of frames since the stream began.
    activity : (frames, targets), 0 to 1, of the newest frames of the output; None if the model
        gives none. That of frame k is at `position_of(k)` of the input, as the masks are.
    on_activity : called with the number of a first frame and the activity (frames, targets) of it
        and of those after it, which holds until the call returns; None: nothing is called.
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
        hop_s = self.tier.hop / sample_rate
        streamed = len(model.spec.targets) if select else len(names)
        self._sliding = SlidingMasks(model, self.tier, len(names)) if self.tier.runs else None
        self._stepped = None if self.tier.runs else SteppedMasks(model, tier, streamed, hop_s)
        self.wait = wait
        self._sizes = self._selection.conditions if self._selection else dict(model.spec.conditions)
        self._held = HeldConditions(self._sizes, len(names), hop_s)
        self._conditions: ConditionSource = conditions or self._held
        self._windows = windows(self.tier)
        self._estimates = TargetEstimates(
            model.spec, self.tier, sample_rate, len(names), self._selection
        )
        self.invalid_samples = 0
        self.on_activity: Callable[[int, NDArray[np.float32]], None] | None = None
        self.reset()

    @property
    def latency(self) -> int:
        """Return by how many samples the output lags behind the input."""
        return self.tier.latency + adapter_delay(self.tier.hop, self.block_multiple)

    @property
    def model_faults(self) -> int:
        """Return how often masks or activity were not finite or out of range, since it was made."""
        return sum(part.faults for part in (self._sliding, self._stepped) if part)

    @property
    def late_runs(self) -> int:
        """Return how many runs of the model came too late; the masks before went on."""
        return self._sliding.late_runs if self._sliding else 0

    def position_of(self, frame: int) -> float:
        """See `Tier.position_of`."""
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

        All that is given is set, or nothing is.

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
        vectors = {"timbre": timbre, "against": against, "sources": sources}
        values = {
            name: np.asarray(vector, np.float32)
            for name, vector in vectors.items()
            if vector is not None
        }
        for name in values:
            self._goal(name)
        with self._held.setting:  # one may set the azimuth while another sets the width
            if azimuth_deg is not None or width_deg is not None:
                azimuth, width = self._goal("direction")[index]
                azimuth = azimuth if azimuth_deg is None else azimuth_deg
                width = width if width_deg is None else width_deg
                check_direction(float(azimuth), float(width))
                values["direction"] = np.array([azimuth, width], np.float32)
            self._held.set(index, values)

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
        for part in (self._sliding, self._stepped, self._estimates):
            if part:
                part.reset()
        self._held.reset()
        self._input = Fifo((2,))
        self._output = Fifo((stems, 2), zeros=adapter_delay(tier.hop, self.block_multiple))
        self._history = np.zeros((2, tier.window - tier.hop), np.float32)
        self._ahead = FrameDelay(tier.lookahead, (2, tier.bins))
        self._delayed = Fifo((2,), zeros=tier.latency)
        self._carry = np.zeros((stems - 1, 2, tier.synthesis - tier.hop), np.float32)

    def _feed(self, samples: Audio) -> None:
        """Separate as many whole hops as there are with these samples (2, n)."""
        hop = self.tier.hop
        self._input.push(samples)
        while frames := min(len(self._input) // hop, MAX_FRAMES):
            self._output.push(self._separate(self._input.pop(frames * hop)))

    def _separate(self, samples: Audio) -> NDArray[np.float32]:
        """Separate whole hops (2, frames · hop) into as much of every stem: the model's path."""
        first, frames = self.frame, samples.shape[1] // self.tier.hop
        spectra = self._analysed(samples)
        conditions = self._conditions(first, frames)
        self.frame += frames
        masks = self._masks(samples, spectra, conditions)
        if self.activity is not None and self.on_activity is not None:
            self.on_activity(first, self.activity)
        pieces = self._estimates.of(masks, self._ahead.exchange(spectra), conditions)
        return self._synthesised(pieces, samples)

    def _analysed(self, samples: Audio) -> Spectra:
        """Return the spectra (frames, 2, bins) of the frames that end with these hops."""
        signal = np.concatenate([self._history, samples], axis=1)
        self._history = signal[:, samples.shape[1] :]
        return analyse(signal, self._windows[0], self.tier.hop)

    def _masks(
        self, samples: Audio, spectra: Spectra, conditions: Conditions
    ) -> NDArray[np.float32]:
        """Run the model: masks (frames, targets or sources, axes, bins), finite and of all bins."""
        inputs = {} if self._selection else conditions
        if self._sliding:
            self._sliding.wait = self.wait
            masks = self._sliding.step(samples, inputs)
        else:
            assert self._stepped
            masks = self._stepped.step(spectra, inputs)
            self.activity = self._stepped.activity
        if self._selection:
            self.activity = self._selection.activity(self.activity, conditions)
        return to_bins(masks, self.tier.bins)

    def _synthesised(self, pieces: Iterable[Piece], samples: Audio) -> NDArray[np.float32]:
        """Return the stems (stems, 2, frames · hop): the targets, and what is left of the mixture.

        Parameters
        ----------
        samples : (2, frames · hop) of the mixture, that have come in.
        """
        hop, size = self.tier.hop, samples.shape[1]
        out = np.empty((len(self.stems), 2, size), np.float32)
        for when, group, estimates in pieces:
            flat = estimates.reshape(len(estimates), -1, estimates.shape[-1])
            carry = self._carry[group].reshape(flat.shape[1], -1)
            signals = synthesise(flat, self._windows[1], hop, carry)
            place = slice(when.start * hop, when.stop * hop)
            out[:-1][group][:, :, place] = signals.reshape(-1, 2, signals.shape[1])

        self._delayed.push(samples)
        np.subtract(self._delayed.pop(size), out[:-1].sum(0), out=out[-1])
        return out

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
    if isinstance(wanted, str) or not isinstance(wanted, int | Sequence):
        raise TypeError(f"targets is {wanted!r}, expected a number or a list of names")
    if fixed:
        own = wanted in (1, len(fixed)) if isinstance(wanted, int) else tuple(wanted) == fixed
        if not own:
            raise ValueError(
                f"targets is {wanted!r}, but the model has its own: {', '.join(fixed)}"
            )
        return fixed
    if isinstance(wanted, int):
        names = ("target",) if wanted == 1 else tuple(f"target{k + 1}" for k in range(wanted))
    else:
        names = tuple(wanted)
    if not names or len(set(names)) < len(names) or RESIDUAL in names:
        raise ValueError(f"targets {names}: expected one or more names, distinct, not 'residual'")
    return names
