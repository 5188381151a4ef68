"""Covariances of the two channels in cells of time and frequency.

A cell is one bin below 5.5 kHz, two up to 11 kHz, four above: 512 cells of 1024 bins of a window
of 2048 samples, and in proportion for longer windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

RATE_HZ = 44_100
BINS = 1024
CELLS = 512
ZONES = ((256, 1), (128, 2), (128, 4))  # (cells, bins a cell), upwards, of 1024 bins


def covariances(spectrum: Tensor) -> Tensor:
    """Return |L|², |R|² and Re L R* of a spectrum (B, F, 2, bins, 2): (B, F, 3, bins)."""
    real, imaginary = spectrum.permute(4, 0, 1, 2, 3).contiguous()  # (B, F, 2, bins)
    power = real.square() + imaginary.square()
    across = real[:, :, :1] * real[:, :, 1:] + imaginary[:, :, :1] * imaginary[:, :, 1:]
    return torch.cat([power, across], 2)


def zones(scale: int) -> tuple[tuple[int, int], ...]:
    """Return (cells, bins a cell), upwards, of `scale` times 1024 bins."""
    return tuple((cells * scale, bins) for cells, bins in ZONES)


def pool(power: Tensor, scale: int = 1) -> Tensor:
    """Sum over the bins of each cell: (..., bins) to (..., cells)."""
    pieces, first = [], 0
    for cells, bins in zones(scale):
        piece = power[..., first : first + cells * bins]
        pieces.append(piece.reshape(*piece.shape[:-1], cells, bins).sum(-1))
        first += cells * bins
    return torch.cat(pieces, -1)


def spread(masks: Tensor, scale: int = 1) -> Tensor:
    """Give every bin the mask of its cell: (..., cells) to (..., bins)."""
    pieces, first = [], 0
    for cells, bins in zones(scale):
        piece = masks[..., first : first + cells]
        if bins > 1:  # whole rows are copied and then turned, which is quicker than cell by cell
            piece = torch.stack([piece] * bins, -2).transpose(-1, -2).flatten(-2)
        pieces.append(piece)
        first += cells
    return torch.cat(pieces, -1)


def decays(memory_s: Sequence[float], hop: int) -> tuple[float, ...]:
    """Return the decays per frame of `hop` samples at 44.1 kHz, of averages over `memory_s`."""
    return tuple(math.exp(-hop / RATE_HZ / seconds) for seconds in memory_s)


def average(values: Tensor, state: Tensor, decays: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Average recursively, y[k] = d y[k−1] + (1 − d) x[k] for every decay d, over the frames.

    Written as a product with the matrix d^(k−j), so that one graph serves any F.

    Parameters
    ----------
    values : (B, F, ...).
    state : (B, decays, ...), the averages of the frame before.

    Returns
    -------
    The averages (B, F, decays, ...), and the next state.
    """
    steps = torch.arange(values.shape[1], dtype=values.dtype, device=values.device)
    ages = steps[:, None] - steps  # (F, F)
    logs = values.new_tensor([math.log(decay) for decay in decays])[:, None, None]  # (D, 1, 1)
    new = values.new_tensor([1 - decay for decay in decays])[:, None, None]
    # ages of frames to come are clamped: d to a large negative power would be infinite, and
    # infinity times the zero of the mask is not a number
    weights = torch.exp(ages.clamp(min=0) * logs) * (ages >= 0) * new  # (D, F, F)
    fading = torch.exp((steps[:, None] + 1) * logs)  # (D, F, 1)
    found = weights @ values.flatten(2)[:, None] + fading * state.flatten(2)[:, :, None]
    averages = found.transpose(1, 2).reshape(*values.shape[:2], len(decays), *values.shape[2:])
    return averages, averages[:, -1]


def rotate(ll: Tensor, rr: Tensor, lr: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return E[T T*], E[N N*] and E[Re T N*] from the covariances of L and R, at angles theta.

    With T = L cos θ + R sin θ and N = R cos θ − L sin θ, by the double-angle formulas.
    """
    total, half = ll + rr, (ll - rr) * 0.5
    cos, sin = torch.cos(2 * theta), torch.sin(2 * theta)
    tilt = half * cos + lr * sin
    along = (total * 0.5 + tilt).clamp(min=0)  # rounding may leave a little below zero
    return along, (total - along).clamp(min=0), lr * cos - half * sin


def radians(azimuth_deg: Tensor) -> Tensor:
    """Return θ = azimuth + 45° in radians."""
    return (azimuth_deg + 45) * (math.pi / 180)


def repeat(values: Tensor, targets: int) -> Tensor:
    """Repeat (B, ...) for every target: (B · targets, ...)."""
    shape = values.shape
    return values[:, None].expand(-1, targets, *shape[1:]).reshape(-1, *shape[1:])
