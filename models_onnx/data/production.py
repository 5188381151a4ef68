"""Scenes as productions are: where instruments stand, how loud they are, and what the bus does.

In a mix that was made for release the voice, the bass and the kit stand in the middle, guitars and
keys to the sides, and everything passes one reverb, a compressor and a limiter together. A gain
that changes with the mixture is applied to every source alike, so the sum stays a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import lfilter

from models_onnx.data.classes import ACCOMPANIMENT
from models_onnx.data.sources import Source
from models_onnx.data.stems import RATE_HZ, Label

CENTRED = ("vocals", "bass", "double_bass", "drums", ACCOMPANIMENT)
LEVELS_DB = {"vocals": 0.0, "drums": 0.0, "bass": -3.0, "double_bass": -4.0, "guitar": -5.0,
             "percussion": -10.0, "choir": -8.0, ACCOMPANIMENT: 3.0}  # fmt: skip
OTHERS_DB, SPREAD_DB = -7.0, 3.5
ALL_CENTRED, REVERBERANT, COMPRESSED, LIMITED = 0.3, 0.4, 0.6, 0.6
STEP = 128
"""Samples between the values of a gain."""


@dataclass(frozen=True)
class Seat:
    """Where a source stands, how loud, and how much of its wide part is heard."""

    azimuth_deg: float
    gain_db: float
    wet: float


def seats(rng: np.random.Generator, sources: Sequence[Source]) -> list[Seat]:
    """Draw where sources stand and how loud they are; in three of ten scenes all in the middle."""
    together = rng.random() < ALL_CENTRED
    return [seat(rng, source.label.name, together=together) for source in sources]


def seat(rng: np.random.Generator, name: str, *, together: bool) -> Seat:
    """Draw where a source of a class stands; `together` where all stand in the middle."""
    gain_db = LEVELS_DB.get(name, OTHERS_DB) + float(rng.normal(0.0, SPREAD_DB))
    wide = float(rng.uniform(0.5, 1.2))
    if together or (name in CENTRED and rng.random() < 0.85):
        azimuth_deg = 0.0 if rng.random() < 0.6 else float(rng.normal(0.0, 2.0))
        mono = name in ("bass", "double_bass") and rng.random() < 0.7
        return Seat(azimuth_deg, gain_db, 0.0 if mono else wide)
    if rng.random() < 0.25:  # hard to one side
        return Seat(float(rng.choice((-1, 1)) * rng.uniform(35, 45)), gain_db, wide)
    return Seat(float(np.clip(rng.normal(0.0, 18.0), -45, 45)), gain_db, wide)


def finish(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Send images (sources, 2, samples) through a bus: reverb, compressor, limiter."""
    if rng.random() < REVERBERANT:
        images = _reverb(rng, images)
    if rng.random() < COMPRESSED:
        images = images * _compressor(rng, images.sum(0))
    if rng.random() < LIMITED:
        images = images * _limiter(rng, images.sum(0))
    return images.astype(np.float32, copy=False)


def _reverb(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Return one room for all: noise that decays, sent to by every source in its own measure."""
    samples = images.shape[-1]
    seconds = float(rng.uniform(0.15, 0.9))
    n = np.arange(int(seconds * RATE_HZ))
    noise = rng.standard_normal((2, n.size)).astype(np.float32)
    noise = lfilter([1.0 - (pole := rng.uniform(0.2, 0.8))], [1.0, -pole], noise)
    noise *= np.exp(-6.9 * n / n.size)
    noise[:, : int(rng.uniform(0.002, 0.02) * RATE_HZ)] = 0.0
    noise /= np.sqrt((noise**2).sum(1, keepdims=True))
    size = next_fast_len(samples + n.size, real=True)
    room = rfft(noise.astype(np.float32), size)
    sends = 10 ** (rng.uniform(-24.0, -9.0, len(images)) / 20).astype(np.float32)
    wet = irfft(rfft(images.sum(1), size)[:, None] * room, size)[..., :samples]
    return images + wet * sends[:, None, None] * 0.7


def _envelope(audio: np.ndarray, seconds: float) -> np.ndarray:
    """Return the mean square of (2, samples) every `STEP` samples, smoothed over a time."""
    steps = -(-audio.shape[1] // STEP)
    padded = np.zeros((2, steps * STEP), np.float32)
    padded[:, : audio.shape[1]] = audio
    power = np.square(padded).reshape(2, steps, STEP).mean((0, 2))
    decay = np.exp(-STEP / RATE_HZ / seconds)
    smooth, _ = lfilter([1 - decay], [1.0, -decay], power, zi=[decay * power.mean()])
    return np.asarray(smooth)


def _over(gain_db: np.ndarray, samples: int) -> np.ndarray:
    """Spread gains of every `STEP` samples to (samples,) factors, in straight lines between."""
    places = np.arange(samples) / STEP
    return (10 ** (np.interp(places, np.arange(gain_db.size), gain_db) / 20)).astype(np.float32)


def _compressor(rng: np.random.Generator, mixture: np.ndarray) -> np.ndarray:
    level_db = 10 * np.log10(_envelope(mixture, float(rng.uniform(0.005, 0.08))) + 1e-9)
    threshold_db = float(np.mean(level_db)) + float(rng.uniform(-6.0, 6.0))
    slope = 1 - 1 / float(rng.uniform(1.5, 5.0))
    return _over(-slope * np.maximum(level_db - threshold_db, 0.0), mixture.shape[1])


def _limiter(rng: np.random.Generator, mixture: np.ndarray) -> np.ndarray:
    """Turn peaks above a ceiling down, ahead of them."""
    steps = -(-mixture.shape[1] // STEP)
    padded = np.zeros(steps * STEP, np.float32)
    padded[: mixture.shape[1]] = np.abs(mixture).max(0)
    peaks = padded.reshape(steps, STEP).max(1)
    ceiling = float(peaks.max(initial=1e-6)) * 10 ** (-float(rng.uniform(0.0, 6.0)) / 20)
    need_db = np.minimum(0.0, -20 * np.log10(peaks / ceiling + 1e-9))
    held = np.minimum.reduce([np.roll(need_db, k) for k in range(-3, 4)])
    decay = np.exp(-STEP / RATE_HZ / 0.05)
    gain_db = np.empty_like(held)
    now = 0.0
    for k, wanted in enumerate(held):
        now = min(wanted, now * decay)
        gain_db[k] = now
    return _over(gain_db, mixture.shape[1])


def real_voice(label: Label) -> bool:
    """Return whether a source that is called a voice is one: soundfonts only imitate them."""
    return label.name != "vocals" or ".sf" not in label.origin
