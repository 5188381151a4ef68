"""Votes: the directions that stand out of the single columns of a stereo field.

A column of the field is the level by direction of about a second. In each column the maxima from
which it dips on both sides are votes. A source gathers votes at its direction, more of them than
chance gives a direction nearby; how many more, in the stretch of time where it is most, is the log
likelihood ratio of the spatial scan statistic (Kulldorff, "A spatial scan statistic", 1997), here
with the Bernoulli model, over all directions and stretches of time: n votes in w columns where
chance gives w q::

    score = n ln(n / wq) + (w − n) ln((w − n) / (w − wq))

Votes and not levels are counted, so what is weak beside a loud centre or sounds for a few seconds
is found, and a few loud chords whose sources fall together in one bin are not.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from plugin_bridge.offline.stokes import STEP_DEG

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

SMOOTHING_DEG = 1.0  # standard deviation
COLUMN_FLOOR_DB, COLUMN_DIP = -20.0, 0.3  # of a vote: against the column's loudest; of its height
NEAR_DEG, REACH_DEG = 2.0, 6.0  # a vote is the highest so near, and dips within so far
TOLERANCE_DEG = 1.5  # a vote is one for all directions so near
CHANCE_DEG, LEAST_CHANCE = (3.0, 12.0), 0.03  # where votes by chance are counted; share of columns
SHOULDER_DEG = 2.0
REPETITION = 0.5  # votes of neighbouring columns are of one chord in half of the cases


def smooth(level: Doubles) -> Doubles:
    """Blur levels (..., directions) by a Gaussian, their sum kept."""
    reach = round(3 * SMOOTHING_DEG / STEP_DEG)
    offsets = np.arange(-reach, reach + 1) * STEP_DEG / SMOOTHING_DEG
    kernel = np.exp(-(offsets**2) / 2)
    edges = [(0, 0)] * (level.ndim - 1) + [(reach, reach)]
    padded = np.pad(level, edges, mode="symmetric")
    out = np.zeros_like(level)
    for tap, weight in enumerate(kernel / kernel.sum()):
        out += weight * padded[..., tap : tap + level.shape[-1]]
    return out


def votes(field: Doubles) -> Flags:
    """Return which cells of a smooth field (columns, directions) are maxima that stand out."""
    near, reach = round(NEAR_DEG / STEP_DEG), round(REACH_DEG / STEP_DEG)
    padded = np.pad(field, ((0, 0), (reach, reach)))
    around = sliding_window_view(padded, 2 * reach + 1, axis=1)
    highest = around[:, :, reach - near : reach + near + 1].max(-1)
    base = np.maximum(around[:, :, :reach].min(-1), around[:, :, reach + 1 :].min(-1))
    floor = field.max(1, keepdims=True) * 10 ** (COLUMN_FLOOR_DB / 10)
    return np.asarray(
        (field >= highest) & (base <= (1 - COLUMN_DIP) * field) & (field >= floor) & (field > 0)
    )


def near_votes_of(cast: Flags) -> Flags:
    """Return whether each column has a vote near each direction."""
    reach = round(TOLERANCE_DEG / STEP_DEG)
    padded = np.pad(cast, ((0, 0), (reach, reach)))
    return np.asarray(sliding_window_view(padded, 2 * reach + 1, axis=1).any(-1))


def best_scores(near_votes: Flags, shortest: int) -> Doubles:
    """Return the best score (directions,) over all stretches of time; see the module."""
    columns = len(near_votes)
    chance = _chance(near_votes.mean(0))
    counts = np.concatenate([np.zeros((1, chance.size)), np.cumsum(near_votes, axis=0)])
    best = np.zeros(chance.size)
    length = max(1, min(shortest, columns))
    while True:
        starts = np.arange(0, columns - length + 1, max(1, length // 4))
        share = (counts[starts + length] - counts[starts]) / length
        best = np.maximum(best, length * _divergence(share, chance).max(0))
        if length == columns:
            return np.asarray(REPETITION * best)
        length = min(2 * length, columns)


def _divergence(share: Doubles, chance: Doubles) -> Doubles:
    """Return the Kullback-Leibler divergence of two shares where the first is larger, else 0."""
    tiny = 1e-12
    own = share * np.log(np.maximum(share, tiny) / chance)
    rest = (1 - share) * np.log(np.maximum(1 - share, tiny) / (1 - chance))
    return np.asarray(np.where(share > chance, own + rest, 0.0))


def _chance(share: Doubles) -> Doubles:
    """Return the share of columns that chance gives votes at each direction.

    It is the median of the shares on both sides, or that of both shoulders where it is higher:
    between two sources votes by chance are many, and spread evenly.
    """
    least, most = (round(deg / STEP_DEG) for deg in CHANCE_DEG)
    padded = np.pad(share, most, mode="reflect")
    around: Doubles = sliding_window_view(padded, 2 * most + 1)
    left, right = around[:, : most - least + 1], around[:, most + least :]
    beside = np.median(np.concatenate([left, right], axis=1), axis=1)
    width = round(SHOULDER_DEG / STEP_DEG)
    shoulders = np.minimum(left[:, -width:].mean(1), right[:, :width].mean(1))
    return np.asarray(np.clip(np.maximum(beside, shoulders), LEAST_CHANCE, 0.9))
