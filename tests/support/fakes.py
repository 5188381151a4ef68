"""Models that are simple enough to know what must come out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from realtime.conditions import NO_CONDITIONS, Conditions
from realtime.spec import MASK_AXES, ModelSpec, Runs, Tier

Floats = NDArray[np.float32]

LIVE = Tier(window=1024, synthesis=512, hop=256)
STUDIO = Tier(window=1024, synthesis=1024, hop=256, lookahead=3)


def fake_spec(**changes: object) -> ModelSpec:
    fields: dict[str, object] = {
        "name": "fake",
        "tiers": {"live": LIVE, "studio": STUDIO},
        "conditions": {"direction": 2},
        "mask_axes": "mixture",
    }
    return ModelSpec(**(fields | changes))  # type: ignore[arg-type]


class FakeModel:
    """A model whose masks are ``rule(frames since reset, spectrum, conditions)``.

    `rule` gets the indices (F,) of the frames and what the stepper got; it gives masks that
    broadcast to (F, targets, axes, bins).
    """

    def __init__(self, rule: Callable[..., Floats], spec: ModelSpec | None = None) -> None:
        self.rule, self.spec = rule, spec or fake_spec()
        self.activity: Callable[[NDArray[np.int64]], Floats] | None = None  # of the frames
        self.runs = 0  # calls of `run`

    def stream(self, targets: int) -> FakeStepper:
        return FakeStepper(self, targets)

    def run(self, spectrum: Floats, newest: int, conditions: Conditions = NO_CONDITIONS) -> Floats:
        self.runs += 1
        masks = self.rule(np.arange(len(spectrum)), spectrum, conditions)
        axes = MASK_AXES[self.spec.mask_axes]
        targets = len(self.spec.targets) or len(next(iter(conditions.values())))
        shape = (len(spectrum), targets, axes, spectrum.shape[2])
        return np.broadcast_to(masks, shape).astype(np.float32)[-newest:]


class FakeStepper:
    def __init__(self, model: FakeModel, targets: int) -> None:
        self.model, self.targets = model, targets
        self.reset()

    def step(self, spectrum: Floats, conditions: Mapping[str, Floats]) -> dict[str, Floats]:
        frames = self.frame + np.arange(spectrum.shape[0])
        self.frame += spectrum.shape[0]
        masks = self.model.rule(frames, spectrum, conditions)
        axes = MASK_AXES[self.model.spec.mask_axes]
        shape = (spectrum.shape[0], self.targets, axes, spectrum.shape[2])
        outputs = {"masks": np.broadcast_to(masks, shape).astype(np.float32)}
        if self.model.activity is not None:
            told = np.float32(self.model.activity(frames))[:, None]
            outputs["activity"] = np.repeat(told, self.targets, 1)
        return outputs

    def reset(self) -> None:
        self.frame = 0


def identity(spec: ModelSpec | None = None) -> FakeModel:
    """The target is the mixture."""
    return FakeModel(lambda frames, spectrum, conditions: np.ones((1, 1, 1, 1)), spec)


def counting(spec: ModelSpec | None = None) -> FakeModel:
    """Masks that differ from frame to frame and bin to bin, and repeat after a reset."""
    return FakeModel(lambda frames, spectrum, conditions: counted_masks(frames, spectrum), spec)


def counted_masks(frames: NDArray[np.int64], spectrum: Floats) -> Floats:
    bins = np.arange(spectrum.shape[2])
    waves = 0.5 + 0.5 * np.cos(frames[:, None] * 0.7 + bins * 0.05)
    return waves.astype(np.float32)[:, None, None]


def lagging(lookahead: int) -> FakeModel:
    """A model with look-ahead: its mask for a frame is 0 where the spectrum is loud, else 1.

    The masks come `lookahead` frames after their spectrum, as a network's with that look-ahead.
    """
    tier = Tier(window=1024, synthesis=512, hop=256, lookahead=lookahead)
    memory: list[Floats] = []

    def rule(frames: NDArray[np.int64], spectrum: Floats, conditions: object) -> Floats:
        if frames[0] == 0:
            memory.clear()
            memory.extend(np.zeros_like(spectrum[0]) for _ in range(lookahead))
        memory.extend(spectrum.copy())
        seen = np.stack([memory.pop(0) for _ in frames])
        return (np.abs(seen).max((1, 2, 3)) < 1e-3)[:, None, None, None].astype(np.float32)

    return FakeModel(rule, fake_spec(tiers={"studio": tier}))


def slow(seconds: float, mask: float = 1.0) -> FakeModel:
    """A constant mask, by default the identity, that takes its time with every call."""

    def rule(frames: NDArray[np.int64], spectrum: Floats, conditions: object) -> Floats:
        time.sleep(seconds)
        return np.full((1, 1, 1, 1), mask, np.float32)

    return FakeModel(rule)


def slow_runs(seconds: float) -> FakeModel:
    """A model of drums that runs beside the stream, every fourth hop, and takes its time."""
    tier = Tier(1024, 256, 128, runs=Runs(frames=8, step=256, every=4, age=3, partial=2))
    spec = fake_spec(tiers={"live": tier}, conditions={}, targets=("drums",), mask_axes="channels")
    return FakeModel(slow(seconds).rule, spec)


def crashing(at_frame: int) -> FakeModel:
    """An identity that raises once, at a frame of its first stream."""
    crashed: list[bool] = []

    def rule(frames: NDArray[np.int64], spectrum: Floats, conditions: object) -> Floats:
        if not crashed and frames[-1] >= at_frame:
            crashed.append(True)
            raise RuntimeError("the model crashed")
        return np.ones((1, 1, 1, 1), np.float32)

    return FakeModel(rule)


def nan_at(frame: int) -> FakeModel:
    """A model that silences all, and gives NaN at one frame of its first stream."""
    failed: list[bool] = []

    def rule(frames: NDArray[np.int64], spectrum: Floats, conditions: object) -> Floats:
        masks = np.zeros((len(frames), 1, 1, 1), np.float32)
        if not failed and frame in frames:
            failed.append(True)
            masks[frames == frame] = np.nan
        return masks

    return FakeModel(rule)
