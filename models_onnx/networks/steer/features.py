"""What the network sees of a cell, told a direction: levels, and candidates of c; no weights.

With T along the direction and N across it, a candidate of c = E[Re T N*] / E[N N*] comes from each
average of the covariance of the channels over time, and from five cells of the frame itself.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from models_onnx.networks.steer.bands import BANDS, by_band
from models_onnx.networks.steer.cells import rotate

MEMORY_S = (0.113, 0.826)  # time constants of the averages
CANDIDATES = 2 + len(MEMORY_S)  # none, the averages, and the mean over 5 cells of this frame
FEATURES = 4 + 2 * (CANDIDATES - 1)
NARROW = math.tan(math.radians(8)) ** 2
STEEPEST = 6.0  # |c| at most: neighbours nearer than 9.5° are not nulled completely


def described(averages: Tensor, instant: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Describe as `describe` does, by band: (bands, B · F, FEATURES · cells a band)."""
    features, slopes = describe(averages, instant, theta)
    return by_band(features, FEATURES, features.shape[-1] // BANDS), slopes


def describe(averages: Tensor, instant: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Features (streams, F, FEATURES, cells) and candidates of c but the first, which is zero.

    Parameters
    ----------
    averages : (B, F, decays, 3, cells), covariances of L and R.
    instant : (B, F, 3, cells).
    theta : (streams, F), as many of each of the B mixtures: what is the same for all is done once.
    """
    floor = 1e-5 * (averages[:, :, :, :2].mean((3, 4)).amax(2) * 2 + 1e-10)[:, None, :, None, None]
    near = functional.avg_pool1d(instant.flatten(0, 1), 5, 1, 2).reshape(instant.shape)
    theta = theta.reshape(len(instant), -1, *theta.shape[1:], 1, 1)  # (B, targets, F, 1, 1)
    along, across, _ = _rotated(instant[:, :, None], theta)  # (B, targets, F, 1, cells)
    # the averages apart: a network that looks ahead describes two frames with the same averages,
    # which an exported graph then computes once
    kinds = [_candidates(part, theta, floor) for part in (averages, near[:, :, None])]
    slopes, relative, left_over = (torch.cat(parts, 3) for parts in zip(*kinds, strict=True))
    features = [
        torch.log(along / floor + 1) * 0.1,
        torch.log(across / floor + 1) * 0.1,
        across / (along + across + floor),
        torch.exp(-across / (along * NARROW + floor)),
        relative,
        left_over,
    ]
    return torch.cat(features, 3).flatten(0, 1), slopes.flatten(0, 1)


def _candidates(covariance: Tensor, theta: Tensor, floor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return c of each covariance (B, F, n, 3, cells), E[T N*] and what T − c N leaves, relative.

    Each is (B, targets, F, n, cells).
    """
    along, across, cross = _rotated(covariance, theta)
    slopes = (cross / (across + floor)).clamp(-STEEPEST, STEEPEST)
    total = along + across + floor
    return slopes, cross / total, (along - slopes * cross).clamp(min=0) / total


def _rotated(covariance: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotate covariances (B, F, n, 3, cells) to every target of their mixture."""
    ll, rr, lr = covariance[:, None].unbind(4)  # (B, 1, F, n, cells)
    return rotate(ll, rr, lr, theta)
