"""Memory in which an audio process hands the daemon what it was asked to listen to."""

from __future__ import annotations

import mmap
import os

import numpy as np
from numpy.typing import NDArray

_ROW_BYTES = 16


def shared_rows(samples: int) -> tuple[int, NDArray[np.float32]]:
    """Make memory of rows (samples, 4); return its file descriptor, and the rows in it."""
    fd = os.memfd_create("stemsteer-heard", os.MFD_CLOEXEC)
    os.ftruncate(fd, _ROW_BYTES * samples)
    memory = mmap.mmap(fd, _ROW_BYTES * samples)
    return fd, np.frombuffer(memory, np.float32).reshape(samples, 4)


def read_rows(fd: int, samples: int) -> NDArray[np.float32]:
    """Return a copy of the rows in such memory. Raises ValueError if it holds fewer."""
    if not 0 < _ROW_BYTES * samples <= os.fstat(fd).st_size:
        raise ValueError(f"{samples} samples are told, the memory has {os.fstat(fd).st_size} bytes")
    with mmap.mmap(fd, _ROW_BYTES * samples, access=mmap.ACCESS_READ) as memory:
        return np.frombuffer(memory.read(), np.float32).reshape(samples, 4)
