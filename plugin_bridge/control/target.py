"""One sound to take: where it is, what it is, and how it is called."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.controls import BY_NAME
from plugin_bridge.control.names import RULE, name_key, names_a_file
from realtime.conditions import DEFAULT_DIRECTION, WIDTH_DEG, check_direction
from realtime.separator import RESIDUAL
from realtime.spec_fields import MAX_TARGETS

ANYWHERE = (0.0, WIDTH_DEG[1])
"""Azimuth and width of a target that may be anywhere."""


@dataclass(frozen=True)
class Target:
    """One sound to take: `name` becomes a file name; the direction is as in `Separator.set`.

    Parameters
    ----------
    instruments : names of the table of controls, or sources that a model has by itself, which it
        is the sum of; none: any.
    strength : how much the instrument counts, 0 to 1.
    morph : how far from the instrument towards the examples, 0 to 1.
    like, unlike : examples of what is wanted and of what is not: files, stretches of files, or
        names of the user's library of timbres.
    stretches_s : start and end of the stretches of a file in which it sounds; none: throughout.

    Raises
    ------
    ValueError if the name does not do for a file, the direction is none, the strength is out of
    range, there is only an example of what is not wanted, or a stretch does not end after its
    start.
    """

    name: str
    azimuth_deg: float
    width_deg: float = DEFAULT_DIRECTION[1]
    instruments: tuple[str, ...] = ()
    strength: float = 1.0
    morph: float = 1.0
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    stretches_s: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if name_key(self.name) == RESIDUAL:
            raise ValueError(
                f"target name is {self.name!r}, which is the name of what is left of the mix: "
                "choose another"
            )
        if not names_a_file(self.name):
            raise ValueError(f"target name is {self.name!r}, expected {RULE}")
        check_direction(self.azimuth_deg, self.width_deg)
        BY_NAME["strength"].check(self.strength)
        BY_NAME["timbre_morph"].check(self.morph)
        if self.unlike and not (self.like or self.instruments):
            raise ValueError(
                f"{self.name}: there is an example of what is not wanted and none of what is: "
                "give --like or --instrument too"
            )
        for start_s, end_s in self.stretches_s:
            if not 0 <= start_s < end_s < math.inf:
                raise ValueError(
                    f"{self.name}: a stretch is {start_s:g} to {end_s:g} s, expected a start of 0 "
                    "or more and an end after it"
                )

    @property
    def values(self) -> dict[str, float]:
        """Return the values of its controls, by name."""
        named = {"azimuth": self.azimuth_deg, "width": self.width_deg}
        named |= {"strength": self.strength} if self.strength != 1 else {}
        return named | ({"timbre_morph": self.morph} if self.like else {})

    @property
    def timbre_words(self) -> dict[str, str]:
        """Return what its examples are, by slot, and its `instruments`, in words."""
        given = {"like": self.like, "unlike": self.unlike, "instruments": self.instruments}
        return {slot: ", ".join(words) for slot, words in given.items() if words}

    @property
    def by_timbre(self) -> bool:
        """Return whether an example says what it is."""
        return bool(self.like or self.unlike)


def check_targets(targets: Sequence[Target]) -> None:
    """Check what holds for the targets of one separation together.

    Raises
    ------
    ValueError for more of them than a model may have of its own, or two whose names some file
    system takes for one.
    """
    if len(targets) > MAX_TARGETS:
        raise ValueError(
            f"there are {len(targets)} targets, expected at most {MAX_TARGETS}; take them in turns"
        )
    names: dict[str, str] = {}
    for target in targets:
        key = name_key(target.name)
        if key in names:
            raise ValueError(
                f"two targets have the same name to some systems, {names[key]!r} and "
                f"{target.name!r}; each becomes a file: rename one"
            )
        names[key] = target.name


@dataclass(frozen=True)
class TimbrePair:
    """The timbres of a target's examples: unit vectors (size,), None where there is no example."""

    like: NDArray[np.float32] | None = None
    unlike: NDArray[np.float32] | None = None
