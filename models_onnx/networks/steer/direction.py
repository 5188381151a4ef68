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
        """Give logits (B, F, PLACES).

        Parameters
        ----------
        histograms : (B, F, decays, KINDS, GRID).
        direction : (B, F, 2), azimuth and width in degrees.
        """
        seen = around(histograms.flatten(2, 3), direction).flatten(2)
        x = torch.cat([seen, torch.log(direction[..., 1:]) * 0.3], -1)
        x = functional.relu(self.think(functional.relu(self.look(x))))
        logits: Tensor = self.choose(x)
        return logits


def offset_deg(logits: Tensor, width_deg: Tensor) -> Tensor:
    """Return by how many degrees the target is further right: (B, F) of logits (B, F, PLACES).

    Zero where the direction given is about as likely, and for wide openings.
    """
    chance = torch.softmax(logits.float(), -1)
    # three places together are one source; their mean is finer than the grid of places
    near = functional.avg_pool1d(chance, 3, 1, 1)
    best = near.argmax(-1, keepdim=True)
    places = torch.cat([best - 1, best, best + 1], -1).clamp(0, PLACES - 1)
    weights = chance.gather(-1, places)
    place = (weights * places).sum(-1) / weights.sum(-1)
    sure = near.gather(-1, best)[..., 0] > TRUST * near[..., CENTRE]
    return (place - CENTRE) / (PLACES - 1) * width_deg * (sure & (width_deg < WIDEST_DEG))


def posterior(logits: Tensor, moved_deg: Tensor, width_deg: Tensor) -> Tensor:
    """Return how likely each place is, around that `moved_deg` further right: (B, F, PLACES).

    Zero beyond the opening, and for wide openings.
    """
    moved = torch.round(moved_deg / width_deg * (PLACES - 1)).long()[..., None]
    place = torch.arange(PLACES, device=logits.device) + moved
    inside = (place >= 0) & (place < PLACES) & (width_deg < WIDEST_DEG)[..., None]
    chance = torch.softmax(logits.float(), -1)
    return chance.gather(-1, place.clamp(0, PLACES - 1)) * inside


def place_of(off_deg: Tensor, width_deg: Tensor) -> Tensor:
    """Return the place of a target that is `off_deg` further right than the direction given."""
    place = torch.round(off_deg / width_deg * (PLACES - 1)) + CENTRE
    return place.clamp(0, PLACES - 1).long()


def directions(averaged: Tensor, instant: Tensor) -> Tensor:
    """Return histograms (B, F, KINDS, GRID) of both kinds of covariances (B, F, 3, cells).

    One histogram for each purity. A cell counts in the two nearest directions, so that a histogram
    moves with its source.
    """
    ll, rr, lr = torch.stack([averaged, instant], 2).unbind(3)  # (B, F, 2, cells)
    # the covariance [[ll, lr], [lr, rr]] has eigenvalues P₁ ≥ P₂ with P₁ + P₂ = total; its first
    # axis is at half the angle whose cosine is (ll − rr) / (P₁ − P₂); purity = (P₁ − P₂) / total
    half, total = (ll - rr) * 0.5, (ll + rr).clamp(min=1e-12)
    level = total.sqrt().sqrt() * (lr > -OUT_OF_PHASE * total)
    axis = (half.square() + lr.square()).sqrt().clamp(min=1e-12)  # half of P₁ − P₂
    place = torch.acos((half / axis).clamp(-1, 1)) * (90 / math.pi / STEP_DEG)
    lower = place.long().clamp(0, GRID - 2)  # even of NaN
    part = (place - lower).clamp(0, 1)
    shares = []
    for power in _powers(axis * 2 / total):
        weight = level * power
        shares += [weight * (1 - part), weight * part]  # of the lower direction and the upper one
    counts = _counted(lower, torch.stack(shares, -1))  # (B, F, 2, GRID, 2 · purities)
    upper = functional.pad(counts[..., :-1, 1::2], (0, 0, 1, 0))
    return (counts[..., 0::2] + upper).transpose(3, 4).flatten(2, 3)


def _powers(purity: Tensor) -> list[Tensor]:
    """Return a purity to each exponent of `PURITIES`, 2ⁿ, by squares: powers take far longer."""
    found, exponent = [], 1
    for wanted in PURITIES:
        while exponent < wanted:
            purity, exponent = purity.square(), 2 * exponent
        found.append(purity)
    return found


def _counted(place: Tensor, shares: Tensor) -> Tensor:
    """Sum shares (B, F, kinds, cells, n) by their place (B, F, kinds, cells): (…, kinds, GRID, n).

    All rows are one table, and what falls in a place is one row of it: a sum of rows takes a
    quarter of the time of sums of single numbers.
    """
    batch, frames, kinds, _, count = shares.shape
    number = torch.arange(batch * frames * kinds, device=shares.device)  # of a histogram
    table = shares.new_zeros(batch * frames * kinds * GRID, count)
    index = place.flatten(0, 2) + GRID * number[:, None]
    summed: Tensor = _SumRows.apply(table, index.flatten(), shares.flatten(0, 3))
    return summed.reshape(batch, frames, kinds, GRID, count)


class _SumRows(torch.autograd.Function):
    """Add rows to the rows of a table that an index names; without gradient.

    PyTorch would export it number by number.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, rows: Tensor) -> Tensor:
        return table.index_add(0, index, rows)

    @staticmethod
    def symbolic(g: Any, table: Any, index: Any, rows: Any) -> Any:
        axis = g.op("Constant", value_t=torch.tensor([1]))
        return g.op("ScatterND", table, g.op("Unsqueeze", index, axis), rows, reduction_s="add")


def around(histograms: Tensor, direction: Tensor) -> Tensor:
    """Read histograms (B, F, n, GRID) around directions (B, F, 2): (B, F, n, PLACES).

    Relative to their mean and compressed; zero beyond ±45°.
    """
    azimuth_deg, width_deg = direction[..., :1], direction[..., 1:]
    across = torch.arange(PLACES, dtype=direction.dtype, device=direction.device) - CENTRE
    place = (azimuth_deg + width_deg * across / (PLACES - 1) + 45) / STEP_DEG
    lower = place.long().clamp(0, GRID - 2)
    part = (place - lower)[:, :, None]
    inside = (part >= 0) & (part <= 1)
    index = lower[:, :, None].expand(-1, -1, histograms.shape[2], -1)
    found = histograms.gather(-1, index) * (1 - part) + histograms.gather(-1, index + 1) * part
    level = histograms.mean(-1, keepdim=True) + 1e-9
    return torch.log1p(found.clamp(min=0) / level) * inside
