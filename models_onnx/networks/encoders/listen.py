"""The encoder of audio queries: the timbre of a clip, whatever its pitch and level."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from realtime.spec import Tier

LISTEN = "listen"
"""What it is called, in checkpoints and as a file."""
RATE_HZ = 44_100
CLIP = Tier(window=2048, synthesis=2048, hop=1024)
CLIP_BINS = 1024
LOWEST_HZ = 30.0
QUIET = 1e-3


@dataclass(frozen=True)
class ListenConfig:
    """Sizes of the encoder: bands of its spectrum, numbers a frame, numbers of a timbre."""

    bands: int = 96
    width: int = 160
    size: int = 64


class Listen(nn.Module):
    """The timbre of a clip, a unit vector.

    Power of both channels in mel bands, over the mean of the clip, compressed; three convolutions
    over time; mean and deviation, weighted by attention.
    """

    mel: Tensor  # (bins, bands)

    def __init__(self, config: ListenConfig) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.register_buffer("mel", torch.from_numpy(mel_bands(config.bands)))
        self.enter = nn.Conv1d(config.bands, width, 3, padding=1)
        self.middle = nn.Conv1d(width, width, 3, padding=2, dilation=2)
        self.last = nn.Conv1d(width, width, 3, padding=4, dilation=4)
        self.look = nn.Conv1d(width, 1, 1)
        self.leave = nn.Linear(2 * width, config.size)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Give unit vectors (B, size) of spectra (B, F, 2, bins, 2)."""
        power = spectrum.square().sum((2, 4))  # (B, F, bins)
        bands = power @ self.mel
        level = bands.mean((1, 2), keepdim=True) + 1e-9
        loud = torch.log(bands / level + QUIET)
        seen = (loud * 0.3).transpose(1, 2)  # (B, bands, F)
        x = functional.relu(self.enter(seen))
        x = x + functional.relu(self.middle(x))
        x = x + functional.relu(self.last(x))
        attention = torch.softmax(self.look(x) + loud.mean(2)[:, None] * 0.3, -1)
        mean = (x * attention).sum(-1)
        spread = ((x - mean[..., None]).square() * attention).sum(-1)
        pooled = torch.cat([mean, torch.sqrt(spread + 1e-5)], -1)
        return functional.normalize(self.leave(pooled), dim=-1)


def mel_bands(count: int) -> np.ndarray:
    """Return triangles (bins, count) evenly apart on the mel scale, each of unit sum."""

    def mel(hz: float) -> float:
        return 2595 * math.log10(1 + hz / 700)

    edges_mel = np.linspace(mel(LOWEST_HZ), mel(RATE_HZ / 2), count + 2)
    edges_hz = 700 * (10 ** (edges_mel / 2595) - 1)
    width_hz = RATE_HZ / CLIP.window
    bins_hz = np.arange(CLIP_BINS) * width_hz
    low, top, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    low, high = np.minimum(low, top - width_hz), np.maximum(high, top + width_hz)  # never empty
    rise = (bins_hz[:, None] - low) / (top - low)
    fall = (high - bins_hz[:, None]) / (high - top)
    weights = np.clip(np.minimum(rise, fall), 0, None)
    return (weights / weights.sum(0)).astype(np.float32)
