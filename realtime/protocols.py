"""What every stage of a stream of audio is: the contract that the tests check for each of them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from realtime.spec import Tier
from realtime.stft import Audio


class StreamProcessor(Protocol):
    """A stage: blocks (channels, n) in, (..., channels, n) out, `latency` samples later.

    Equations: any partition of the input into blocks gives the same output; after `reset` it is as
    new; `flush` gives what the input of `latency` more samples of silence would give, and resets.
    """

    @property
    def latency(self) -> int:
        """Return by how many samples the output lags behind the input."""

    def process(self, block: Audio) -> NDArray[np.float32]:
        """Take a block (channels, n) and return (..., channels, n)."""

    def flush(self) -> NDArray[np.float32]:
        """Return the last `latency` samples (..., channels, latency) and reset."""

    def reset(self) -> None:
        """Forget the stream."""


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
