"""Shapes of REAPER's envelopes that a lane does not have, as straight pieces."""

from __future__ import annotations

from collections.abc import Iterator

PIECES = 16  # straight pieces that stand for a segment
STRAIGHT = {0: "linear", 1: "step", 2: "smooth"}
"""Shapes of REAPER, by number, that a lane has, too."""


def pieces(shape: int, tension: float) -> Iterator[tuple[float, float]]:
    """Yield shares of the time from a point to the next, and of the way that is then done.

    3 starts fast, 1 − (1 − u)³; 4 ends fast, u³; 5 is a Bézier curve, here between a straight line
    and one of these by its tension: near it, not equal to it.
    """
    for piece in range(PIECES):
        u = piece / PIECES
        fast_start, fast_end = 1 - (1 - u) ** 3, u**3
        if shape == 3:
            yield u, fast_start
        elif shape == 4:
            yield u, fast_end
        else:
            curve = fast_end if tension > 0 else fast_start
            yield u, u + abs(tension) * (curve - u)
