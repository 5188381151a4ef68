"""What a user should be told of what is to be taken: mixed-up names, lanes that do nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from plugin_bridge.cli.console import warn
from plugin_bridge.control.controls import BY_NAME

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.cli.sounds import Sound
    from plugin_bridge.control.target import Target


def tell_of_names(given: Iterable[str], asked: Mapping[str, Sound]) -> None:
    """Warn of names of directions that are none of the sounds that are asked for.

    Parameters
    ----------
    given : names of --azimuth.
    asked : sounds by name, "" for examples without one.
    """
    listed = [name or "target" for name in asked]
    for name in given if listed else ():
        if name not in listed:
            near = _near(name, asked)
            hint = f"; if {near} is meant, give --azimuth {near}=DEG" if near else ""
            warn(
                f"{name} is the name of a direction alone, so all that comes from there is taken, "
                f"beside {', '.join(listed)}{hint}"
            )


def _near(name: str, asked: Mapping[str, Sound]) -> str:
    """Return the sound that may be meant by a name: the same instrument, or much the same word."""
    from plugin_bridge.control.instruments import resolve

    try:
        classes = resolve(name).classes
    except ValueError:
        classes = ()
    same = [other for other, sound in asked.items() if {*classes} & {*sound.instruments}]
    return next(iter([*same, *difflib.get_close_matches(name, asked, 1)]), "")


def tell_of_lane_names(lanes: Automation, listed: Sequence[str], own: Sequence[str]) -> None:
    """Warn of targets that are only in the lanes, where others are `listed`.

    `own`: targets that the model has anyway.
    """
    for name in lanes.targets if listed else ():
        if name not in (*listed, *own):
            warn(
                f"{name} is only in the lanes and is taken beside {', '.join(listed)}; if one "
                "of these is meant, call it so in the lanes"
            )


def tell_of_lanes(lanes: Automation, targets: Sequence[Target]) -> None:
    """Warn of lanes of targets that move nothing."""
    for target in targets:
        if _is_anywhere(lanes, target) and _leaves(lanes, target.name, "azimuth"):
            warn(
                f"{target.name} is taken from everywhere by its width of 90°, so the lane of its "
                "azimuth moves nothing: give it a smaller width"
            )


def _is_anywhere(lanes: Automation, target: Target) -> bool:
    """Return whether a target is known by its timbre alone and its width stays the widest."""
    lane = lanes.lane(target.name, "width")
    widths_deg = {point.value for point in lane.points} if lane else {target.width_deg}
    named = bool(target.instruments or target.like) or _leaves(lanes, target.name, "instrument")
    return named and not target.unlike and widths_deg == {BY_NAME["width"].high}


def _leaves(lanes: Automation, name: str, control: str) -> bool:
    """Return whether the lane of a control of a target is ever elsewhere than at its default."""
    lane = lanes.lane(name, control)
    rest = BY_NAME[control].default
    return lane is not None and any(point.value != rest for point in lane.points)
