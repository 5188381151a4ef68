"""Signals for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def noise(channels: int, samples: int, *, seed: int = 0, level: float = 0.1) -> NDArray[np.float32]:
    """White noise (channels, samples)."""
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((channels, samples))).astype(np.float32)


def panned(mono: NDArray[np.float32], azimuth_deg: float) -> NDArray[np.float32]:
    """Pan (samples,) by the constant-power law: (2, samples)."""
    return np.ascontiguousarray(pan(mono, azimuth_deg).T, np.float32)


def pan(mono: NDArray[np.floating], azimuth_deg: float) -> NDArray[np.float64]:
    """Pan (samples,) as `panned` does, in the layout of files: (samples, 2)."""
    theta = np.deg2rad(azimuth_deg + 45)
    return np.stack([np.cos(theta) * mono, np.sin(theta) * mono], axis=1)


def tone(
    hz: float, samples: int, *, rate_hz: float = 44_100, level: float = 0.3
) -> NDArray[np.float32]:
    """A sine (samples,)."""
    return (level * np.sin(2 * np.pi * hz / rate_hz * np.arange(samples))).astype(np.float32)
