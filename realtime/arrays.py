"""Arrays by what is in them: one layout everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Audio = NDArray[np.float32]  # (channels, samples)
Spectra = NDArray[np.complex64]  # (frames, channels, bins)
