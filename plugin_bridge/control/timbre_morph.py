"""What a target goes by that has an instrument and an example: the control `timbre_morph` says.

At 0, its default, the instrument counts alone, at 1 the example. An example that arrives while the
instrument counts alone would not be heard, so the control goes to 1 with it, as if it were moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin_bridge.control.surface import ControlSurface

MORPH = "timbre_morph"


def is_named(surface: ControlSurface, instance: str) -> bool:
    """Return whether an instrument is chosen for an instance."""
    chosen = surface.value(instance, "instrument")
    return bool(chosen or surface.timbres(instance).get("instruments"))


def let_example_count(surface: ControlSurface, instance: str) -> str:
    """Let the example that has just come count; return what was moved for it, in words."""
    if not is_named(surface, instance) or surface.value(instance, MORPH) != 0:
        return ""
    surface.set_value(instance, MORPH, 1.0)
    host = surface.facts(instance).get("host")
    keep = "; set Timbre Morph to 1 in the host as well to keep it" if host else ""
    return f"Morph is 1 now, so it counts and not the instrument{keep}"


def what_counts(surface: ControlSurface, instance: str) -> str:
    """Return what an instance goes by, in words; "" where it has no instrument or no example."""
    if not surface.timbres(instance).get("like") or not is_named(surface, instance):
        return ""
    return counting(surface.value(instance, MORPH))


def counting(morph: float) -> str:
    """Return which of an instrument and an example counts, in words; "" if both do."""
    alone = {0.0: "instrument", 1.0: "example"}.get(morph)
    return f"the {alone} counts alone, Morph is {morph:g}" if alone else ""
