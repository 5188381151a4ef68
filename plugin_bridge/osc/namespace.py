"""The addresses under /stemsteer: which message moves or asks what.

An instance is called by its name, with an underscore for what an address cannot hold, or by its
number from 1. Patterns of OSC 1.0 (``* ? [a-c] {one,other}``) move all that they match.
"""

from __future__ import annotations

import fnmatch
import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from plugin_bridge.control.controls import Control
from plugin_bridge.control.surface import ControlSurface, Move, osc_name
from plugin_bridge.osc.rate_limit import Counters

ROOT = "stemsteer"
Reply = tuple[str, tuple[float | int | str, ...]]


def address_of(instance: str, name: str) -> str:
    """The address of a control of an instance."""
    return f"/{ROOT}/{osc_name(instance)}/{name}"


class Namespace:
    """Applies messages to a board.

    Parameters
    ----------
    strict : refuse values out of range instead of clamping them.
    report : told in a sentence of the first fault of each kind.
    """

    def __init__(
        self,
        board: ControlSurface,
        counters: Counters,
        report: Callable[[str], None],
        *,
        strict: bool,
    ) -> None:
        self.board, self._counters, self._report, self._strict = board, counters, report, strict
        self._reported: set[str] = set()

    def set(self, address: str, arguments: Sequence[Any]) -> None:
        """Apply a message to every control that its address matches."""
        found = list(self._controls(address))
        if not found:
            self.fault("unknown_address", f"no control at {address}")
        for instance, control, norm in found:
            self._set(address, instance, control, norm, arguments)

    def get(self, address: str) -> list[Reply]:
        """The values of the controls that an address matches."""
        return [
            (address_of(instance, control.name), (self.value(instance, control, norm),))
            for instance, control, norm in self._controls(address)
        ]

    def names(self) -> list[Reply]:
        """The instances, numbered from 1."""
        names = enumerate(self.board.instances, 1)
        return [(f"/{ROOT}/list", (number, osc_name(name))) for number, name in names]

    def value(self, instance: str, control: Control, norm: bool = False) -> float:
        value = self.board.value(instance, control.name)
        return control.norm(value) if norm else value

    def play(self, move: Move) -> None:
        """Move a control by a value in its unit, clamped to its range or, if strict, refused."""
        instance, name, value = move
        control = self.board.controls(instance).get(name)
        if control is None:
            self.fault("unknown_address", f"{instance} has no {name} that could be moved from here")
            return
        if math.isnan(value):
            self.fault("wrong_type", f"{name} is not a number, expected {control.range}")
            return
        legal = control.clamp(value)
        if not control.low <= value <= control.high:
            word = "refused" if self._strict else f"taken as {legal:g}"
            self.fault("out_of_range", f"{name} is {value:g}, expected {control.range}: {word}")
            if self._strict:
                return
        self.board.set_value(instance, name, legal)
        self._counters.applied += 1

    def fault(self, kind: str, words: str) -> None:
        """Count a fault; tell of the first of each kind."""
        setattr(self._counters, kind, getattr(self._counters, kind) + 1)
        if kind not in self._reported:
            self._reported.add(kind)
            self._report(f"{words} (more of the kind are only counted)")

    def _set(
        self, address: str, instance: str, control: Control, norm: bool, arguments: Sequence[Any]
    ) -> None:
        value = _number(control, arguments)
        if value is None:
            words = f"{address} has {list(arguments)!r}, expected one number, {control.range}"
            self.fault("wrong_type", words)
        elif norm and not math.isnan(value):
            self.play((instance, control.name, control.low + value * (control.high - control.low)))
        else:
            self.play((instance, control.name, value))

    def _controls(self, address: str) -> Iterator[tuple[str, Control, bool]]:
        """Instance, control and whether it is meant as a share, for what an address matches."""
        root, _, rest = address.lstrip("/").partition("/")
        instance_part, _, name_part = rest.partition("/")
        if root != ROOT or not name_part:
            return
        name_part, norm = name_part.removesuffix("/norm"), name_part.endswith("/norm")
        for number, instance in enumerate(self.board.instances, 1):
            if matches(instance_part, osc_name(instance)) or instance_part == str(number):
                for control in self.board.controls(instance).values():
                    if matches(name_part, control.name):
                        yield instance, control, norm


def matches(pattern: str, part: str) -> bool:
    """Whether a pattern of OSC 1.0 matches a part of an address."""
    if pattern == part or _PATTERN_SIGNS.isdisjoint(pattern):
        return pattern == part
    return any(fnmatch.fnmatchcase(part, choice) for choice in _choices(pattern))


_PATTERN_SIGNS = frozenset("*?[{")
MAX_CHOICES = 64


@functools.lru_cache(256)
def _choices(pattern: str) -> tuple[str, ...]:
    """The patterns that one with words in braces stands for; none if there are too many."""
    pieces = re.split(r"\{([^{}]*)\}", pattern)
    words = [[piece] if k % 2 == 0 else piece.split(",") for k, piece in enumerate(pieces)]
    if math.prod(map(len, words)) > MAX_CHOICES:
        return ()
    return tuple("".join(choice) for choice in itertools.product(*words))


def _number(control: Control, arguments: Sequence[Any]) -> float | None:
    if len(arguments) != 1:
        return None
    (value,) = arguments
    if isinstance(value, str):
        try:
            return control.parse(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, (int, float)) else None
