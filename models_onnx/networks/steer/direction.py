"""Where in the opening the target stands: a place in a histogram of directions.

A direction given by hand is off by a few degrees, and what is not nulled exactly is hardly nulled.
The mixture says where its sources are: a cell in which one amplitude-panned source dominates has a
covariance of rank one, whose axis is the direction of the source (the histograms of Yilmaz &
Rickard, "Blind separation of speech mixtures via time-frequency masking", 2004, and Barry et al.,
"Sound source separation: azimuth discrimination and resynthesis", 2004). A cell counts by its level
and by how pure it is. Histograms of the whole half-circle, so that a moving direction finds them
ready, are averaged over 0.8 and 4 s; a small network reads them around the direction given and says
in which place of the opening the target is. A choice, not a mean: between two sources is nothing.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

STEP_DEG = 0.5
GRID = 181  # directions from −45° to +45°
PURITIES = (8, 32)  # exponents, powers of two
KINDS = 2 * len(PURITIES)  # of histograms: of averaged and of single frames
MEMORY_S = (0.826, 3.87)  # time constants of the histograms
PLACES = 41  # over the opening: 0.5° apart at a width of 20°
CENTRE = PLACES // 2
HIDDEN = 64
WIDEST_DEG = 30.0  # wider openings mean all that is inside
TRUST = 2.0  # how many times as likely as the direction given another one must be
OUT_OF_PHASE = 0.1  # so far a source at the side may seem out of phase


class DirectionRefiner(nn.Module):
    """The place of the target in its opening: logits of `PLACES`, the first at the left edge."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Linear(len(MEMORY_S) * KINDS * PLACES + 1, HIDDEN)
        self.think = nn.Linear(HIDDEN, HIDDEN)
        self.choose = nn.Linear(HIDDEN, PLACES)
        with torch.no_grad():
            self.choose.weight.zero_()
            self.choose.bias.zero_()[CENTRE] = 1.0

    def forward(self, histograms: Tensor, direction: Tensor) -> Tensor:
        """Give logits (B, F, targets, PLACES).

        Parameters
        ----------
        histograms : (B, F, decays, KINDS, GRID).
        direction : (B, F, targets, 2), azimuth and width in degrees.
        """
        logits = self.in_a_row(histograms, direction.flatten(0, 1))
        return logits.reshape(*direction.shape[:-1], PLACES)

    def in_a_row(self, histograms: Tensor, direction: Tensor) -> Tensor:
        """Give logits (B · F · targets, PLACES) of directions (B · F, targets, 2)."""
        count = len(MEMORY_S) * KINDS
        seen = around(histograms.reshape(-1, count, GRID), direction).reshape(-1, count * PLACES)
        width_deg = direction.reshape(-1, 2).split(1, -1)[1]
        x = torch.cat([seen, torch.log(width_deg) * 0.3], -1)
        x = functional.relu(self.think(functional.relu(self.look(x))))
        logits: Tensor = self.choose(x)
        return logits


def _windows() -> Tensor:
    """Return (PLACES, 3 · PLACES + 1): what chances of places are multiplied by to get sums.

    For every place the sum over it and its two neighbours; the same, of how far they are from the
    centre in widths of the opening, and of weights to divide that by, where a place at an end is
    its own neighbour; and `TRUST` times the sum around the centre.
    """
    places = torch.arange(PLACES)
    near = torch.stack([places - 1, places, places + 1])
    weights = functional.one_hot(near.clamp(0, PLACES - 1), PLACES).sum(0).T.float()
    sums = ((places[:, None] - places).abs() <= 1).float()
    away = (places[:, None] - CENTRE) / (PLACES - 1)
    return torch.cat([sums, away * weights, weights, TRUST * sums[:, CENTRE : CENTRE + 1]], 1)


WINDOWS = _windows()


def offset_deg(logits: Tensor, width_deg: Tensor) -> Tensor:
    """Return by how many degrees the target is further right: (..., 1) of logits (..., PLACES).

    Zero where the direction given is about as likely, and for wide openings (..., 1).
    """
    chance = torch.softmax(logits.float(), -1)
    # three places together are one source; their mean is finer than the grid of places
    near, away, weights, trusted = (chance @ WINDOWS.to(chance)).split([PLACES] * 3 + [1], -1)
    likeliest, best = near.max(-1, keepdim=True)
    found = (away / weights).gather(-1, best)
    return found * width_deg * ((likeliest > trusted) & (width_deg < WIDEST_DEG))


def posterior(logits: Tensor, moved_deg: Tensor, width_deg: Tensor) -> Tensor:
    """Return how likely each place is, around that `moved_deg` further right: (..., PLACES).

    The last axis of what is in degrees is of one. Zero beyond the opening, and for wide openings.
    """
    moved = torch.round(moved_deg / width_deg * (PLACES - 1)).long().clamp(-CENTRE, CENTRE)
    place = torch.arange(CENTRE, CENTRE + PLACES, device=logits.device) + moved
    chance = functional.pad(torch.softmax(logits.float(), -1), (CENTRE, CENTRE))
    return chance.gather(-1, place) * (width_deg < WIDEST_DEG)


