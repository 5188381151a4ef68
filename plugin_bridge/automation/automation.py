"""All lanes of a song: whose control they move, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from plugin_bridge.automation.lane import Lane, Point
from plugin_bridge.control.controls import BY_NAME, HOST_ONLY, REMOTE_CONTROLS, Control
from realtime.separator import RESIDUAL

ALL = "*"
"""The target of a lane that moves every target."""
Key = tuple[str, str]  # target, control


@dataclass(frozen=True)
class Automation:
    """Lanes by target and control.

    A control is one of `controls.REMOTE_CONTROLS`, or ``plugin/parameter`` for a plugin in the
    chain of that stem.

    Parameters
    ----------
    notes : what a user should be told of the file that they are from.

    Raises
    ------
    ValueError for a control that there is not, or a lane that leaves its range.
    """

    lanes: Mapping[Key, Lane] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for (target, name), lane in self.lanes.items():
            if "/" not in name:
                _check_range(target, _input(name), lane)

    def lane(self, target: str, name: str) -> Lane | None:
        """Return the lane of a control of a target, if there is one."""
        return self.lanes.get((target, name)) or self.lanes.get((ALL, name))

    def commit_moves(self, time_s: float) -> None:
        """Do nothing: what is written does not change as time goes on."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the names of the targets that have lanes of their own, in order."""
        names = (target for target, _ in self.lanes if target not in (ALL, RESIDUAL))
        return tuple(dict.fromkeys(names))

    def check_targets(self, names: Sequence[str]) -> None:
        """Raise ValueError if a lane is for a target that is not in `names`."""
        for target, name in self.lanes:
            stems = (*names, RESIDUAL) if "/" in name else names
            if target not in (*stems, ALL):
                raise ValueError(
                    f"the automation of {name} is for {target!r}, but there are {', '.join(names)}"
                )

    def parameters(self, target: str) -> list[str]:
        """Return the names ``plugin/parameter`` of lanes for the plugins on a stem, or `ALL`."""
        return [name for owner, name in self.lanes if owner == target and "/" in name]


def make_lane(name: str, points: Sequence[Point]) -> Lane:
    """Return the lane of a control through `points`: of whole numbers it moves in steps only."""
    if name in BY_NAME and BY_NAME[name].whole:
        points = [Point(point.time_s, point.value, "step") for point in points]
    return Lane(points)


def _input(name: str) -> Control:
    if name not in REMOTE_CONTROLS:
        known = ", ".join(REMOTE_CONTROLS)
        why = "; that one only the plugin's host can turn" if name in HOST_ONLY else ""
        raise ValueError(f"no control {name!r} to automate{why}; there are {known}")
    return REMOTE_CONTROLS[name]


def _check_range(target: str, control: Control, lane: Lane) -> None:
    for point in lane.points:
        try:
            control.check(point.value)
        except ValueError as error:
            raise ValueError(f"automation of {target} at {point.time_s:g} s: {error}") from None
