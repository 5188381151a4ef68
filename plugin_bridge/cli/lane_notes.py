"""What a user should be told of lanes that do nothing, before anything is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plugin_bridge.cli.console import warn
from plugin_bridge.control.controls import BY_NAME

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.control.target import Target


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
