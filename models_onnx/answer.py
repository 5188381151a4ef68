"""What a network answers: the one shape that training, export and evaluation rely on."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Answer(NamedTuple):
    """The outputs of a network for B mixtures and K targets of each.

    masks (B, F, K, axes, bins); states, the next ones, each (B · K, ...); activity_logit
    (B, F, K), from networks that say how surely the target sounds: its sigmoid is the activity;
    off_deg and right_logit (B, F, K), from those that correct the direction: by how much further
    right the target is, and whether it is not.
    """

    masks: Tensor
    states: tuple[Tensor, ...] = ()
    activity_logit: Tensor | None = None
    off_deg: Tensor | None = None
    right_logit: Tensor | None = None
