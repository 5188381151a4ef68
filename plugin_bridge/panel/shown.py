"""What browsers are told of a surface, and what of it has changed since the last time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugin_bridge.control.controls import REMOTE_CONTROLS, Control
from plugin_bridge.control.surface import ControlSurface
from plugin_bridge.control.timbre_morph import what_counts

DECIMALS = {"level_target": 1, "level_residual": 1, "activity": 2, "load": 2}
"""Digits of meters that are worth a message; others are whole numbers."""
LEFT_OUT = "directions"
"""A meter that the picture shows better."""
Shown = dict[str, Any]
Table = dict[str, dict[str, Any]]


def controls_table() -> Table:
    """Return the table of controls as the page needs it."""
    return {name: _row(control) for name, control in REMOTE_CONTROLS.items()}


def shown(surface: ControlSurface, before: Shown | None = None) -> Shown:
    """Return all that is told of a surface, but for pictures.

    Keys: ``connected``, ``instances``, and by instance ``values``, ``meters``, ``facts`` and
    ``timbres``.

    Parameters
    ----------
    before : what was shown last, if of the same instances only values are looked at anew.
    """
    instances = list(surface.instances)
    now: Shown = {**(before or {}), "connected": surface.connected, "instances": instances}
    now["values"] = {name: _values(surface, name) for name in instances}
    if before and before["instances"] == instances:
        return now
    now["meters"] = {name: _meters(surface, name) for name in instances}
    now["facts"] = {name: dict(surface.facts(name)) for name in instances}
    now["timbres"] = {name: _timbres(surface, name) for name in instances}
    return now


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Shown:
    """Return what makes `now` of `before`: a JSON merge patch (RFC 7396), None for what is gone."""
    different: Shown = dict.fromkeys(before.keys() - now.keys())
    for key, value in now.items():
        old = before.get(key)
        if value is old:
            continue
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            if inner := changes(old, value):
                different[key] = inner
        elif value != old:
            different[key] = value
    return different


def _row(control: Control) -> dict[str, Any]:
    return {
        "title": control.title,
        "kind": control.kind,
        "low": control.low,
        "high": control.high,
        "default": control.default,
        "unit": control.unit,
        "choices": list(control.choices),
        "help": control.help,
    }


def _values(surface: ControlSurface, instance: str) -> dict[str, float]:
    names = [name for name in surface.controls(instance) if name in REMOTE_CONTROLS]
    return {name: round(surface.value(instance, name), 3) for name in names}


def _timbres(surface: ControlSurface, instance: str) -> dict[str, str]:
    """Return the words of its timbres, and what can be asked of them."""
    words = surface.timbres(instance)
    actions = surface.actions(instance) if words.get("encoder") else ()
    return {
        "like": words.get("like", ""),
        "encoder": words.get("encoder", ""),
        "counts": what_counts(surface, instance),
        "actions": ",".join(actions),
    }


def _meters(surface: ControlSurface, instance: str) -> dict[str, float]:
    meters = surface.meters(instance)
    return {
        name: round(float(values[0]), DECIMALS.get(name, 0))
        for name, values in meters.items()
        if name != LEFT_OUT
    }
