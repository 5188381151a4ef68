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

import torch
from torch import Tensor, nn
from torch.nn import functional

STEP_DEG = 0.5
GRID = 181  # directions from −45° to +45°
PURITIES = (8, 32)  # exponents
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
    """Return histograms (B, F, KINDS, GRID) of both kinds of covariances (B, F, 3, cells)."""
    return torch.cat([_histograms(averaged), _histograms(instant)], 2)


def _histograms(covariance: Tensor) -> Tensor:
    """Return one histogram for each purity: (B, F, purities, GRID).

    A cell counts in the two nearest directions, so that a histogram moves with its source.
    """
    ll, rr, lr = covariance.unbind(2)
    # the covariance [[ll, lr], [lr, rr]] has eigenvalues P₁ ≥ P₂ with P₁ + P₂ = total; its first
    # axis is at half the angle whose cosine is (ll − rr) / (P₁ − P₂); purity = (P₁ − P₂) / total
    half, total = (ll - rr) * 0.5, (ll + rr).clamp(min=1e-12)
    level = total.sqrt().sqrt() * (lr > -OUT_OF_PHASE * total)
    axis = (half.square() + lr.square()).sqrt().clamp(min=1e-12)  # half of P₁ − P₂
    purity = axis * 2 / total
    place = torch.acos((half / axis).clamp(-1, 1)) * (90 / math.pi / STEP_DEG)
    lower = place.long().clamp(0, GRID - 2)  # even of NaN
    part = (place - lower).clamp(0, 1)
    empty = torch.zeros(*level.shape[:2], GRID, dtype=level.dtype, device=level.device)
    found = []
    for exponent in PURITIES:
        weight = level * purity.pow(exponent)
        one = empty.scatter_add(-1, lower, weight * (1 - part))
        found.append(one.scatter_add(-1, lower + 1, weight * part))
    return torch.stack(found, 2)


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
