"""The addresses under /stemsteer: which message moves or asks what.

An instance is called by its name, with an underscore for what an address cannot hold, or by its
number from 1. Patterns of OSC 1.0 (``* ? [a-c] {one,other}``) move all that they match; numbers
are matched by those of digits alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from plugin_bridge.control.actions import Action
from plugin_bridge.control.controls import HOST_ONLY, METERS, Control, own_name
from plugin_bridge.control.surface import ControlSurface, Move, osc_name
from plugin_bridge.control.timbre_requests import Request
from plugin_bridge.osc.counters import Counters
from plugin_bridge.osc.patterns import is_pattern, matches

ROOT = "stemsteer"
Reply = tuple[str, tuple[float | int | str, ...]]
MATCHES_PER_UNIT, MOVES_PER_UNIT, REPLIES_PER_UNIT = 8, 4, 4
MOST_NAMED = 8
MOST_LISTED = 16  # names of controls in a sentence
_NUMERIC = re.compile(r"(?:\d|\[\d(?:-?\d)*\]|\{\d+(?:,\d+)*\})+")
"""A number, or a pattern of digits alone: by ``*`` and ``?`` names are meant."""
_METERS = frozenset(meter.name for meter in METERS)
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

    def set(self, address: str, arguments: Sequence[Any], *, is_own: bool = True) -> None:
        """Apply a message to every control and action that its address matches.

        `is_own`: it comes from this machine, so it may name files.
        """
        found, asked = list(self._controls(address)), list(self._actions(address))
        if not found and not asked:
            self._count_unknown(f"no control at {address}", address)
        for instance, action in asked:
            self._ask(instance, action, arguments, is_own)
        for instance, control, norm in found:
            self._set(address, instance, control, norm, arguments)

    def _count_unknown(self, words: str, address: str) -> None:
        """Count an address that means nothing, and tell what there is instead."""
        self.counters.count_fault("unknown_address", words + self._hint(address))

    def _hint(self, address: str) -> str:
        """Return what there is instead of a control that there is not."""
        name = address.rpartition("/")[2]
        if name in HOST_ONLY:
            return f"; only the plugin's host sets {name}"
        if name in _METERS:
            return "; it is a meter, which is sent to subscribers"
        for instance, _ in self._instances(address):
            if name in self.surface.actions(instance):
                return f"; {name} asks for something and has no value"
            own = [*self.surface.controls(instance), *self.surface.actions(instance)]
            return f"; {osc_name(instance)} has {', '.join(own[:MOST_LISTED])}"
        names = [osc_name(name) for name in self.surface.instances[:MOST_NAMED]]
        return (
            f"; here there is {', '.join(names) or 'nothing yet'}: names are given by --targets "
            "of `osc` and `record`, by --azimuth NAME=DEG of `live`, and by the tracks of a DAW"
        )

    def get(self, address: str) -> list[Reply]:
        """Return the values of the controls that an address matches, and what examples are.

        An address that has no value is counted.
        """
        replies: list[Reply] = [
            (address_of(instance, control.name), (self.value(instance, control, norm),))
            for instance, control, norm in self._controls(address)
        ]
        replies += [
            (address_of(instance, action.name), (self._example(instance, action.name),))
            for instance, action in self._actions(address)
            if action.is_text
        ]
        if not replies:
            self._count_unknown(f"/{ROOT}/get: no value at {address}", address)
        self.units += len(replies) / REPLIES_PER_UNIT
        return replies

    def _example(self, instance: str, name: str) -> str:
        """Return what an example is, in words; an empty text if there is none."""
        return self.surface.timbres(instance).get(name, "")

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
        try:
            value = _number(control, arguments)
        except ValueError as error:
            self.counters.count_fault("wrong_type", f"{address}: {error}")
            return
        if norm:
            value = control.low + value * (control.high - control.low)
        self.apply_move((instance, control.name, value))

    def _ask(self, instance: str, action: Action, arguments: Sequence[Any], is_own: bool) -> None:
        """Put an action on the surface's requests, which somebody beside the audio does."""
        self.units += 1
        try:
            checked = action.check(arguments)
        except ValueError as error:
            self.counters.count_fault("wrong_type", f"{instance}: {error}")
            return
        if self.surface.requests.put(Request(instance, action.name, checked, is_own)):
            self.counters.applied += 1
        else:
            words = f"{instance}: {action.name} is left out, since so much was asked before it"
            self.counters.count_fault("too_many", words)

    def _controls(self, address: str) -> Iterator[tuple[str, Control, bool]]:
        """Yield instance, control and whether a share is meant, for what an address matches."""
        for instance, name_part in self._instances(address):
            name_part, norm = name_part.removesuffix("/norm"), name_part.endswith("/norm")
            name_part = own_name(name_part)
            controls = self.surface.controls(instance)
            if not is_pattern(name_part):
                if name_part in controls:
                    yield instance, controls[name_part], norm
                continue
            for control in controls.values():
                if self.matches(name_part, control.name):
                    yield instance, control, norm

    def _actions(self, address: str) -> Iterator[tuple[str, Action]]:
        """Yield instance and action for what an address matches, without a pattern for actions."""
        for instance, name_part in self._instances(address):
            if action := self.surface.actions(instance).get(name_part):
                yield instance, action

    def _instances(self, address: str) -> Iterator[tuple[str, str]]:
        """Yield the instances that an address matches, with what follows in it."""
        root, _, rest = address.lstrip("/").partition("/")
        instance_part, _, name_part = rest.partition("/")
        if not (name_part and self.matches(root, ROOT)):
            return
        is_numeric = _NUMERIC.fullmatch(instance_part) is not None
        for number, instance in enumerate(self.surface.instances, 1):
            by_name = self.matches(instance_part, osc_name(instance))
            if by_name or (is_numeric and self.matches(instance_part, str(number))):
                yield instance, name_part

    def matches(self, pattern: str, name: str) -> bool:
        """Return whether a part of an address matches a name, and count the work of a pattern."""
        self.units += 1 / MATCHES_PER_UNIT if is_pattern(pattern) else 0
        return matches(pattern, name)


def _number(control: Control, arguments: Sequence[Any]) -> float:
    """Return the one number, or word, of a message. Raises ValueError if it is none."""
    if len(arguments) == 1:
        (value,) = arguments
        if isinstance(value, str):
            return control.parse(value)
        if isinstance(value, (int, float)):
            return float(value)
    raise ValueError(f"it has {list(arguments)!r}, expected one number, {control.range}")
