"""A sum over the frames of a stream that forgets what is long past."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MEMORY_S = 2.0
"""Time constant: after so long a frame counts 1 / e of what it counted first."""


class FadingSum:
    """Sum arrays frame by frame, the older ones less and less.

    Equation: s[k] = s[k − 1] · exp(−hop_s / `MEMORY_S`) + x[k], with s[−1] = 0.

    Parameters
    ----------
    shape : of the array of one frame.
    hop_s : seconds from a frame to the next.
    """

    def __init__(self, shape: tuple[int, ...], hop_s: float) -> None:
        self._shape = shape
        self.keep = np.float32(np.exp(-hop_s / MEMORY_S))
        """What is left of a sum from one frame to the next, 0 to 1."""
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._sum = np.zeros(self._shape, np.float32)

    def add(self, new: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add frames (frames, *shape); return the sum after each of them, of the same shape."""
        sums = np.empty_like(new)
        for frame, of_frame in enumerate(new):
            self._sum = self.keep * self._sum + of_frame
            sums[frame] = self._sum
        return sums
