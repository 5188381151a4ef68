"""The direction mask by signal processing alone: the peer of every network, and the fallback.

A source panned by the constant-power law to θ vanishes from N = R cos θ − L sin θ, so the ratio
|N| / |T| of a bin is the tangent of its angle from θ: Gaussian in that tangent (steered masks as
in ADRess, Barry, Lawlor & Coyle, "Sound source separation: azimuth discrimination and resynthesis",
DAFx 2004, and PROJET, Fitzgerald, Liutkus & Badeau 2016).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from realtime.spec import ModelSpec, Tier

SPEC = ModelSpec(
    name="panorama",
    tiers={
        "direct": Tier(window=2048, synthesis=256, hop=128),
        "live": Tier(window=2048, synthesis=512, hop=256),
        "studio": Tier(window=4096, synthesis=4096, hop=1024),
        "offline": Tier(window=4096, synthesis=4096, hop=1024),
    },
    conditions={"direction": 2},
    mask_axes="steered",
    description="direction mask by signal processing, no learning",
    licence="GPL-3.0-or-later",
)

POINT_DEG, SPREAD_DEG = 40.0, 90.0
"""Up to the first width a target is a point, from the second on it keeps its own width."""


class Panorama(nn.Module):
    """Mask exp(−ln 2 · (|N| / (|T| tan(width / 2)))²): one half at the edge of the opening."""

    def forward(self, spectrum: Tensor, direction: Tensor) -> Tensor:
        """Give masks (F, targets, 4, bins); spectrum (F, 2, bins, 2), direction (F, targets, 2).

        One product turns the channels to every target: the spectrum is read once for all of them.
        """
        theta = (direction[..., 0] + 45) * (math.pi / 180)  # (F, targets)
        width_deg = direction[..., 1:2]  # (F, targets, 1)
        cos, sin = torch.cos(theta), torch.sin(theta)
        turn = torch.stack([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)], 2)
        real, imaginary = turn @ spectrum[..., 0], turn @ spectrum[..., 1]  # T, then N
        power = real.square() + imaginary.square()  # (F, 2 · targets, bins)
        along, across = power.chunk(2, 1)
        opening = torch.tan(width_deg * (math.pi / 360)).square()
        mask = torch.exp(-math.log(2) * across / (along * opening + 1e-20))
        zero = torch.zeros_like(mask)
        spread = ((width_deg - POINT_DEG) / (SPREAD_DEG - POINT_DEG)).clamp(0, 1)
        return torch.stack([mask, zero, zero, mask * spread], dim=2)
