"""Overlapping frames of sound that comes in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Audio

BLOCK_S = 4.0


def hann(size: int) -> NDArray[np.float32]:
    """Return the periodic Hann window (size,)."""
    return np.hanning(size + 1)[:-1].astype(np.float32)


def stereo(block: Audio) -> Audio:
    """Return a block (1 or 2, n) as (2, n)."""
    return np.broadcast_to(block, (2, block.shape[1]))


def overlapping(blocks: Iterable[Audio], channels: int, window: int, hop: int) -> Iterator[Audio]:
    """Yield stretches (channels, n) of whole frames, with half a window of silence around all."""
    held = np.zeros((channels, window // 2), np.float32)
    for block in blocks:
        held = np.concatenate([held, block], axis=1)
        frames = max(0, (held.shape[1] - window) // hop + 1)
        if frames:
            yield held[:, : window + (frames - 1) * hop]
        held = held[:, frames * hop :]
    yield np.pad(held, ((0, 0), (0, max(0, window - held.shape[1]))))
