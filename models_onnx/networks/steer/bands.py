"""Dense layers of bands of neighbouring cells, each with weights of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

BANDS = 64  # 172 Hz wide below, 1.4 kHz at the top


class Bands(nn.Module):
    """A linear layer for every band: (bands, n, inputs) to (bands, n, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(BANDS, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(BANDS, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Apply every band's layer."""
        return torch.bmm(x, self.weight) + self.bias


def by_band(features: Tensor, count: int, per_band: int) -> Tensor:
    """Cut (B, F, count, cells) into bands: (bands, B · F, count · cells a band)."""
    cut = features.reshape(-1, count, BANDS, per_band).permute(2, 0, 1, 3)
    return cut.reshape(BANDS, -1, count * per_band)
