"""Masks of a model that sees a stretch of sound at once: it runs every few hops, beside them."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from math import gcd

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Audio, Floats, Spectra
from realtime.conditions import NO_CONDITIONS, Conditions
from realtime.masks import checked_masks, dry_masks
from realtime.model import Model
from realtime.moving_masks import MovingMasks
from realtime.spec import MASK_AXES, Tier
from realtime.stft import MAX_FRAMES, analyse_roughly

Masks = NDArray[np.float32]  # ([frames,] targets, axes, bins)


class SlidingMasks:
    """Give every frame of a stream the masks of the run that serves it, by `realtime.spec.Runs`.

    Equation: frame k has masks of run ⌊(k − age + 1) / every⌋ − 1, so they depend on its position
    alone, however the stream is cut. Frames before those of the first run are dry.

    A run whose masks are not needed in the same hop works on a thread of its own. `step` waits for
    the run that a frame needs, unless `wait` is False: then a run that is late is counted, the last
    masks go on, and no other begins until it has ended.

    A run that works beside the hops has the conditions of the hop with which it begins, so the
    masks of a frame have those of age + look-ahead to age + look-ahead + every − 1 hops before.
    One whose masks are needed at once may serve for seconds: where conditions change meanwhile, the
    masks of each frame are those of its own, see `realtime.moving_masks`. The overlap of the
    frames cross-fades between them.

    Parameters
    ----------
    targets : how many, of a model that is told conditions.
    """

    def __init__(self, model: Model, tier: Tier, targets: int = 0) -> None:
        assert tier.runs is not None
        self._model, self._tier, self._runs = model, tier, tier.runs
        spec = model.spec
        bins = spec.bins or tier.bins
        targets = len(spec.targets) or targets
        self._free = {n: np.zeros((targets, size), np.float32) for n, size in spec.inputs.items()}
        self._spectra = _StretchSpectra(tier, bins)
        self._frame_positions = _frame_positions(tier)
        self._stretch = self._spectra.samples
        self._sound = np.zeros((2, 2 * self._stretch + tier.hop), np.float32)
        shape = (
            tier.runs.every + tier.runs.fade,
            targets,
            MASK_AXES[spec.mask_axes],
            bins,
        )
        self._dry_masks = dry_masks(shape)
        fade = tier.runs.fade
        self._ramp = np.linspace(1, 0, fade, endpoint=False, dtype=np.float32)[:, None, None, None]
        self.late_runs = self.faults = 0
        beside = tier.runs.age + tier.lookahead > 0
        self._thread = ThreadPoolExecutor(1, "stemsteer model") if beside else None
        self.wait = True
        self._streams = 0
        self.reset()

    def reset(self) -> None:
        """Forget the stream. A run that still works ends unheard."""
        self._sound[:] = 0
        self._end = self._stretch
        self._hop = 0
        self._streams += 1
        self._begun: deque[tuple[int, Future[Masks]]] = deque()
        self._serving = self._missed = -1  # runs: whose masks serve, and the last one that was late
        self._masks = self._of_targets(self._dry_masks, self._free)
        self._before: Masks | None = None  # what the run before gives the frames that fade

    def step(self, samples: Audio, conditions: Conditions = NO_CONDITIONS) -> Masks:
        """Take whole hops (2, frames · hop) and give the masks of as many frames.

        Those of frame k − look-ahead come with hop k. Raises what the model raises.

        Parameters
        ----------
        conditions : (frames, targets, size) of each that the model is told, one value a hop; what
            is left out is zeros.
        """
        hops = np.split(samples, samples.shape[1] // self._tier.hop, axis=1)
        masks = np.empty((len(hops), *self._dry_masks.shape[1:]), np.float32)
        for k, hop in enumerate(hops):
            self._keep(hop)
            now = self._free | {n: conditions[n][k] for n in self._free if n in conditions}
            if (self._hop + 1) % self._runs.every == 0:
                self._begin((self._hop + 1) // self._runs.every - 1, now)
            elif now and self._thread is None and self._serving >= 0:
                for target, point in zip(self._masks, _joined(now), strict=True):
                    target.tell(point)
            masks[k] = self._masks_of(self._hop - self._tier.lookahead)
            self._hop += 1
        return masks

    def _keep(self, hop: Audio) -> None:
        """Append a hop to the sound of the last stretch."""
        size = hop.shape[1]
        if self._end + size > self._sound.shape[1]:
            self._sound[:, : self._stretch] = self._newest()
            self._end = self._stretch
        self._sound[:, self._end : self._end + size] = hop
        self._end += size

    def _newest(self) -> Audio:
        return self._sound[:, self._end - self._stretch : self._end].copy()

    def _begin(self, run: int, conditions: Conditions) -> None:
        conditions = {name: value.copy() for name, value in conditions.items()}  # the caller's
        if self._thread is None:
            self._take(run, self._run(self._streams, run, self._newest(), conditions), conditions)
        elif self.wait or not self._begun or self._begun[0][0] > self._missed:
            masks = self._thread.submit(self._run, self._streams, run, self._newest(), conditions)
            self._begun.append((run, masks))

    def _run(self, stream: int, run: int, sound: Audio, conditions: Conditions) -> Masks:
        """Return masks (every + fade, targets, axes, bins) that a run serves and fades."""
        self._spectrum = self._spectra.of(stream, run, sound)
        return self._answer(conditions)

    def _answer(self, conditions: Conditions) -> Masks:
        """Return the masks of the stretch that the last run has seen, under these conditions."""
        first, share = self._frame_positions
        newest = self._runs.frames - int(first.min())
        masks = self._model.run(self._spectrum, newest, conditions)
        rows = first - int(first.min())
        if not share.any():  # frames of the tier stand where those of the run do
            return masks[rows]
        following = np.minimum(rows + 1, len(masks) - 1)
        between: Masks = masks[rows] + share * (masks[following] - masks[rows])
        return between

    def _masks_of(self, frame: int) -> Masks:
        """Give the masks (targets, axes, bins) of a frame."""
        age, every = self._runs.age, self._runs.every
        wanted = (frame - age + 1) // every - 1
        if wanted > self._serving:
            self._await(wanted)
        first = (self._serving + 1) * every - 1 + age
        row = min(max(frame - first, 0), every - 1)
        masks: Masks = self._rows(row, row + 1)[0]
        if self._before is not None and row < len(self._before):
            masks = masks + (self._before[row] - masks) * self._ramp[row]
        return masks

    def _rows(self, first: int, end: int) -> Masks:
        """Give the masks (rows, targets, axes, bins) of some rows that the run gives."""
        return np.stack([target.rows(first, end) for target in self._masks], axis=1)

    def _await(self, wanted: int) -> None:
        """Take the masks of the runs up to `wanted`, as far as they are there."""
        while self._begun and self._begun[0][0] <= wanted:
            if not self.wait and not self._begun[0][1].done():
                break
            run, masks = self._begun.popleft()
            self._take(run, masks.result())
        if self._serving < wanted and self._missed < wanted:
            self._missed = wanted
            self.late_runs += 1

    def _take(self, run: int, masks: Masks, conditions: Conditions = NO_CONDITIONS) -> None:
        """Let the masks (every + fade, targets, axes, bins) of a run, under these, serve."""
        masks = self._checked(masks)
        every, fade = self._runs.every, self._runs.fade
        follows = fade > 0 and self._serving == run - 1 >= 0
        self._before = self._rows(every, every + fade) if follows else None
        self._masks, self._serving = self._of_targets(masks, conditions), run

    def _checked(self, masks: Masks) -> Masks:
        """Return masks that can be applied; count a fault where the model gave others."""
        masks, are_valid = checked_masks(masks)
        self.faults += not are_valid
        return masks

    def _of_targets(self, masks: Masks, conditions: Conditions) -> list[MovingMasks]:
        """Return the masks (every + fade, targets, axes, bins) of a run as those of each target."""
        points = _joined(conditions) if conditions else np.zeros((masks.shape[1], 0), np.float32)
        return [MovingMasks(self._ask, point, masks[:, k]) for k, point in enumerate(points)]

    def _ask(self, point: Floats) -> Masks:
        """Return the masks (every + fade, axes, bins) of the last run for one target at a point."""
        sizes = self._model.spec.inputs
        parts = np.split(point[None], np.cumsum(list(sizes.values()))[:-1], axis=1)
        masks: Masks = self._checked(self._answer(dict(zip(sizes, parts, strict=True))))[:, 0]
        return masks


class _StretchSpectra:
    """Spectra of the frames that runs see; those that a run before has seen are kept.

    Runs of which the frames fall on the same samples are `_turns` apart.
    """

    def __init__(self, tier: Tier, bins: int) -> None:
        assert tier.runs is not None
        self._step, self._partial = tier.runs.step, tier.runs.partial
        self._mirrored = tier.runs.mirrored
        self._bins, self._window = bins, hann(tier.window)
        self._whole = tier.runs.frames - tier.runs.partial
        self.samples = tier.window + (self._whole - 1) * self._step
        period = tier.runs.every * tier.hop
        self._turns = self._step // gcd(period, self._step)
        self._fresh = min(self._turns * period // self._step, self._whole)
        self._kept: dict[int, tuple[tuple[int, int], Spectra]] = {}

    def of(self, stream: int, run: int, sound: Audio) -> NDArray[np.float32]:
        """Give the spectrum (frames, 2, bins, 2) of the newest sound (2, samples) of a stream."""
        seen, spectra = self._kept.get(run % self._turns, ((0, 0), None))
        known = seen == (stream, run - self._turns)
        fresh = self._fresh if known else self._whole
        reach = self._partial * self._step
        ahead = sound[:, ::-1][:, :reach] if self._mirrored else np.zeros((2, reach), np.float32)
        newest = np.concatenate([sound[:, (self._whole - fresh) * self._step :], ahead], axis=1)
        frames = np.zeros((self._whole + self._partial, 2, self._bins), np.complex64)
        if spectra is not None and known:
            frames[: self._whole - fresh] = spectra[fresh:]
        self._analyse(newest, frames[self._whole - fresh :])
        self._kept[run % self._turns] = ((stream, run), frames[: self._whole])
        return np.ascontiguousarray(frames).view(np.float32).reshape(*frames.shape, 2)

    def _analyse(self, sound: Audio, into: Spectra) -> None:
        """Put the frames of `sound` into an array, a few at once: those stay in the cache."""
        for first in range(0, len(into), MAX_FRAMES):
            part = into[first : first + MAX_FRAMES]
            size = self._window.size + (len(part) - 1) * self._step
            samples = sound[:, first * self._step :][:, :size]
            found = analyse_roughly(samples, self._window, self._step)[..., : self._bins]
            part[..., : found.shape[2]] = found


def _joined(conditions: Conditions) -> Floats:
    """Return the conditions of each target as a point, (targets, sizes): a copy."""
    return np.concatenate(list(conditions.values()), axis=1)


def hann(size: int) -> NDArray[np.float32]:
    """Make a Hann window that sums to one."""
    window = (1 - np.cos(2 * np.pi * np.arange(size) / size)) / size
    return window.astype(np.float32)


def _frame_positions(tier: Tier) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return where in the masks of a run each frame that it serves has its own.

    The row before its place in time (every + fade,), and how far it is on the way to the next
    (every + fade, 1, 1, 1). The place of a frame of the tier is the centre of its synthesis
    window, that of a Hann frame its centre.
    """
    runs = tier.runs
    assert runs is not None
    # ends of the frames, from the newest sound on
    ends = (runs.age + np.arange(runs.every + runs.fade)) * tier.hop
    centres = ends - tier.synthesis / 2
    newest = runs.partial * runs.step - tier.window / 2
    positions = np.clip(runs.frames - 1 + (centres - newest) / runs.step, 0, runs.frames - 1)
    first = np.floor(positions).astype(np.intp)
    return first, (positions - first).astype(np.float32)[:, None, None, None]
