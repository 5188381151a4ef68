"""Blocks of samples: checked, cleaned, queued up to the hops of a model, and kept in rings."""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import NDArray

MAX_SAMPLE = 2.0**20  # samples beyond ±120 dB of full scale are taken for damaged


def adapter_delay(hop: int, block_multiple: int | None) -> int:
    """Count the zeros to queue ahead so that blocks never starve on hops of `hop` samples.

    Blocks are whole multiples of `block_multiple` samples: after any number of them up to
    hop − gcd(hop, block_multiple) samples wait for their hop to fill; with blocks of any size
    (None) up to hop − 1.
    """
    return hop - 1 if block_multiple is None else hop - gcd(hop, block_multiple)


def check_block(block: object, channels: int, multiple: int | None) -> None:
    """Raise TypeError or ValueError unless a block is float32 (channels, samples)."""
    if not isinstance(block, np.ndarray) or block.dtype != np.float32:
        kind = getattr(block, "dtype", type(block).__name__)
        raise TypeError(f"block is {kind}, expected a float32 array")
    if block.ndim != 2 or block.shape[0] != channels:
        raise ValueError(f"block is {block.shape}, expected ({channels}, samples)")
    if multiple is not None and block.shape[1] % multiple:
        raise ValueError(f"block of {block.shape[1]} samples, expected {multiple} or a multiple")


def sane(block: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """Return a block with silence in the place of damaged samples, and how many these were.

    Damaged are NaN, infinity and what is beyond `MAX_SAMPLE`; without any it is the block itself.
    """
    if block.min(initial=0) >= -MAX_SAMPLE and block.max(initial=0) <= MAX_SAMPLE:
        return block, 0  # of NaN neither is true
    good = np.abs(block) <= MAX_SAMPLE
    return np.where(good, block, np.float32(0)), good.size - int(np.count_nonzero(good))


class Fifo:
    """A queue of samples along the last axis; its room grows to twice what it must hold, and stays.

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


def write_ring(ring: NDArray[np.float32], first: int, samples: NDArray[np.float32]) -> None:
    """Write samples (..., n) from position `first` on; of more than it holds, the last."""
    size = ring.shape[-1]
    skipped = max(0, samples.shape[-1] - size)
    first, samples = first + skipped, samples[..., skipped:]
    place = first % size
    head = min(samples.shape[-1], size - place)
    ring[..., place : place + head] = samples[..., :head]
    ring[..., : samples.shape[-1] - head] = samples[..., head:]


def read_ring(ring: NDArray[np.float32], end: int, samples: int) -> NDArray[np.float32]:
    """Return a copy (..., n) of the samples before position `end`; before 0 they are as made."""
    place = (end - samples) % ring.shape[-1]
    head = ring[..., place : place + samples]
    return np.concatenate([head, ring[..., : samples - head.shape[-1]]], axis=-1)


class FrameDelay:
    """Spectra that wait for the masks of a model that looks ahead.

    Equation: what comes out is what went in `frames` frames before, zeros at first.

    Parameters
    ----------
    shape : of one frame, (channels, bins).
    """

    def __init__(self, frames: int, shape: tuple[int, ...]) -> None:
        self._held: NDArray[np.complex64] = np.zeros((frames, *shape), np.complex64)
        self._oldest = 0

    def exchange(self, spectra: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Take frames (n, *shape) and give as many, of before."""
        held, frames = len(self._held), len(spectra)
        if not held:
            return spectra
        before, done = np.empty_like(spectra), 0
        while done < frames:  # round the ring, as often as the frames need
            size = min(frames - done, held - self._oldest)
            place, part = slice(self._oldest, self._oldest + size), slice(done, done + size)
            before[part] = self._held[place]
            self._held[place] = spectra[part]
            self._oldest, done = (self._oldest + size) % held, done + size
        return before
