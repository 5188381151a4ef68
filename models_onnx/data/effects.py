"""Studio effects by pedalboard: what happens to a dry part before it is panned."""

from __future__ import annotations

import numpy as np
from pedalboard import Reverb

from models_onnx.data.stems import RATE_HZ


def reverberant(rng: np.random.Generator, stem: np.ndarray) -> np.ndarray:
    """Return the stereo reverb (2, samples) of a stem's direct sound, without the sound itself."""
    reverb = Reverb(
        room_size=float(rng.uniform(0.1, 0.95)),
        damping=float(rng.uniform(0.1, 0.9)),
        wet_level=1.0,
        dry_level=0.0,
        width=float(rng.uniform(0.6, 1.0)),
    )
    return reverb(np.stack([stem[0], stem[0]]), RATE_HZ, reset=True)
