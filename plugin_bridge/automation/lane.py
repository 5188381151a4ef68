"""A lane: the curve of one control over time, and its exact mean over a stretch of time."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Times = NDArray[np.float64]
SHAPES = ("step", "linear", "smooth")
"""How a lane gets from one point to the next: not before it, in a straight line, or by the cubic
3u² − 2u³ that leaves and arrives level."""
MAX_TIME_S = 1e9
"""Thirty years, before and after the beginning: there a double is exact to 0.1 µs."""
MAX_VALUE = 1e9
"""Of no control or plugin is a value further from 0; areas and rises of all lanes are finite."""
ROUNDING = 1e-8
"""Of the largest value of a lane, a mean below it is rounding: up to 100 h it is smaller."""


@dataclass(frozen=True)
class Point:
    """A value at a time, and the shape of the way to the next point."""

    time_s: float
    value: float
    shape: str = "linear"


class Lane:
    """A curve through points; before the first and after the last it is level.

    Parameters
    ----------
    points : at least one, in order of time. Two at the same time make a jump.

    Raises
    ------
    ValueError if the points are none, out of order, too far out or of an unknown shape.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        times = np.array([point.time_s for point in points], np.float64)
        values = np.array([point.value for point in points], np.float64)
        shapes = [point.shape for point in points]
        _check(times, values, shapes)
        self._build(times, values, shapes)

    @classmethod
    def level(cls, value: float) -> Lane:
        """Return the lane that is `value` at all times."""
        return cls((Point(0.0, value),))

    @classmethod
    def steps(cls, times_s: Sequence[float], values: Sequence[float]) -> Lane:
        """Return a lane of steps through points that are known to be sound: nothing is checked."""
        lane = cls.__new__(cls)
        lane._build(np.array(times_s, np.float64), np.array(values, np.float64), None)
        return lane

    def _build(self, times: Times, values: Times, shapes: list[str] | None) -> None:
        self._times, self._values, self._shapes = times, values, shapes
        self._starts: list[float] = times.tolist()  # what bisect finds ten times as fast
        self._indicators: dict[float, Lane] | None = None  # of each value, made when asked for
        self._lengths = np.append(times[1:] - times[:-1], 1.0)
        self._rises = np.zeros(times.size)
        self._smooth = np.zeros(times.size, np.bool_)
        if shapes is not None:
            moving = np.array([shape != "step" for shape in shapes[:-1]], np.bool_)
            self._rises[:-1] = np.diff(values) * moving
            self._smooth[:-1] = [shape == "smooth" for shape in shapes[:-1]]
        self._rounding = ROUNDING * float(np.abs(values).max())
        areas = self._lengths * (values + self._rises / 2)  # both curves halve their box
        self._areas = np.cumsum(areas) - areas

    @property
    def points(self) -> tuple[Point, ...]:
        """Return the points it goes through."""
        shapes = self._shapes or ["step"] * self._times.size
        rows = zip(self._times.tolist(), self._values.tolist(), shapes, strict=True)
        return tuple(Point(*row) for row in rows)

    @property
    def constant(self) -> float | None:
        """Return its value if it is level at all times, else None."""
        return float(self._values[0]) if self._times.size == 1 else None

    def constant_between(self, start_s: float, end_s: float) -> float | None:
        """Return its value if it is level from `start_s` to `end_s`, else None."""
        first = bisect.bisect_right(self._starts, start_s)
        if first < len(self._starts) and self._starts[first] <= end_s:
            return None
        index = max(first - 1, 0)
        return float(self._values[index]) if first == 0 or not self._rises[index] else None

    def at(self, times_s: ArrayLike) -> Times:
        """Return the values at `times_s`; at a jump, what comes after it."""
        index, _, u = self._locate(np.asarray(times_s, np.float64))
        way = np.where(self._smooth[index], u * u * (3 - 2 * u), u)
        return np.asarray(self._values[index] + self._rises[index] * way)

    def mean(self, start_s: ArrayLike, length_s: float) -> Times:
        """Return the means over the stretches of `length_s` that begin at `start_s`.

        A mean turns a jump into a ramp without lag or memory: being a function of time alone, it
        is the same in whatever blocks it is asked for. With no length it is the value itself.
        A stretch that ends where the curve leaves 0 has a mean of exactly 0, since a model may
        ask whether there is anything; so has one in which positive and negative cancel.
        """
        start = np.asarray(start_s, np.float64)
        if length_s == 0 or self._times.size == 1:
            return self.at(start)
        means = (self._area(start + length_s) - self._area(start)) / length_s
        return np.where(np.abs(means) < self._rounding, 0.0, means)

    def shares(self, start_s: ArrayLike, length_s: float) -> dict[float, Times]:
        """Return for each value of a lane of steps the share of each stretch that it has.

        The stretches of `length_s` begin at `start_s`. So a change of a choice, whose numbers
        have no middle, crosses over from one to the other.
        """
        if self._times.size == 1:
            return {float(self._values[0]): np.ones(np.shape(start_s))}
        if self._indicators is None:
            self._indicators = {
                value: Lane.steps(self._times.tolist(), (self._values == value).tolist())
                for value in np.unique(self._values).tolist()
            }
        return {value: lane.mean(start_s, length_s) for value, lane in self._indicators.items()}

    def _locate(self, times: Times) -> tuple[NDArray[np.intp], Times, Times]:
        """Return the point before each time, the time since it, its share of the way onward."""
        index = np.maximum(np.searchsorted(self._times, times, side="right") - 1, 0)
        since = times - self._times[index]
        lengths = self._lengths[index]
        return index, since, np.clip(since / np.where(lengths > 0, lengths, 1.0), 0.0, 1.0)

    def _area(self, times: Times) -> Times:
        """Return the integral of the curve from the first point to each time.

        A linear segment of rise r and length l has ∫ = r l u²/2 at the share u of its way, the
        cubic 3u² − 2u³ has r l (u³ − u⁴/2).
        """
        index, since, u = self._locate(times)
        way = np.where(self._smooth[index], u**3 * (1 - u / 2), u * u / 2)
        boxes = self._areas[index] + self._values[index] * since
        return np.asarray(boxes + self._rises[index] * self._lengths[index] * way)


def _check(times: Times, values: Times, shapes: list[str]) -> None:
    if not shapes:
        raise ValueError("a lane needs at least one point")
    usable = (np.abs(times) <= MAX_TIME_S) & (np.abs(values) <= MAX_VALUE)  # of NaN neither is
    if wrong := np.flatnonzero(~usable).tolist():
        time_s, value = times[wrong[0]], values[wrong[0]]
        raise ValueError(
            f"a point of a lane is {value:g} at {time_s:g} s, expected numbers, times up to "
            f"{MAX_TIME_S:g} s and values up to {MAX_VALUE:g}"
        )
    if back := np.flatnonzero(np.diff(times) < 0).tolist():
        last_s, time_s = times[back[0]], times[back[0] + 1]
        raise ValueError(f"a lane goes back in time, from {last_s:g} s to {time_s:g} s")
    if unknown := [shape for shape in shapes if shape not in SHAPES]:
        raise ValueError(f"shape is {unknown[0]!r}, expected one of {', '.join(SHAPES)}")
