"""What is asked of a scene by timbre, and a batch of such questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from models_onnx.data.classes import CLASSES
from models_onnx.training.batches import Batch

NUMBER = {name: number for number, name in enumerate(CLASSES)}
KINDS = ("direction", "name", "query", "both", "against", "family", "absent")
FREE = (0.0, 90.0)
"""A direction that says nothing: azimuth and width, degrees."""
PRESENT_DB = -22.0
"""A class is asked for where its power is above this against the mixture's."""
POPULAR = {"vocals": 3.0, "drums": 3.0, "bass": 2.6, "guitar": 2.6, "piano": 1.2}
"""How often classes are asked for that people ask for more often than others (1)."""
ALIKE = ({"strings", "violin", "viola", "cello", "double_bass"}, {"bass", "double_bass"},
         {"brass", "trumpet", "trombone", "horn", "tuba"}, {"vocals", "choir"},
         {"drums", "percussion"}, {"synth", "fx", "other", "keys", "organ"},
         {"reed", "accordion", "oboe", "clarinet"})  # fmt: skip
"""Classes that are hard to deny: none is asked for as absent where another of its group sounds."""


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


def drawn_kind(rng: np.random.Generator, asking: Asking) -> str:
    """Draw what kind of question is asked, one of `KINDS`."""
    left = rng.random()
    for kind in ("direction", "absent", "family", "against", "both", "query"):
        chance: float = getattr(asking, kind)
        if left < chance:
            return kind
        left -= chance
    return "name"


def drawn_class(rng: np.random.Generator, names: Sequence[str], *, even: bool) -> str:
    """Draw one of some classes, all alike where `even`, else by `POPULAR`."""
    chances = np.array([1.0 if even else POPULAR.get(name, 1.0) for name in names])
    return str(rng.choice(names, p=chances / chances.sum()))


def deniable(names: Sequence[str], there: set[str]) -> list[str]:
    """Return which classes can be asked for as absent where those of `there` sound."""
    denied = there.union(*(group for group in ALIKE if group & there))
    return [name for name in names if name not in denied]


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
