"""What `render` and `live` are to take: options of directions, targets, lanes, plugins, a model."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.cli.console import warn
from plugin_bridge.control.controls import BY_NAME

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.cli.sounds import Sound, SoundOptions
    from plugin_bridge.control.target import Target
    from realtime import ModelSpec, OnnxModel

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
        Path | None, typer.Option(help="File of lanes: .csv, .json, .mid, .rpp or .dawproject.")
    ] = None
    chain: Annotated[
        list[str] | None,
        typer.Option(help="STEM=FILE.json: plugins for a target or the residual; again for more."),
    ] = None
    model: Annotated[
        str | None, typer.Option(help="Name or path of a model; see `stemsteer models`.")
    ] = None

    def lanes(self, sample_rate: float) -> Automation:
        """Return the lanes of the automation file, none if there is no file; warn of its notes."""
        from plugin_bridge.automation import Automation

        return read_lanes(self.automation, sample_rate) if self.automation else Automation()

    @property
    def model_folder(self) -> Path | None:
        """Return the folder of a model given by its path, whose encoder may lie beside it."""
        path = Path(self.model or "")
        return path.parent if path.is_file() else None

    def check(self, sounds: SoundOptions) -> None:
        """Raise BadParameter for targets by options beside those of a file."""
        beside = {
            "--azimuth": self.azimuths,
            "--width": self.width_deg,
            "--instrument": sounds.words,
            "--picture": sounds.pictures,
            "--like": sounds.like,
            "--unlike": sounds.unlike,
            "--strength": sounds.strength,
            "--morph": sounds.morph,
            "--all": sounds.all_sources or None,
        }
        given = [option for option, value in beside.items() if value is not None]
        if self.targets is not None and given:
            raise typer.BadParameter(
                f"{self.targets} says what to take and where: leave {', '.join(given)} out",
                param_hint="'--targets'",
            )

    def wanted(
        self,
        lanes: Automation,
        own: tuple[str, ...],
        sounds: SoundOptions,
        asked: Mapping[str, Sound],
        *,
        centre: bool = False,
    ) -> list[Target]:
        """Return the targets that are asked for, by options or by lanes.

        Parameters
        ----------
        asked : what `sounds` asks for, as the model knows it.
        own : names of a model whose targets each want a direction: all, in their order.
        centre : take the centre where nothing is asked for, instead of refusing.
        """
        from plugin_bridge.cli.target_notes import tell_of_lane_names, tell_of_names
        from plugin_bridge.control.target import Target
        from plugin_bridge.files.targets import read_targets
        from realtime.conditions import DEFAULT_DIRECTION

        if self.targets is not None:
            given = {target.name: target for target in read_targets(self.targets)}
            _check_known(given, own)
            if not own:
                return list(given.values())
            start = Target(own[0], *DEFAULT_DIRECTION)
        else:
            given, start = self._pointed_at(own, said=centre or bool(lanes.lanes or asked))
            _check_known([*given, *asked], own)
        unnamed = [start.name] if "" in asked else []
        names = own or tuple(
            dict.fromkeys([*given, *(n for n in asked if n), *unnamed, *lanes.targets])
        )
        targets = []
        everywhere, named = read_azimuths(self.azimuths or [])
        free = everywhere is None and (bool(named) or self.width_deg is None)
        if not own and self.targets is None:
            tell_of_names(given, asked)
        tell_of_lane_names(lanes, [*given, *(name for name in asked if name)], own)
        for name in names or (start.name,):
            target = given.get(name) or dataclasses.replace(start, name=name)
            sound = asked.get(name) or (asked.get("") if name == start.name else None)
            if sound:
                anywhere = free and name not in given and not _is_led(lanes, name)
                target = sounds.given_to(target, sound, anywhere=anywhere)
            targets.append(target)
        return targets

    def _pointed_at(self, own: tuple[str, ...], *, said: bool) -> tuple[dict[str, Target], Target]:
        """Return the targets of --azimuth by name, and the one for all that have no name there.

        `said`: something else says what to take, so there need not be a direction.
        """
        from plugin_bridge.control.target import Target
        from realtime.conditions import DEFAULT_DIRECTION

        centre, opening = DEFAULT_DIRECTION
        everywhere, named = read_azimuths(self.azimuths or [])
        if everywhere is None and not named and not said:
            name = f"{own[0]}=" if own else ""
            raise typer.BadParameter(
                f"say what: --instrument WORD, --picture FILE, --azimuth {name}DEG, "
                "--targets FILE.json or --automation FILE; `stemsteer scan INPUT` shows what is "
                "where"
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


def read_lanes(path: Path, sample_rate: float) -> Automation:
    """Return the lanes of a file, and warn of what a user should know of it.

    Raises StemsteerError as `read_automation` does.
    """
    from plugin_bridge.automation import read_automation

    lanes = read_automation(path, sample_rate)
    for note in lanes.notes:
        warn(f"{path}: {note}")
    return lanes


def chosen(
    wanted: TargetOptions,
    sounds: SoundOptions,
    lanes: Automation,
    tier: str,
    *,
    centre: bool = False,
    taken: Sequence[Target] = (),
) -> tuple[OnnxModel, list[Target]]:
    """Load the model that options ask for, or the best one that can do what they ask.

    Returns it and the targets to take.

    Parameters
    ----------
    centre : take the centre where nothing is asked for; what is taken may be moved later.
    taken : targets as they have been moved since; the model has to do what they ask as well.
    """
    from plugin_bridge.cli.sounds import check_word, known_to
    from plugin_bridge.cli.target_notes import tell_of_lanes
    from plugin_bridge.control.target import ANYWHERE, Target
    from plugin_bridge.control.target_conditions import has_own_sources
    from plugin_bridge.files.targets import read_targets
    from plugin_bridge.model_choice import choose_model
    from realtime.conditions import DEFAULT_DIRECTION

    wanted.check(sounds)
    meanings, names, timbre = sounds.needed(lanes)
    if wanted.model is None:
        for meaning in meanings:
            check_word(meaning)
    listed = [*(read_targets(wanted.targets) if wanted.targets else []), *taken]
    for target in listed:
        names, timbre = [*names, *target.instruments], timbre or target.by_timbre
    if sounds.all_sources:
        sounds.check_all()
        model = choose_model(wanted.model, tier, sources=True)
        return model, [
            Target(name, *(DEFAULT_DIRECTION if _is_led(lanes, name) else ANYWHERE), (name,))
            for name in model.spec.targets
        ]
    model = choose_model(
        wanted.model,
        tier,
        list(dict.fromkeys(names)),
        words=meanings,
        timbre=timbre,
        against=bool(sounds.unlike) or any(target.unlike for target in listed),
        direction=_placed(wanted, listed, lanes),
        moving=any(c in ("instrument", "timbre_morph", "strength") for _, c in lanes.lanes),
    )
    own = () if has_own_sources(model.spec) else model.spec.targets
    asked = known_to(sounds.sounds(), model.spec)
    targets = wanted.wanted(lanes, own, sounds, asked, centre=centre)
    if asked and not centre:
        _check_apart(target for target in targets if target.name not in lanes.targets)
    _check_taken(model.spec, wanted, targets, lanes)
    tell_of_lanes(lanes, targets, wanted, sounds, playing=centre)
    return model, targets


def _check_apart(targets: Iterable[Target]) -> None:
    """Raise BadParameter for two of the targets that are the same sound from the same place."""
    names: dict[Target, str] = {}
    for target in targets:
        first = names.setdefault(dataclasses.replace(target, name="target"), target.name)
        if first != target.name:
            what = " and ".join(target.instruments or target.like)
            placed = shlex.quote(f"{target.name}=DEG")
            raise typer.BadParameter(
                f"{first} and {target.name} are both the {what}: ask for that once, or give each "
                f"its own direction, as --azimuth {placed}"
            )


def _check_taken(
    spec: ModelSpec, wanted: TargetOptions, targets: Iterable[Target], lanes: Automation
) -> None:
    """Raise BadParameter for directions that a model of timbres ignores; warn of widths."""
    from plugin_bridge.control.target_conditions import takes_width

    moved = any(control == "width" for _, control in lanes.lanes)
    if not takes_width(spec) and (wanted.width_deg is not None or moved):
        warn(f"model {spec.name!r} is told where a sound is and no width: the width is left aside")
    if "timbre" not in spec.conditions:
        return
    listed = targets if wanted.targets else ()
    if "direction" not in spec.conditions and _placed(wanted, listed, lanes):
        raise typer.BadParameter(
            f"model {spec.name!r} takes no direction: say what the sound is, --instrument WORD or "
            "--like FILE, without --azimuth and --width; or name another model, as steer"
        )


def _is_led(lanes: Automation, name: str) -> bool:
    """Return whether lanes say where a target is and not how wide: it has the default width."""
    return lanes.lane(name, "azimuth") is not None and lanes.lane(name, "width") is None


def _placed(wanted: TargetOptions, listed: Iterable[Target], lanes: Automation) -> bool:
    """Return whether a direction is asked for: by an option, a file of targets, or a lane."""
    from plugin_bridge.control.target import ANYWHERE

    said = wanted.azimuths is not None or wanted.width_deg is not None
    anywhere = dict(zip(("azimuth", "width"), ANYWHERE, strict=True))  # as lanes of a take hold it
    moved = any(
        any(point.value != anywhere.get(control, point.value) for point in lane.points)
        for (_, control), lane in lanes.lanes.items()
    )
    moved = moved or any(_is_led(lanes, name) for name, _ in lanes.lanes)
    return said or moved or any((t.azimuth_deg, t.width_deg) != ANYWHERE for t in listed)


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
        if name in named and azimuth_deg is not None:
            raise typer.BadParameter(
                f"{name!r} is there twice: give each direction a name of its own",
                param_hint="'--azimuth'",
            )
        if azimuth_deg is None or (sign and not name) or everywhere is not None:
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
