"""Stems of several instruments: each instrument is asked for by itself, and they are added up.

A network that is told one timbre at a time takes two instruments better one by one than by the sum
of their timbres, which is that of neither. Families are words that it was trained to be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plugin_bridge.automation import Automation
from plugin_bridge.automation.conditions import LaneConditions
from plugin_bridge.control.instruments import FAMILIES
from plugin_bridge.control.target import Target
from realtime.arrays import Floats
from realtime.conditions import Conditions
from realtime.spec import ModelSpec


@dataclass(frozen=True)
class Part:
    """What is asked for by itself: the instruments of target `owner`, all of it or some."""

    owner: int
    instruments: tuple[str, ...]


def parts_of(targets: Sequence[Target], spec: ModelSpec, lanes: Automation) -> list[Part]:
    """Return the parts of targets, in the order of these; most targets are one.

    A target with examples, or with a lane of its instrument, is one part, and so are all targets
    of a model that takes directions alone, has sources of its own, or is told several labels at
    once.
    """
    return [
        Part(owner, names)
        for owner, target in enumerate(targets)
        for names in (
            [target.instruments]
            if target.by_timbre or lanes.lane(target.name, "instrument") or not _one_by_one(spec)
            else together(target.instruments, spec)
        )
    ]


def together(instruments: Sequence[str], spec: ModelSpec) -> list[tuple[str, ...]]:
    """Return which instruments are asked for together: whole families, and each other by itself."""
    left, found = list(instruments), list[tuple[str, ...]]()
    for family in FAMILIES.values():
        known = [name for name in family if name in spec.classes]
        if len(known) > 1 and all(name in left for name in known):
            found.append(tuple(known))
            left = [name for name in left if name not in known]
    return [*found, *((name,) for name in left)] or [()]


class PartConditions:
    """A condition source for `Separator`: what the lanes say of targets, for each of their parts.

    Parameters
    ----------
    conditions : of the targets.
    spec : of the model.
    """

    def __init__(self, conditions: LaneConditions, parts: Sequence[Part], spec: ModelSpec) -> None:
        self._conditions = conditions
        self._owners = [part.owner for part in parts]
        self._split = [k for k, owner in enumerate(self._owners) if self._owners.count(owner) > 1]
        self._timbres = np.array(
            [_unit([spec.classes[name] for name in parts[k].instruments]) for k in self._split]
        )  # (split, size)

    def __call__(self, first_frame: int, frames: int) -> Conditions:
        """Return the conditions (frames, parts, size) of some frames, by name."""
        told = self._conditions(first_frame, frames)
        made = {name: values[:, self._owners] for name, values in told.items()}
        if self._split:
            strength = np.linalg.norm(made["timbre"][:, self._split], axis=-1, keepdims=True)
            made["timbre"][:, self._split] = strength * self._timbres
        return made


def summed(stems: Floats, parts: Sequence[Part]) -> Floats:
    """Return the targets and the residual (targets + 1, channels, n) of those of parts."""
    owners = [part.owner for part in parts]
    if len(set(owners)) == len(owners):
        return stems
    firsts = [owners.index(owner) for owner in sorted(set(owners))]
    added: Floats = np.add.reduceat(stems, [*firsts, len(owners)], axis=0)
    return added


def _one_by_one(spec: ModelSpec) -> bool:
    """Return whether a model is told one timbre at a time; labels without encoder may be several.

    System 4 is told which others play, too, and its masks multiply.
    """
    labels = "against" in spec.conditions and not spec.encoder
    return "timbre" in spec.conditions and not labels


def _unit(vectors: Sequence[Sequence[float]]) -> Floats:
    total = np.sum(np.array(vectors, np.float32), axis=0)
    unit: Floats = total / max(float(np.linalg.norm(total)), 1.0)
    return unit
