"""What gives the stems of a stream: the part of a stage that those behind it rely on."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Audio
from realtime.spec import Tier


class StemProcessor(Protocol):
    """A stage that gives stems (stems, channels, n): a `Separator`, or one with more behind it.

    Equation: `process` gives the stems of the input `latency` samples ago, as many as came in.
    """

    sample_rate: float
    channels: int
    block_multiple: int | None
    tier: Tier
    stems: tuple[str, ...]

    @property
    def latency(self) -> int:
        """Return by how many samples the output lags behind the input."""

    def process(self, block: Audio) -> NDArray[np.float32]:
        """Take a block (channels, n) and return (stems, channels, n)."""

    def reset(self) -> None:
        """Forget the stream."""
