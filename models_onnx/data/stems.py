"""The stored form of a stem: direct sound, to be panned, beside its wide and reverberant part.

A stereo sound (L, R) is split without loss: direct = (L + R) / √2 and wide = ±(L − R) / 2. Panned
to the centre by the constant-power law, direct plus wide is the sound again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

RATE_HZ = 44_100
REFERENCE_RMS = 0.1
"""Every stored stem has this RMS (−20 dBFS) where it sounds, unless its peaks forbid."""
PEAK = 0.97
ACTIVE_BELOW_DB = 40.0
FRAME = 2048


def split(audio: np.ndarray) -> np.ndarray:
    """Split stereo (2, samples) into (3, samples): direct, wide left, wide right."""
    side = (audio[0] - audio[1]) / 2
    return np.stack([(audio[0] + audio[1]) / np.sqrt(2.0), side, -side]).astype(np.float32)


def pan_gains(azimuth_deg: float) -> tuple[float, float]:
    """Return the constant-power gains (left, right) of a direction, −45° left … +45° right."""
    angle = np.radians(azimuth_deg + 45.0)
    return float(np.cos(angle)), float(np.sin(angle))


def image(stem: np.ndarray, azimuth_deg: float, wet_gain: float = 1.0) -> np.ndarray:
    """Return the stereo image (2, samples) of a stem (3, samples) at a direction."""
    left, right = pan_gains(azimuth_deg)
    return np.stack([left * stem[0] + wet_gain * stem[1], right * stem[0] + wet_gain * stem[2]])


def width_deg(placed: np.ndarray, azimuth_deg: float) -> float:
    """Return the opening that an image (2, samples) fills around its direction.

    2·atan(RMS across / RMS along the direction), degrees: 0 is a point, 90 is diffuse.
    """
    left, right = pan_gains(azimuth_deg)
    along = placed[0] * np.float32(left) + placed[1] * np.float32(right)
    across = placed[1] * np.float32(left) - placed[0] * np.float32(right)
    ratio = np.sqrt(float(across @ across) / max(float(along @ along), 1e-12))
    return float(min(90.0, 2 * np.degrees(np.arctan(ratio))))


def loudness(stem: np.ndarray) -> float:
    """Return the RMS of the centred image over the frames within 40 dB of the loudest one."""
    energy = frame_energy(image(stem, 0.0), FRAME)
    loud = energy[energy > energy.max(initial=0.0) * 10 ** (-ACTIVE_BELOW_DB / 10)]
    return float(np.sqrt(loud.mean())) if loud.size else 0.0


def normalise(stem: np.ndarray) -> np.ndarray:
    """Scale a stem to the reference RMS, or less where a channel or a side would clip."""
    level = loudness(stem)
    if level < 1e-7:
        return np.zeros_like(stem)
    peak = max(float(np.abs(stem).max()), float(np.abs(image(stem, 0.0)).max()))
    return stem * np.float32(min(REFERENCE_RMS / level, PEAK / peak))


def frame_energy(audio: np.ndarray, hop: int) -> np.ndarray:
    """Return the mean square of each whole or last partial hop of (channels, samples)."""
    channels, samples = audio.shape
    frames = -(-samples // hop)
    square = np.zeros(frames * hop, np.float32)
    np.einsum("cn,cn->n", audio, audio, out=square[:samples])
    return square.reshape(frames, hop).mean(1) / channels


def cubic_weights(t: Any) -> tuple[Any, Any, Any, Any]:
    """Return the weights of the samples at −1, 0, 1 and 2 for one at t, 0 to 1.

    By the cubic through the middle two with the slopes of their neighbours (Catmull & Rom, "A class
    of local interpolating splines", 1974).

    Parameters
    ----------
    t : an array or a tensor of any shape, that of each weight.
    """
    return (
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    )


def resample(audio: np.ndarray, samples: int, rate: float) -> np.ndarray:
    """Play (channels, n) at another speed by cubic (Catmull-Rom) interpolation.

    Returns (channels, samples) float32; reads up to sample ``rate * samples + 2`` of the input.
    """
    position = np.arange(samples) * rate
    whole = position.astype(np.int64)
    t = (position - whole).astype(np.float32)
    before = np.maximum(whole - 1, 0)
    taps = (before, whole, whole + 1, whole + 2)
    out = np.zeros((audio.shape[0], samples), np.float32)
    for weight, tap in zip(cubic_weights(t), taps, strict=True):
        out += weight * audio.take(tap, axis=1)
    return out


def principal_deg(audio: np.ndarray) -> float:
    """Return the strongest direction of (2, samples), −45 … +45; 0 if mostly out of phase."""
    cross, difference = audio[0] @ audio[1], audio[0] @ audio[0] - audio[1] @ audio[1]
    angle = 0.5 * np.arctan2(2 * cross, difference)  # from the left channel to the right one
    return float(np.degrees(angle)) - 45.0 if 0 <= angle <= np.pi / 2 else 0.0


def turned(audio: np.ndarray, by_deg: float) -> np.ndarray:
    """Rotate the stereo image of (2, samples) to the right by an angle, energy kept."""
    cos, sin = np.cos(np.radians(by_deg)), np.sin(np.radians(by_deg))
    return np.array([[cos, -sin], [sin, cos]], np.float32) @ audio


def recentred(audio: np.ndarray) -> np.ndarray:
    """Turn the image of (2, samples) so that its strongest direction is the centre."""
    return turned(audio, -principal_deg(audio))


@dataclass(frozen=True)
class Label:
    """What a stem is: class and family of ``classes``, its role, and what played it.

    Parameters
    ----------
    title : song and stem as their files are called, where a person would look for it.
    """

    name: str
    family: str
    role: str = ""
    origin: str = ""
    title: str = ""