def place_of(off_deg: Tensor, width_deg: Tensor) -> Tensor:
    """Return the place of a target that is `off_deg` further right than the direction given."""
    place = torch.round(off_deg / width_deg * (PLACES - 1)) + CENTRE
    return place.clamp(0, PLACES - 1).long()


def directions(averaged: Tensor, instant: Tensor) -> Tensor:
    """Return histograms (B, F, KINDS, GRID) of both kinds of covariances (B, F, 3, cells).

    One histogram for each purity. A cell counts in the two nearest directions, so that a histogram
    moves with its source.
    """
    batch, cells = len(instant), int(instant.shape[-1])
    pair = torch.cat([averaged, instant], 2).reshape(batch, -1, 2, 3, cells)
    ll, rr, lr = pair.split(1, 3)  # (B, F, 2, 1, cells)
    # the covariance [[ll, lr], [lr, rr]] has eigenvalues P₁ ≥ P₂ with P₁ + P₂ = total; its first
    # axis is at half the angle whose cosine is (ll − rr) / (P₁ − P₂); purity = (P₁ − P₂) / total
    half, total = (ll - rr) * 0.5, (ll + rr).clamp(min=1e-12)
    level = total.sqrt().sqrt() * (lr > -OUT_OF_PHASE * total)
    axis = (half.square() + lr.square()).sqrt().clamp(min=1e-12)  # half of P₁ − P₂
    place = torch.acos((half / axis).clamp(-1, 1)) * (90 / math.pi / STEP_DEG)
    lower = place.long().clamp(0, GRID - 2)  # even of NaN
    part = (place - lower).clamp(0, 1)
    weights = level * torch.cat(_powers(axis * 2 / total), 3)
    shares = torch.cat([weights * (1 - part), weights * part], 3)  # of the lower and the upper one
    counts = _counted(lower.reshape(-1, 2, cells), shares.transpose(3, 4))
    lower_ones, upper_ones = counts.split(len(PURITIES), -1)
    # the upper direction is one further; the last one of a histogram is nobody's lower direction
    counts = lower_ones + functional.pad(upper_ones, (0, 0, 1, -1))
    counts = counts.reshape(batch, -1, 2, GRID, len(PURITIES))
    return counts.transpose(3, 4).reshape(batch, -1, KINDS, GRID)


def _powers(purity: Tensor) -> list[Tensor]:
    """Return a purity to each exponent of `PURITIES`, 2ⁿ, by squares: powers take far longer."""
    found, exponent = [], 1
    for wanted in PURITIES:
        while exponent < wanted:
            purity, exponent = purity.square(), 2 * exponent
        found.append(purity)
    return found


def _counted(place: Tensor, shares: Tensor) -> Tensor:
    """Sum shares (…, cells, n) by their place (histograms / 2, 2, cells): (histograms · GRID, n).

    All histograms are one table, and what falls in a place is one row of it: a sum of rows takes a
    quarter of the time of sums of single numbers.
    """
    count = 2 * len(PURITIES)
    pairs = torch.arange(place.shape[0], device=place.device)[:, None, None]
    first = pairs * (2 * GRID) + torch.tensor([[0], [GRID]], device=place.device)
    table = shares.new_zeros(place.shape[0] * (2 * GRID), count)
    summed: Tensor = _SumRows.apply(
        table, (place + first).reshape(-1, 1), shares.reshape(-1, count)
    )
    return summed


class _SumRows(torch.autograd.Function):
    """Add rows to the rows of a table that an index (n, 1) names; without gradient.

    PyTorch would export it number by number.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, rows: Tensor) -> Tensor:
        return table.index_add(0, index[:, 0], rows)

    @staticmethod
    def symbolic(g: Any, table: Any, index: Any, rows: Any) -> Any:
        return g.op("ScatterND", table, index, rows, reduction_s="add")


def around(histograms: Tensor, direction: Tensor) -> Tensor:
    """Read histograms (N, n, GRID) around directions (N, targets, 2): (N, targets, n, PLACES).

    Relative to their mean and compressed; zero beyond ±45°.
    """
    azimuth_deg, width_deg = direction.split(1, -1)
    across = torch.arange(PLACES, dtype=direction.dtype, device=direction.device) - CENTRE
    place = (azimuth_deg + width_deg * across / (PLACES - 1) + 45) / STEP_DEG
    inside = place == place.clamp(0, GRID - 1)  # (N, targets, PLACES)
    rows = histograms[:, :, None]  # pictures of one row, read between their points
    points = functional.pad((place * (2 / (GRID - 1)) - 1)[..., None], (0, 1))
    found = functional.grid_sample(rows, points, align_corners=True)  # (N, n, targets, PLACES)
    level = rows.mean(-1, keepdim=True) + 1e-9
    return (torch.log(found / level + 1) * inside[:, None]).transpose(1, 2)
