"""Between the blocks of a host and the hops of a model."""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import NDArray


def adapter_delay(hop: int, block: int | None) -> int:
    """Zeros to queue ahead so that blocks of `block` samples never starve on hops of `hop`.

    After any number of whole blocks up to hop − gcd(hop, block) samples wait for their hop to
    fill; with blocks of any size (None) up to hop − 1.
    """
    return hop - 1 if block is None else hop - gcd(hop, block)


class Fifo:
    """A queue of samples along the last axis; it grows to what it must hold and no further.

    Parameters
    ----------
    rows : shape of all axes but the last.
    zeros : silent samples in the queue at the start.
    """

    def __init__(self, rows: tuple[int, ...], zeros: int = 0) -> None:
        self._data: NDArray[np.float32] = np.zeros((*rows, max(4096, 2 * zeros)), np.float32)
        self._start, self._end = 0, zeros

    def __len__(self) -> int:
        return self._end - self._start

    def push(self, samples: NDArray[np.float32]) -> None:
        """Append `samples` (*rows, n)."""
        size = samples.shape[-1]
        if self._end + size > self._data.shape[-1]:
            self._make_room(size)
        self._data[..., self._end : self._end + size] = samples
        self._end += size

    def pop(self, size: int) -> NDArray[np.float32]:
        """Take the oldest `size` samples, as a new array (*rows, size)."""
        assert size <= len(self), f"{size} samples asked of {len(self)}"
        taken = self._data[..., self._start : self._start + size].copy()
        self._start += size
        return taken

    def _make_room(self, size: int) -> None:
        held, need = len(self), len(self) + size
        fits = 2 * need <= self._data.shape[-1]
        data = self._data if fits else np.zeros((*self._data.shape[:-1], 2 * need), np.float32)
        data[..., :held] = self._data[..., self._start : self._end].copy()
        self._data, self._start, self._end = data, 0, held
