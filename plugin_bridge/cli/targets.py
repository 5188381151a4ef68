"""What `render` and `live` are to take: options of directions, targets, lanes, plugins, a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.control.controls import BY_NAME

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.files.targets import Target

AZIMUTH, WIDTH = BY_NAME["azimuth"], BY_NAME["width"]


@dataclasses.dataclass(frozen=True)
class TargetOptions:
    """What sounds to take, where they are, how they move, and which model takes them."""

    azimuths: Annotated[
        list[str] | None,
        typer.Option(
            "--azimuth",
            metavar="[NAME=]DEG",
            help=f"Direction, {AZIMUTH.range}, from hard left to hard right; again, with names, "
            "for several. Of a model's own sources, those not named are in the centre.",
        ),
    ] = None
    width_deg: Annotated[
        float | None,
        typer.Option("--width", help=f"Full opening, {WIDTH.range}.  [{WIDTH.default:g}]"),
    ] = None
    targets: Annotated[
        Path | None,
        typer.Option(help="JSON file of several targets, as `stemsteer scan --json` prints it."),
    ] = None
    automation: Annotated[
        Path | None, typer.Option(help="File of lanes: .csv, .json, .mid or a REAPER .rpp.")
    ] = None
    chain: Annotated[
        list[str] | None,
        typer.Option(help="STEM=FILE.json: plugins for a target or the residual; again for more."),
    ] = None
    model: Annotated[
        str | None, typer.Option(help="Name or path of a model; see `stemsteer models`.")
    ] = None

    def lanes(self, sample_rate: float) -> Automation:
        """Return the lanes of the automation file, none if there is no file."""
        from plugin_bridge.automation import Automation, read_automation

        return read_automation(self.automation, sample_rate) if self.automation else Automation()

    def wanted(self, lanes: Automation, own: tuple[str, ...]) -> list[Target]:
        """Return the targets that are asked for, by options or by lanes.

        `own` are the names of a model that has targets of its own: all of them, in their order.
        """
        from plugin_bridge.files.targets import Target, read_targets
        from realtime.conditions import DEFAULT_DIRECTION

        if self.targets is not None:
            if self.azimuths is not None or self.width_deg is not None:
                raise typer.BadParameter(
                    "the directions are in --targets: leave --azimuth, --width out"
                )
            given = {target.name: target for target in read_targets(self.targets)}
            _check_known(given, own)
            if not own:
                return list(given.values())
            start = Target(own[0], *DEFAULT_DIRECTION)
        else:
            given, start = self._pointed_at(lanes, own)
            _check_known(given, own)
        names = own or tuple(dict.fromkeys([*given, *lanes.targets])) or (start.name,)
        return [given.get(name) or dataclasses.replace(start, name=name) for name in names]

    def _pointed_at(
        self, lanes: Automation, own: tuple[str, ...]
    ) -> tuple[dict[str, Target], Target]:
        """Return the targets of --azimuth by name, and the one for all that have no name there."""
        from plugin_bridge.files.targets import Target
        from realtime.conditions import DEFAULT_DIRECTION

        centre, opening = DEFAULT_DIRECTION
        everywhere, named = read_azimuths(self.azimuths or [])
        if everywhere is None and not named and not lanes.lanes:
            name = f"{own[0]}=" if own else ""
            raise typer.BadParameter(
                f"say where: --azimuth {name}DEG, --targets FILE.json or --automation FILE; "
                "`stemsteer scan INPUT` shows what is where"
            )
        if own and everywhere is not None:
            raise typer.BadParameter(
                f"the model has targets of its own: say which, --azimuth {own[0]}={everywhere:g}; "
                f"there are {', '.join(own)}"
            )
        width_deg = opening if self.width_deg is None else self.width_deg
        start = Target("target", centre if everywhere is None else everywhere, width_deg)
        return {name: Target(name, deg, width_deg) for name, deg in named.items()}, start

    def chains(self) -> dict[str, Path]:
        """Return the files of chains by stem, of the options STEM=FILE."""
        files = {}
        for option in self.chain or ():
            stem, sign, file = option.partition("=")
            if not (stem and sign and file) or stem in files:
                raise typer.BadParameter(
                    f"--chain {option}: expected STEM=FILE.json, each stem once"
                )
            files[stem] = Path(file)
        return files


def _check_known(given: Iterable[str], own: tuple[str, ...]) -> None:
    if unknown := [name for name in given if own and name not in own]:
        raise typer.BadParameter(
            f"the model has no target {', '.join(unknown)}; it has {', '.join(own)}"
        )


def read_azimuths(options: list[str]) -> tuple[float | None, dict[str, float]]:
    """Return the one direction of an option DEG, and the directions by name of NAME=DEG."""
    everywhere, named = None, {}
    for option in options:
        name, sign, number = option.rpartition("=")
        try:
            azimuth_deg = float(number)
        except ValueError:
            azimuth_deg = None
        if azimuth_deg is None or (sign and not name) or name in named or everywhere is not None:
            raise typer.BadParameter(
                f"{option!r}: expected DEG, or NAME=DEG once for each name, as guitar=-30",
                param_hint="'--azimuth'",
            )
        if sign:
            named[name] = azimuth_deg
        else:
            everywhere = azimuth_deg
    if named and everywhere is not None:
        raise typer.BadParameter("give directions with names or one without, not both")
    return everywhere, named
