"""The addresses under /stemsteer: which message moves or asks what.

An instance is called by its name, with an underscore for what an address cannot hold, or by its
number from 1. Patterns of OSC 1.0 (``* ? [a-c] {one,other}``) move all that they match.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from plugin_bridge.control.controls import Control
from plugin_bridge.control.surface import ControlSurface, Move, osc_name
from plugin_bridge.osc.counters import Counters
from plugin_bridge.osc.patterns import is_pattern, matches

ROOT = "stemsteer"
Reply = tuple[str, tuple[float | int | str, ...]]
MATCHES_PER_UNIT, MOVES_PER_UNIT, REPLIES_PER_UNIT = 8, 4, 4
MAX_UNITS = 256.0
"""Work, in the units of `rate_limit`, after which the rest of a packet is left out."""


def address_of(instance: str, name: str) -> str:
    """Return the address of a control of an instance."""
    return f"/{ROOT}/{osc_name(instance)}/{name}"


class Namespace:
    """Applies messages to a surface.

    Parameters
    ----------
    strict : refuse values out of range instead of clamping them.

    `units` is the work of the present packet beyond reading it; whoever reads packets sets it to 0.
    """

    def __init__(self, surface: ControlSurface, counters: Counters, *, strict: bool) -> None:
        self.surface, self.counters, self._strict = surface, counters, strict
        self.units = 0.0

    def set(self, address: str, arguments: Sequence[Any]) -> None:
        """Apply a message to every control that its address matches."""
        found = list(self._controls(address))
        if not found:
            self.counters.count_fault("unknown_address", f"no control at {address}")
        for instance, control, norm in found:
            self._set(address, instance, control, norm, arguments)

    def get(self, address: str) -> list[Reply]:
        """Return the values of the controls that an address matches."""
        replies: list[Reply] = [
            (address_of(instance, control.name), (self.value(instance, control, norm),))
            for instance, control, norm in self._controls(address)
        ]
        self.units += len(replies) / REPLIES_PER_UNIT
        return replies

    def names(self) -> list[Reply]:
        """Return the instances, numbered from 1."""
        names = enumerate(self.surface.instances, 1)
        replies: list[Reply] = [(f"/{ROOT}/list", (k, osc_name(name))) for k, name in names]
        self.units += len(replies) / REPLIES_PER_UNIT
        return replies

    def value(self, instance: str, control: Control, norm: bool = False) -> float:
        """Return where a control is, in its unit or as a share of its range."""
        value = float(self.surface.value(instance, control.name))
        return control.norm(value) if norm else value

    def apply_move(self, move: Move) -> None:
        """Set a control to a value in its unit, clamped to its range or, if strict, refused."""
        instance, name, value = move
        self.units += 1 / MOVES_PER_UNIT
        control = self.surface.controls(instance).get(name)
        count_fault = self.counters.count_fault
        if control is None:
            count_fault(
                "unknown_address", f"{instance} has no {name} that could be moved from here"
            )
            return
        if math.isnan(value):
            count_fault("wrong_type", f"{name} is not a number, expected {control.range}")
            return
        legal = control.clamp(value)
        if not control.low <= value <= control.high:
            word = "refused" if self._strict else f"taken as {legal:g}"
            count_fault("out_of_range", f"{name} is {value:g}, expected {control.range}: {word}")
            if self._strict:
                return
        self.surface.set_value(instance, name, legal)
        self.counters.applied += 1

    def _set(
        self, address: str, instance: str, control: Control, norm: bool, arguments: Sequence[Any]
    ) -> None:
        value = _number(control, arguments)
        if value is None:
            words = f"{address} has {list(arguments)!r}, expected one number, {control.range}"
            self.counters.count_fault("wrong_type", words)
        elif norm and not math.isnan(value):
            value = control.low + value * (control.high - control.low)
            self.apply_move((instance, control.name, value))
        else:
            self.apply_move((instance, control.name, value))

    def _controls(self, address: str) -> Iterator[tuple[str, Control, bool]]:
        """Yield instance, control and whether a share is meant, for what an address matches."""
        root, _, rest = address.lstrip("/").partition("/")
        instance_part, _, name_part = rest.partition("/")
        if root != ROOT or not name_part:
            return
        name_part, norm = name_part.removesuffix("/norm"), name_part.endswith("/norm")
        for number, instance in enumerate(self.surface.instances, 1):
            if self._matches(instance_part, osc_name(instance)) or instance_part == str(number):
                controls = self.surface.controls(instance)
                if not is_pattern(name_part):
                    if name_part in controls:
                        yield instance, controls[name_part], norm
                    continue
                for control in controls.values():
                    if self._matches(name_part, control.name):
                        yield instance, control, norm

    def _matches(self, pattern: str, name: str) -> bool:
        self.units += 1 / MATCHES_PER_UNIT if is_pattern(pattern) else 0
        return matches(pattern, name)


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
