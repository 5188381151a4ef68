"""What tells the model which sound to take: values set between blocks, smoothed frame by frame."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Conditions = Mapping[str, NDArray[np.float32]]  # name -> (frames, targets, size)
Outputs = Mapping[str, NDArray[np.float32]]  # name -> (frames, targets, ...)
ConditionSource = Callable[[int, int], Conditions]
"""``source(first_frame, frames)`` gives the conditions (frames, targets, size) of these frames.

It must be a function of the frame alone for the output not to depend on the blocks; frame k
belongs to the input around ``Separator.position_of(k)``.
"""

NO_CONDITIONS: Conditions = MappingProxyType({})

AZIMUTH_DEG = (-45.0, 45.0)
WIDTH_DEG = (1.0, 90.0)
DEFAULT_DIRECTION = (0.0, 20.0)
SMOOTHING_S = 0.02
FREE_WHERE_ZERO = ("timbre", "against")
"""Conditions that say nothing where they are zeros, and may be left out."""
BY_DIRECTION, BY_COUNTER_EXAMPLE, BY_TIMBRE, BY_TIMBRE_ALONE = range(4)
"""What a target asks for in a frame: the last of these that it is told."""
_NEAR = 1e-3  # of a degree, or of a timbre component: no one hears the rest of the way


def check_direction(azimuth_deg: float, width_deg: float) -> None:
    """Raise ValueError unless the direction is one."""
    for name, value, (low, high) in (
        ("azimuth", azimuth_deg, AZIMUTH_DEG),
        ("width", width_deg, WIDTH_DEG),
    ):
        if not low <= value <= high:  # also false for NaN
            raise ValueError(f"{name} is {value:g}°, expected {low:g} to {high:g}")


def kinds_of(conditions: Conditions) -> NDArray[np.int8]:
    """Return what each target asks for, (frames, targets): a model may answer each in its own way.

    By a timbre alone is what may stand anywhere, with no counter-example. Empty where there are no
    conditions.
    """
    shape = next((values.shape[:2] for values in conditions.values()), (0, 0))
    kinds = np.full(shape, BY_DIRECTION, np.int8)
    timbre, against = (
        conditions[name].any(2) if name in conditions else np.zeros(shape, bool)
        for name in FREE_WHERE_ZERO
    )
    kinds[against] = BY_COUNTER_EXAMPLE
    kinds[timbre] = BY_TIMBRE
    if "direction" in conditions:
        anywhere = conditions["direction"][..., 1] >= WIDTH_DEG[1]
        kinds[timbre & anywhere & ~against] = BY_TIMBRE_ALONE
    return kinds


class HeldConditions:
    """Conditions held until set anew; each value moves to its goal by a one-pole smoother.

    Equation: v[k] = goal + (v[k−1] − goal) · exp(−frame_s / smoothing_s). The first `set` of a
    target, before any frame, takes effect at once.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        targets: int,
        frame_s: float,
        smoothing_s: float = SMOOTHING_S,
    ) -> None:
        self.setting = threading.RLock()  # among those that set; who reads waits for nobody
        self._decay = math.exp(-frame_s / smoothing_s) if smoothing_s > 0 else 0.0
        self._goals = {
            name: np.tile(_default(name, size), (targets, 1)) for name, size in sizes.items()
        }
        self.reset()

    def set(self, target: int, values: Mapping[str, NDArray[np.float32]]) -> None:
        """Set the goals of some conditions of one target, all or none; safe from any thread.

        Raises ValueError for a value of another shape, or one that is not finite.
        """
        with self.setting:
            changed = {}
            for name, value in values.items():
                goals = self._goals[name].copy()
                if value.shape != goals[target].shape or not np.isfinite(value).all():
                    raise ValueError(
                        f"condition {name!r} is of shape {value.shape}, expected "
                        f"{goals[target].shape} finite numbers"
                    )
                goals[target] = value
                changed[name] = goals
            self._goals.update(changed)  # each as a whole: a reader sees the old or the new one

    def goal(self, name: str) -> NDArray[np.float32]:
        """Return the goals (targets, size) of a condition."""
        return self._goals[name]

    def reset(self) -> None:
        """Forget where the values were: the next frame starts at the goals."""
        self._values: dict[str, NDArray[np.float32]] = {}

    def __call__(self, first_frame: int, frames: int) -> Conditions:
        return {name: self._glide(name, frames) for name in self._goals}

    def _glide(self, name: str, frames: int) -> NDArray[np.float32]:
        goal = self._goals[name]
        value = self._values.get(name, goal)
        out = np.empty((frames, *goal.shape), np.float32)
        for k in range(frames):
            if value is not goal:
                value = goal + (value - goal) * np.float32(self._decay)
                if np.abs(value - goal).max() < _NEAR:
                    value = goal
            if value is goal:
                out[k:] = goal
                break
            out[k] = value
        self._values[name] = value
        return out


def _default(name: str, size: int) -> NDArray[np.float32]:
    if name == "direction":
        return np.array(DEFAULT_DIRECTION, np.float32)
    return np.zeros(size, np.float32)
