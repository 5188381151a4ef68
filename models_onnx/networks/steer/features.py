"""What the network sees of a cell, told a direction: levels, and candidates of c; no weights.

With T along the direction and N across it, a candidate of c = E[Re T N*] / E[N N*] comes from each
average of the covariance of the channels over time, and from five cells of the frame itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from models_onnx.networks.steer.bands import BANDS, by_band
from models_onnx.networks.steer.cells import rotate

MEMORY_S = (0.113, 0.826)  # time constants of the averages
CANDIDATES = 2 + len(MEMORY_S)  # none, the averages, and the mean over 5 cells of this frame
FEATURES = 4 + 2 * (CANDIDATES - 1)
NARROW = math.tan(math.radians(8)) ** 2


def described(
    averages: Tensor, instants: Sequence[Tensor], theta: Tensor, steepest: float
) -> list[tuple[Tensor, Tensor]]:
    """Describe as `describe` does, with all B · F · targets in a row.

    Returns for each of the instants features by band (bands, B · F · targets, FEATURES · cells a
    band), and slopes (B · F · targets, CANDIDATES − 1, cells).
    """
    cells = int(instants[0].shape[-1])
    return [
        (by_band(features, FEATURES, cells // BANDS), slopes.reshape(-1, CANDIDATES - 1, cells))
        for features, slopes in describe(averages, instants, theta, steepest)
    ]


def describe(
    averages: Tensor, instants: Sequence[Tensor], theta: Tensor, steepest: float
) -> list[tuple[Tensor, Tensor]]:
    """Features (B · F, targets, FEATURES, cells) and candidates of c but the first, which is zero.

    Those of each of the instants, with the same averages: what is the same for all of them, and
    for all targets, is done once.

    Parameters
    ----------
    averages : (B, F, decays, 3, cells), covariances of L and R.
    instants : frames that are described, each (B, F, 3, cells).
    theta : (B · F, targets, 1).
    steepest : |c| at most; a neighbour nearer than arccot of it is not nulled completely.
    """
    count, kept, cells = len(instants), len(MEMORY_S), int(instants[0].shape[-1])
    means = averages.reshape(-1, kept, 3, cells).transpose(1, 2)  # (B · F, 3, decays, cells)
    floor = means[:, :2].mean((1, 3), keepdim=True).amax(2, keepdim=True) * 2e-5 + 1e-15
    frames = [instant.reshape(-1, 3, cells) for instant in instants]
    near = [functional.avg_pool1d(frame, 5, 1, 2) for frame in frames]
    # the frames themselves in front of what gives candidates: (B · F, 3, n, cells)
    rows = [*(x[:, :, None] for x in frames), means, *(x[:, :, None] for x in near)]
    ll, rr, lr = torch.cat(rows, 2).split(1, 1)
    along, across, cross = rotate(ll, rr, lr, theta[..., None])  # (B · F, targets, n, cells)
    noisy = across + floor
    total = along + noisy
    parts = [count, kept + count]
    (along, along_each), (across, _) = along.split(parts, 2), across.split(parts, 2)
    (total, total_each), (_, noisy_each) = total.split(parts, 2), noisy.split(parts, 2)
    _, cross = cross.split(parts, 2)
    slopes = (cross / noisy_each).clamp(-steepest, steepest)
    levels = torch.log(torch.cat([along, across], 2) / floor + 1) * 0.1
    share, narrow = across / total, torch.exp(across / (along * -NARROW - floor))
    relative = cross / total_each  # E[T N*]
    left_over = (along_each - slopes * cross).clamp(min=0) / total_each  # by T − c N
    found = []
    for k in range(count):
        each = [*range(kept), kept + k]
        features = [
            _rows(levels, [k, count + k]),
            _rows(share, [k]),
            _rows(narrow, [k]),
            _rows(relative, each),
            _rows(left_over, each),
        ]
        found.append((torch.cat(features, 2), _rows(slopes, each)))
    return found


def _rows(values: Tensor, rows: list[int]) -> Tensor:
    """Return some rows of (B · F, targets, n, cells); all of them are the values themselves."""
    if len(rows) == int(values.shape[2]):
        return values
    return values.index_select(2, torch.tensor(rows, device=values.device))
