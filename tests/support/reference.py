"""The separator as a textbook would write it: one frame after the other, double precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from realtime.spec import Tier

Doubles = NDArray[np.float64]


def reference_windows(tier: Tier) -> tuple[Doubles, Doubles]:
    """The windows sample by sample from their definition."""
    size, short = tier.window, tier.synthesis
    rise = size - short // 2
    analysis = np.zeros(size)
    for n in range(size):
        if n < rise:
            analysis[n] = np.sin(np.pi * n / (2 * rise))
        else:
            analysis[n] = np.cos(np.pi * (n - rise) / short)
    synthesis = np.zeros(short)
    for j in range(1, short):
        hann = (1 - np.cos(2 * np.pi * j / short)) / 2
        synthesis[j] = hann * 2 * tier.hop / short / analysis[size - short + j]
    return analysis, synthesis


def reference_target(
    signal: NDArray[np.float32], tier: Tier, masks: Callable[[int], Doubles], frames: int
) -> Doubles:
    """The target of `signal` (channels, n), not delayed, from the masks of each frame.

    masks(k) broadcasts to (channels, bins), or is a matrix (2, 2, bins) of the channels.
    """
    analysis, synthesis = reference_windows(tier)
    channels, size = signal.shape
    pad = tier.window
    padded = np.zeros((channels, pad + size + frames * tier.hop))
    padded[:, pad : pad + size] = signal
    out = np.zeros_like(padded)
    for k in range(frames):
        last = pad + (k + 1) * tier.hop
        spectrum = np.fft.rfft(padded[:, last - tier.window : last] * analysis)
        mask = masks(k)
        matrix = mask if mask.ndim == 3 else np.eye(channels)[:, :, None] * mask
        spectrum = np.einsum("ijb,jb->ib", matrix, spectrum)
        piece = np.fft.irfft(spectrum, tier.window)[:, -tier.synthesis :] * synthesis
        out[:, last - tier.synthesis : last] += piece
    return out[:, pad : pad + size]


def reference_steering(azimuth_deg: float, filters: Doubles) -> Doubles:
    """The matrix (2, 2, bins) of a steered filter (tt, tn, nt, nn), each (bins,)."""
    theta = np.deg2rad(azimuth_deg + 45)
    u, v = np.array([np.cos(theta), np.sin(theta)]), np.array([-np.sin(theta), np.cos(theta)])
    outers = (np.outer(u, u), np.outer(u, v), np.outer(v, u), np.outer(v, v))
    return sum(np.multiply.outer(o, f) for o, f in zip(outers, filters, strict=True))
