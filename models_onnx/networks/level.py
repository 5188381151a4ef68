"""The level of a mixture so far, by which networks are made to give the same at any loudness."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def level_so_far(power: Tensor, state: Tensor | None, decay: float) -> tuple[Tensor, Tensor]:
    """Average powers recursively over the frames, as if nothing had been before the first.

    Equation: y[k] = d y[k−1] + (1 − d) x[k], of the powers and of ones; the one is divided by the
    other. Written as sums of x[k] d^−k, so that one graph serves any number of frames: some 30 000
    of a stream, three minutes, before d^−k is infinite.

    Parameters
    ----------
    power : (B, F, 1, 1), of each frame.
    state : (B, 1, 2), the averages of powers and of ones at the frame before; none: zeros.

    Returns
    -------
    The levels (B, F, 1, 1), and the next state.
    """
    fading = torch.exp(torch.cumsum(torch.full_like(power, math.log(decay)), 1))  # d, d², ...
    sums = torch.cumsum(torch.cat([power / fading, 1 / fading], 3), 1) * (1 - decay)
    before = 0.0 if state is None else state[:, None]
    averages = fading * (before + sums)  # (B, F, 1, 2)
    of_power, of_ones = averages.split(1, 3)
    return of_power / of_ones, averages[:, -1]
