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
    """Return |L|², |R|² and Re L R* of a spectrum (..., 2, bins, 2): (..., 3, bins)."""
    left, right = spectrum.split(1, -3)
    return torch.cat([spectrum.square().sum(-1), (left * right).sum(-1)], -2)


def zones(scale: int) -> tuple[tuple[int, int], ...]:
    """Return (cells, bins a cell), upwards, of `scale` times 1024 bins."""
    return tuple((cells * scale, bins) for cells, bins in ZONES)


def pool(power: Tensor, scale: int = 1) -> Tensor:
    """Sum over the bins of each cell: (..., bins) to (..., cells)."""
    sizes = zones(scale)
    pieces = list(power.split([cells * bins for cells, bins in sizes], -1))
    for k, (cells, bins) in enumerate(sizes):
        if bins > 1:
            pieces[k] = pieces[k].reshape(*leading(power), cells, bins).sum(-1)
    return torch.cat(pieces, -1)


def spread(masks: Tensor, scale: int = 1) -> Tensor:
    """Give every bin the mask of its cell: (..., cells) to (..., bins)."""
    sizes = zones(scale)
    pieces = list(masks.split([cells for cells, _ in sizes], -1))
    for k, (cells, bins) in enumerate(sizes):
        if bins > 1:  # whole rows are copied and then turned, which is quicker than cell by cell
            rows = torch.cat([pieces[k][..., None, :]] * bins, -2)
            pieces[k] = rows.transpose(-1, -2).reshape(*leading(masks), cells * bins)
    return torch.cat(pieces, -1)


def leading(values: Tensor) -> list[int]:
    """Return the sizes of all axes but the last, for a reshape.

    They are numbers in an exported graph, too, except the first, which may be any.
    """
    return [-1, *(int(size) for size in values.shape[1:-1])][: values.dim() - 1]


def decays(memory_s: Sequence[float], hop: int) -> tuple[float, ...]:
    """Return the decays per frame of `hop` samples at 44.1 kHz, of averages over `memory_s`."""
    return tuple(math.exp(-hop / RATE_HZ / seconds) for seconds in memory_s)


def fading(values: Tensor, decays: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return what an average is made of after each of the frames of `values` (B, F, ...).

    The weights of the frames (decays, F, F), (1 − d) d^(k−j) up to the frame itself, and of the
    state before them (decays, F, 1), d^(k+1). With these one graph serves any F.
    """
    steps = torch.arange(values.shape[1], device=values.device).to(values.dtype)
    logs = values.new_tensor([[[math.log(decay)]] for decay in decays])  # (D, 1, 1)
    # ages of frames to come count as if they were past: d to a large negative power is infinite
    powers = torch.exp((steps[:, None] - steps).abs() * logs)
    of_frames = torch.tril(powers * values.new_tensor([[[1 - decay]] for decay in decays]))
    return of_frames, powers[:, :, :1] * values.new_tensor([[[decay]] for decay in decays])


def averaged(
    values: Tensor, state: Tensor, of_frames: Tensor, of_state: Tensor, *, batch: int
) -> tuple[Tensor, Tensor]:
    """Average recursively, y[k] = d y[k−1] + (1 − d) x[k] for every decay d, over the frames.

    Parameters
    ----------
    values : (B, F, ...).
    state : (B, decays, ...), the averages of the frame before.
    of_frames, of_state : the weights that `fading` gives.
    batch : B; if it is a number, an exported graph needs not compute it, and has no other B.

    Returns
    -------
    The averages (B, F, decays, ...), and the next state.
    """
    count = len(of_state)
    sizes = [int(size) for size in values.shape[2:]]  # numbers in an exported graph, too
    numbers = math.prod(sizes)
    found = of_frames @ values.reshape(batch, 1, -1, numbers)
    found = found + of_state * state.reshape(batch, count, 1, numbers)
    averages = found.transpose(1, 2).reshape(batch, -1, count, *sizes)
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


def for_streams(values: Tensor, streams: Tensor) -> Tensor:
    """Give values (B, ...) to every stream of their mixture, as `streams` (B · targets, ...) has.

    An exported graph has one mixture, and then the shape is that of `streams`.
    """
    if len(values) == 1:
        return values.expand_as(streams)
    return values.repeat_interleave(len(streams) // len(values), 0)


def in_time(values: Tensor) -> Tensor:
    """(B, F, targets, n) to (F, B · targets, n): the frames of every stream one after another."""
    if len(values) == 1:  # as always in an exported graph, which gets no sizes to compute
        return values.squeeze(0)
    return values.transpose(0, 1).flatten(1, 2)


def in_a_row(values: Tensor, batch: int) -> Tensor:
    """(F, B · targets, n) to (B · F · targets, n)."""
    if batch > 1:
        values = values.unflatten(1, (batch, -1)).transpose(0, 1)
    return values.reshape(-1, int(values.shape[-1]))
