"""What is asked of a scene by timbre, and a batch of such questions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from models_onnx.data.classes import CLASSES
from models_onnx.training.batches import Batch

NUMBER = {name: number for number, name in enumerate(CLASSES)}
KINDS = ("direction", "name", "query", "both", "against", "family", "absent")


@dataclass(frozen=True)
class Asking:
    """How often which question is asked; the rest ask for a class by name.

    direction, query, both, against, family, absent : by direction alone; by a clip; by direction
        and timbre; by timbre with a counter-example; for a family; for what is not there.
    remix : scenes of sources of different songs, drawn so that classes are balanced.
    produced : scenes that stand and sound as productions do.
    examples : questions by clip that give several, their mean.
    toned : sources and clips whose tone is varied; sources of remixes vary in speed, too.
    even : all classes that sound are asked for alike; else those that people ask for, more often.
    """

    direction: float = 0.08
    query: float = 0.18
    both: float = 0.16
    against: float = 0.06
    family: float = 0.03
    absent: float = 0.13
    remix: float = 0.6
    produced: float = 0.55
    examples: float = 0.25
    toned: float = 0.5
    clips: int = 14
    clip_s: float = 2.5
    even: bool = False


@dataclass(frozen=True)
class TimbreBatch(Batch):
    """A batch whose questions have timbres.

    clips (clips, 2, samples) with their classes (clips,); positive and negative (scenes, targets,
    clips + classes) are the weights of clips and of names in what is asked for and in what is
    not; kinds (scenes, targets) numbers of `KINDS`, asked (scenes, targets) classes, −1 for none.
    """

    clips: Tensor
    classes: Tensor
    positive: Tensor
    negative: Tensor
    kinds: Tensor
    asked: Tensor

    def to(self, device: torch.device) -> TimbreBatch:
        """Return the same batch on `device`."""
        return TimbreBatch(
            self.mixture.to(device),
            self.targets.to(device),
            {k: v.to(device) for k, v in self.conditions.items()},
            self.change.to(device),
            *(getattr(self, name).to(device) for name in _ADDED),
        )


_ADDED = ("clips", "classes", "positive", "negative", "kinds", "asked")


@dataclass
class Wanted:
    """A question on its way: clips and names with their weights, positive and negative."""

    target: np.ndarray
    direction: tuple[float, float]
    kind: str
    asked: int = -1
    positive: list[tuple[np.ndarray | int, int]] = field(default_factory=list)
    negative: list[tuple[np.ndarray | int, int]] = field(default_factory=list)
