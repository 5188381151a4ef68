"""Parameters of plugins: their names, their ranges, and how they are set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import pedalboard
from pedalboard._pedalboard import to_python_parameter_name

from plugin_bridge.control.controls import Control
from realtime.errors import StemsteerError

_BOUNDLESS = 1e9
_HALVINGS = 60
_BY_NAME = {
    "mix": (0.0, 1.0), "depth": (0.0, 1.0), "feedback": (-0.99, 0.99), "q": (0.01, 100.0),
    "ratio": (1.0, 1000.0), "drive": (1.0, 1000.0), "rate_hz": (0.0, 100.0),
}  # fmt: skip
_BY_UNIT = {"_db": (-120.0, 60.0), "_hz": (1.0, 20_000.0), "_ms": (0.1, 10_000.0)}
"""Ranges of the controls of pedalboard's effects, most of which take any number."""


def is_external(plugin: Any) -> bool:
    """Return whether a plugin is a VST3 or an Audio Unit, not an effect of pedalboard."""
    return isinstance(plugin, pedalboard.ExternalPlugin)


def is_effect(kind: object) -> TypeGuard[type]:
    """Return whether a name of pedalboard's module is that of an effect.

    The classes that load files of plugins are none: what they load would not have been tried in a
    process of its own. Nor are those that hold other effects.
    """
    no_effects = (pedalboard.ExternalPlugin, pedalboard.PluginContainer)
    return (
        isinstance(kind, type)
        and issubclass(kind, pedalboard.Plugin)
        and kind is not pedalboard.Plugin
        and not issubclass(kind, no_effects)
    )


def ambiguous_parameters(plugin: Any) -> set[str]:
    """Return the names that several parameters of a VST3 or an Audio Unit have.

    pedalboard finds a parameter by its name, so that only the first of them can be reached.
    """
    if not is_external(plugin):
        return set()
    counts = Counter(to_python_parameter_name(parameter) for parameter in plugin._parameters)
    return {str(name) for name, count in counts.items() if name and count > 1}


def numeric_parameters(plugin: Any) -> Sequence[str]:
    """Return the names of the parameters that are numbers or switches."""
    if is_external(plugin):
        unclear = ambiguous_parameters(plugin)
        numbers = [name for name, p in plugin.parameters.items() if p.type in (float, bool)]
        return [name for name in numbers if name not in unclear]
    return [
        name for name in dir(plugin)
        if not name.startswith("_") and isinstance(getattr(plugin, name), (float, int))
        and name not in ("is_effect", "is_instrument")
    ]  # fmt: skip


def make_control(plugin: Any, owner: str, name: str) -> Control:
    """Return the control of a parameter of the plugin called `owner`, within its legal range."""
    if not is_external(plugin):
        now = float(getattr(plugin, name))
        low, high = _effect_range(plugin, name, now)
    elif plugin.parameters[name].type is float:
        parameter, now = plugin.parameters[name], float(getattr(plugin, name))
        low, high = float(parameter.min_value), float(parameter.max_value)
    else:  # a switch, whose value pedalboard wraps so that it is no number
        now, low, high = float(plugin.parameters[name].raw_value >= 0.5), 0.0, 1.0
    words = f"{name} of {owner}"
    return Control(-1, f"{owner}/{name}", words, "float", low, high, now, "", 0.02, None, words)


def set_parameter(plugin: Any, name: str, value: Any, where: str) -> None:
    """Set a parameter, by a name that is checked first.

    pedalboard takes an unknown name of a VST3 for a new attribute of its own object.

    Raises StemsteerError if there is no such parameter, or it does not take the value.
    """
    if name in ambiguous_parameters(plugin):
        raise StemsteerError(
            f"{where}: several parameters of the plugin are called {name!r}, and only the first of "
            "them could be set; leave it out, and set it in a preset"
        )
    external = is_external(plugin)
    known = list(plugin.parameters) if external else numeric_parameters(plugin)
    if name not in known:
        raise StemsteerError(
            f"{where}: there is no parameter {name!r}; there are {', '.join(known)}"
        )
    try:
        if external and plugin.parameters[name].type is bool:
            value = bool(value >= 0.5) if isinstance(value, float) else value
        setattr(plugin, name, value)
    except (ValueError, TypeError, RuntimeError) as error:
        words = str(error).partition("\n")[0]
        raise StemsteerError(f"{where}: {name} cannot be {value!r}: {words}") from error


def create_effect(effect: Any, parameters: Mapping[str, Any]) -> Any:
    """Make an effect of pedalboard.

    Raises ValueError, with what can be given, for an unknown parameter or a wrong value.
    """
    known = _signature(effect)
    names = ", ".join(known) or "none"
    if unknown := [name for name in parameters if name not in known]:
        raise ValueError(f"there is no parameter {unknown[0]!r}; there are {names}")
    try:
        return effect(**parameters)
    except TypeError as error:
        given = ", ".join(f"{name} {value!r}" for name, value in parameters.items())
        raise ValueError(
            f"it was given {given or 'nothing'}, expected {', '.join(known.values()) or 'nothing'}"
        ) from error
    except RuntimeError as error:
        raise ValueError(str(error).partition("\n")[0]) from error


def _signature(effect: Any) -> dict[str, str]:
    """Return ``name: type = default`` by name, from the first line of pybind's docstring."""
    signature = (effect.__init__.__doc__ or "").partition("self: ")[2].partition("\n")[0]
    parts = re.split(r", (?=\w+: )", signature.rpartition(")")[0])[1:]
    return {part.partition(":")[0]: part for part in parts}


def _effect_range(plugin: Any, name: str, now: float) -> tuple[float, float]:
    """Return the range that an effect takes; of one that takes any number, the usual one."""
    if isinstance(getattr(plugin, name), bool):
        return 0.0, 1.0
    try:
        trial = type(plugin)()
    except (TypeError, RuntimeError):  # it cannot be made without a file
        trial = None
    low, high = _usual_range(name)
    low, high = min(low, now), max(high, now)
    if trial is None:
        return low, high
    return _limit(trial, name, now, low), _limit(trial, name, now, high)


def _usual_range(name: str) -> tuple[float, float]:
    unit = next((unit for unit in _BY_UNIT if name.endswith(unit)), "")
    return _BY_NAME.get(name) or _BY_UNIT.get(unit) or (-_BOUNDLESS, _BOUNDLESS)


def _limit(trial: Any, name: str, legal: float, far: float) -> float:
    """Return the last legal value between a legal one and one far away, by bisection."""
    if _takes(trial, name, far):
        return far
    for _ in range(_HALVINGS):
        middle = (legal + far) / 2
        if _takes(trial, name, middle):
            legal = middle
        else:
            far = middle
    tidy = round(legal, 3)
    return tidy if _takes(trial, name, tidy) else legal


def _takes(trial: Any, name: str, value: float) -> bool:
    try:
        setattr(trial, name, value)
    except (ValueError, TypeError, RuntimeError):
        return False
    return True
