"""The same sound as another recording of it: other speed, other tone."""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from models_onnx.data.stems import RATE_HZ, resample

TONE_DB = 4.0
POINTS_HZ = (60.0, 150.0, 400.0, 1000.0, 2500.0, 6000.0, 14000.0)
SPEED_DEVIATION, FASTEST = 0.1, 1.25


def draw_speed(rng: np.random.Generator) -> float:
    """Draw how much faster and higher a source is played: mostly within a tone or two."""
    speed = float(np.exp(rng.normal(0.0, SPEED_DEVIATION)))
    return float(np.clip(speed, 1 / FASTEST, FASTEST))


def played(stem: np.ndarray, samples: int, speed: float) -> np.ndarray:
    """Play (channels, n) faster: (channels, samples), zeros where it has ended."""
    there = min(samples, int((stem.shape[1] - 4) / speed))
    out = np.zeros((stem.shape[0], samples), np.float32)
    if there > 0:
        out[:, :there] = resample(stem, there, speed)
    return out


def toned(rng: np.random.Generator, stem: np.ndarray) -> np.ndarray:
    """Equalise (channels, n) by gains drawn at `POINTS_HZ`, without a change of phase."""
    samples = stem.shape[1]
    size = next_fast_len(samples, real=True)
    gains_db = rng.normal(0.0, TONE_DB, len(POINTS_HZ)).clip(-2.5 * TONE_DB, 2.5 * TONE_DB)
    gains_db -= gains_db.mean()
    hz = rfftfreq(size, 1 / RATE_HZ)
    curve = np.interp(np.log(hz + 1.0), np.log(POINTS_HZ), gains_db)
    spectrum = rfft(stem, size) * (10 ** (curve / 20)).astype(np.float32)
    return irfft(spectrum, size)[:, :samples].astype(np.float32)
