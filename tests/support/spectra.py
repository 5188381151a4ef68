"""Small spectra of noise, and their magnitudes as networks of others see them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spectrum(bins: int = 1024, frames: int = 64) -> NDArray[np.float32]:
    """Real and imaginary parts (frames, 2, bins, 2)."""
    drawn = np.random.default_rng(0).standard_normal((frames, 2, bins, 2))
    return (1e-3 * drawn).astype(np.float32)


def magnitude(spectra: NDArray[np.float32]) -> NDArray[np.float32]:
    """Magnitudes (frames, 2, bins), as a transform without our scale gives them."""
    return 2048 * np.sqrt((spectra.astype(np.float64) ** 2).sum(-1)).astype(np.float32)
