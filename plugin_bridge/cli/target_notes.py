"""What a user should be told of what is to be taken: mixed-up names, lanes that do nothing."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from plugin_bridge.cli.console import warn
from plugin_bridge.control.controls import BY_NAME, INSTRUMENTS

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.cli.sounds import Sound, SoundOptions
    from plugin_bridge.cli.targets import TargetOptions
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


def tell_of_lanes(
    lanes: Automation,
    targets: Sequence[Target],
    wanted: TargetOptions,
    sounds: SoundOptions,
    *,
    playing: bool,
) -> None:
    """Warn of lanes that count in place of options, and of those that move nothing.

    `playing`: an instrument or an example may be given yet.
    """
    led: dict[str, list[str]] = {}
    for option, name, control, value in _said(targets, wanted, sounds):
        lane = lanes.lane(name, control)
        if lane is not None and not math.isclose(float(lane.at(0.0)), value, abs_tol=1e-6):
            led.setdefault(option, []).append(f"{control} of {name}")
    for option, controls in led.items():
        warn(f"{option} counts for nothing where lanes move the {', '.join(controls)}")
    for target in targets:
        if _is_anywhere(lanes, target) and _leaves(lanes, target.name, "azimuth"):
            warn(
                f"{target.name} is taken from everywhere by its width of 90°, so the lane of its "
                "azimuth moves nothing: give it a smaller width"
            )
        if not playing:
            _tell_of_timbre(lanes, target)


def _said(
    targets: Sequence[Target], wanted: TargetOptions, sounds: SoundOptions
) -> Iterator[tuple[str, str, str, float]]:
    """Yield what options say of targets: option, target, control and its value."""
    from plugin_bridge.cli.targets import read_azimuths

    everywhere, named = read_azimuths(wanted.azimuths or [])
    numbers = {name: float(number) for number, name in enumerate(INSTRUMENTS)}
    for target in targets:
        name = target.name
        if everywhere is not None or name in named:
            yield "--azimuth", name, "azimuth", target.azimuth_deg
        if wanted.width_deg is not None:
            yield "--width", name, "width", wanted.width_deg
        if target.instruments and wanted.targets is None:
            # no lane begins as a family, or as a source that only the model has
            words = " ".join(target.instruments)
            yield "--instrument", name, "instrument", numbers.get(words, -1.0)
        if sounds.strength is not None:
            yield "--strength", name, "strength", sounds.strength
        if sounds.morph is not None:
            yield "--morph", name, "timbre_morph", sounds.morph


def _tell_of_timbre(lanes: Automation, target: Target) -> None:
    """Warn of lanes of a target that scale what it is, and it has nothing to scale."""
    is_named = bool(target.instruments) or _leaves(lanes, target.name, "instrument")
    if not (is_named or target.by_timbre) and _leaves(lanes, target.name, "strength"):
        warn(
            f"the lane of the strength of {target.name} moves nothing, since it has no instrument "
            "and no example: give --instrument or --like"
        )
    if not (is_named and target.like) and _leaves(lanes, target.name, "timbre_morph"):
        warn(
            f"the lane of timbre_morph of {target.name} moves nothing: it leads from an instrument "
            "to an example, so give --instrument and --like"
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
