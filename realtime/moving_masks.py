"""Masks of a stretch of sound while what the model is told of it moves: answers, and between."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from realtime.arrays import Floats

Place = tuple[int, int, float]
"""From which answer to which, and how far on the way."""
SAME, NEAR, FAR = 0.01, 0.02, 0.3
"""Distances between points of what a model is told; a timbre is at most 1 from zeros."""
AHEAD = 0.15
"""How far ahead on its way a point is asked about."""
FEW = 6
"""After so many answers about a stretch `SAME`, `NEAR` and `AHEAD` are twice as long."""
_TINY = 1e-12


class MovingMasks:
    """Masks of one target over a stretch of sound, at any point of what the model may be told.

    Where what it is told stands still, the model is asked about that point. Where it moves, a point
    that is nearer than `NEAR` to the line between two answers has masks between theirs, in
    proportion. Else the model is asked about a point that lies `AHEAD` on the way, so that those
    that follow are between two answers; and about the point itself if it jumped there, or turned.
    These distances grow with the answers about a stretch, so a long way needs few of them; but a
    point farther than `FAR` from all lines, as behind a switch of instrument, always has its own.
    A lane that moves all the time costs two to seven times what none costs, a jump one answer more.

    Parameters
    ----------
    ask : gives the masks (rows, axes, bins) of the stretch, told a point (size,).
    point : the first point.
    masks : its answer.
    """

    def __init__(self, ask: Callable[[Floats], Floats], point: Floats, masks: Floats) -> None:
        self._ask, self._point = ask, point
        self._points, self._answers = point[None], [masks]
        self._place: Place = (0, 0, 0.0)
        self._is_own = True  # whether the point that holds has an answer

    def tell(self, point: Floats) -> None:
        """Let a point (size,) hold from now on. Raises what `ask` raises."""
        step, self._point = point - self._point, point
        if step.any():
            place = self._between(point) or self._ahead(point, step)
            self._place, self._is_own = place or self._own(point), place is None
        elif not self._is_own:
            self._place, self._is_own = self._own(point), True

    def rows(self, first: int, end: int) -> Floats:
        """Return the masks (rows, axes, bins) of some rows at the point that holds."""
        start, goal, way = self._place
        masks = self._answers[start][first:end]
        if way:
            masks = masks + np.float32(way) * (self._answers[goal][first:end] - masks)
        return masks

    def _coarser(self, distance: float) -> float:
        return distance * 2.0 ** (len(self._answers) // FEW)

    def _between(self, point: Floats) -> Place | None:
        """Return the place of a point on a line near it, None if there is none."""
        starts, goals = np.triu_indices(len(self._points))  # from an answer to itself, too
        line, way, away = _nearest(point, self._points[starts], self._points[goals])
        if away <= min(FAR, self._coarser(NEAR)):
            return int(starts[line]), int(goals[line]), way
        return None

    def _ahead(self, point: Floats, step: Floats) -> Place | None:
        """Ask about a point ahead of one that has come there by a small step.

        It is not beyond zeros, and no longer than a timbre. Returns None as `_between` does.
        """
        length, reach = float(np.linalg.norm(step)), self._coarser(AHEAD)
        if length > reach:
            return None
        ahead = point + step * np.float32(reach / length)
        longest = max(1.0, float(np.linalg.norm(point)))
        ahead *= np.float32(min(1.0, longest / max(float(np.linalg.norm(ahead)), _TINY)))
        self._add(ahead if ahead @ point > 0 else np.zeros_like(point))
        return self._between(point)

    def _own(self, point: Floats) -> Place:
        """Return the place of the answer to a point, which is asked about if it has none."""
        own, _, away = _nearest(point, self._points, self._points)
        if not away <= min(FAR, self._coarser(SAME)):
            own = self._add(point)
        return own, own, 0.0

    def _add(self, point: Floats) -> int:
        """Ask about a point; return the number of its answer."""
        self._answers.append(self._ask(point))
        self._points = np.concatenate([self._points, point[None]])
        return len(self._answers) - 1


def _nearest(point: Floats, starts: Floats, goals: Floats) -> tuple[int, float, float]:
    """Return which of some lines comes nearest to a point, how far along it, and how far away.

    Parameters
    ----------
    starts, goals : of the lines, (lines, size).
    """
    ahead = goals - starts
    squares = np.maximum(np.square(ahead).sum(1), _TINY)
    ways = np.clip(((point - starts) * ahead).sum(1) / squares, 0, 1)
    away = np.linalg.norm(starts + ways[:, None] * ahead - point, axis=1)
    nearest = int(np.argmin(away))
    return nearest, float(ways[nearest]), float(away[nearest])
