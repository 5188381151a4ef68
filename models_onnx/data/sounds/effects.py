"""Effects, most of them by pedalboard: what happens to a dry part before it is panned.

Inserts change the sound itself; wideners make a mono sound stereo; sends make the reverberant part.
"""

from __future__ import annotations

import numpy as np
from pedalboard import (
    Chorus,
    Compressor,
    Delay,
    Distortion,
    HighpassFilter,
    HighShelfFilter,
    LadderFilter,
    LowShelfFilter,
    PeakFilter,
    Pedalboard,
    Phaser,
    Plugin,
    Reverb,
)
from scipy.signal import oaconvolve

from models_onnx.data.stems import RATE_HZ

DRIVEN = {"guitar": 0.35, "bass": 0.2, "keys": 0.15, "organ": 0.25, "synth": 0.2, "vocals": 0.08}
"""Chance of distortion by class."""
AMPLIFIED = {"guitar": 0.45, "bass": 0.25, "keys": 0.1, "organ": 0.15}
"""Chance by class that recorded notes are played through an amplifier."""


def insert(rng: np.random.Generator, audio: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    """Send (2, samples) of a class through a drawn chain; return it and the chain's names."""
    chain: dict[str, list[Plugin]] = {}
    if rng.random() < DRIVEN.get(name, 0.02):
        chain["distortion"] = [Distortion(float(rng.uniform(3.0, 28.0)))]
    if rng.random() < 0.6:
        chain["eq"] = _equaliser(rng)
    if rng.random() < 0.35:
        chain["compressor"] = [_compressor(rng)]
    if rng.random() < 0.04:
        chain["phaser"] = [Phaser(rate_hz=float(rng.uniform(0.1, 1.5)), mix=0.5)]
    if not chain:
        return audio, []
    scale = np.float32(0.25 / max(float(np.abs(audio).max()), 1e-6))
    board = Pedalboard([plugin for plugins in chain.values() for plugin in plugins])
    return board(audio * scale, RATE_HZ, reset=True), list(chain)


def amplify(rng: np.random.Generator, audio: np.ndarray) -> np.ndarray:
    """Send (2, samples) through a guitar amplifier: drive, then the band that a cabinet leaves."""
    board = Pedalboard(
        [
            HighpassFilter(float(rng.uniform(60, 700))),
            PeakFilter(float(rng.uniform(400, 1500)), float(rng.uniform(0, 6)), 0.7),
            Distortion(float(rng.uniform(15.0, 65.0))),
            LadderFilter(LadderFilter.Mode.LPF24, float(rng.uniform(3200, 6500))),
            PeakFilter(float(rng.uniform(1800, 3500)), float(rng.uniform(0, 12)), 1.0),
            PeakFilter(float(rng.uniform(90, 180)), float(rng.uniform(-3, 5)), 1.0),
        ]
    )
    scale = np.float32(0.25 / max(float(np.abs(audio).max()), 1e-6))
    return board(audio * scale, RATE_HZ, reset=True)


def _equaliser(rng: np.random.Generator) -> list[Plugin]:
    gain_db = rng.normal(0.0, 4.0, 3).clip(-10, 10)
    return [
        LowShelfFilter(float(rng.uniform(80, 300)), float(gain_db[0])),
        PeakFilter(float(np.exp(rng.uniform(np.log(250), np.log(5000)))), float(gain_db[1]), 0.9),
        HighShelfFilter(float(rng.uniform(3000, 9000)), float(gain_db[2])),
    ]


def _compressor(rng: np.random.Generator) -> Compressor:
    return Compressor(
        threshold_db=float(rng.uniform(-34.0, -16.0)),
        ratio=float(rng.uniform(2.0, 8.0)),
        attack_ms=float(rng.uniform(1.0, 30.0)),
        release_ms=float(rng.uniform(50.0, 300.0)),
    )


def chorus(rng: np.random.Generator, mono: np.ndarray) -> np.ndarray:
    """Widen (samples,) to (2, samples) by a chorus of different speed on each side."""
    depth, delay_ms = float(rng.uniform(0.1, 0.35)), float(rng.uniform(5.0, 12.0))
    sides = [
        Chorus(rate_hz=float(rng.uniform(0.3, 2.0)), depth=depth, centre_delay_ms=delay_ms, mix=0.5)
        for _ in range(2)
    ]
    return np.stack([side(mono, RATE_HZ, reset=True) for side in sides])


def haas(rng: np.random.Generator, mono: np.ndarray) -> np.ndarray:
    """Widen (samples,) to (2, samples) by a delay of 8 to 28 ms on the right."""
    delay = round(float(rng.uniform(0.008, 0.028)) * RATE_HZ)
    late = np.concatenate([np.zeros(delay, np.float32), mono[:-delay]])
    return np.stack([mono, late * np.float32(rng.uniform(0.6, 1.0))])


def reverberant(rng: np.random.Generator, dry: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the stereo reverb (2, samples) of (samples,) alone, and whether room, plate, hall."""
    if rng.random() < 0.4:
        room = Reverb(
            room_size=float(rng.uniform(0.1, 0.95)),
            damping=float(rng.uniform(0.1, 0.9)),
            wet_level=1.0,
            dry_level=0.0,
            width=float(rng.uniform(0.6, 1.0)),
        )
        return room(np.stack([dry, dry]), RATE_HZ, reset=True), "room"
    kind = "plate" if rng.random() < 0.5 else "hall"
    response = impulse_response(rng, kind)
    wet = oaconvolve(dry[np.newaxis], response, axes=1)[:, : dry.size]
    return wet.astype(np.float32), kind


def impulse_response(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Return (2, samples) float32: decaying noise whose high tones decay first.

    A plate is dense at once and bright; a hall starts later, with a few early reflections.
    """
    decay_s = float(rng.uniform(0.4, 1.8) if kind == "plate" else rng.uniform(0.8, 2.6))
    count = round(decay_s * RATE_HZ)
    time_s = np.arange(count) / RATE_HZ
    dark = float(rng.uniform(0.3, 0.6))
    bands = rng.normal(0.0, 1.0, (2, 2, count))
    low = np.cumsum(bands[0], axis=1)
    low = (low[:, 8:] - low[:, :-8]) / np.sqrt(8.0)  # a moving average: below 5 kHz
    low = np.pad(low, ((0, 0), (8, 0)))
    response = low * 10 ** (-3 * time_s / decay_s) + bands[1] * 10 ** (
        -3 * time_s / (decay_s * dark)
    )
    if kind == "hall":
        start = round(float(rng.uniform(0.01, 0.05)) * RATE_HZ)
        response[:, :start] = 0.0
        for _ in range(6):
            response[:, int(rng.integers(start // 2, start * 2))] += rng.normal(0.0, 12.0, 2)
    return (response / np.sqrt((response**2).sum(1, keepdims=True))).astype(np.float32)


def echo(rng: np.random.Generator, dry: np.ndarray, beat_s: float) -> np.ndarray:
    """Return the stereo echoes (2, samples) of (samples,) alone, in time with the song."""
    steps = rng.choice((0.5, 0.75, 1.0, 1.5), 2, replace=False)
    feedback = float(rng.uniform(0.1, 0.5))
    sides = [Delay(min(2.0, float(s) * beat_s), feedback, mix=1.0) for s in steps]
    return np.stack([side(dry, RATE_HZ, reset=True) for side in sides])
