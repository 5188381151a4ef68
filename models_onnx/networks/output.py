"""What a network gives: the one shape that training, export and evaluation rely on."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class NetworkOutput(NamedTuple):
    """The outputs of a network for B mixtures and K targets of each.

    Parameters
    ----------
    masks : (B, F, K, axes, bins).
    states : the next ones, each (B · K, ...).
    activity_logit : (B, F, K), of networks that tell whether the target sounds; its sigmoid is the
        activity.
    """

    masks: Tensor
    states: tuple[Tensor, ...] = ()
    activity_logit: Tensor | None = None
