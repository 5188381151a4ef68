"""`stemsteer render` and `stemsteer scan`: from a file to files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plugin_bridge.control.controls import BY_NAME

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.files.audio_reader import AudioReader
    from plugin_bridge.files.targets import Target
    from plugin_bridge.offline.render import Progress
    from plugin_bridge.offline.report import Report
    from plugin_bridge.offline.scan import StereoField

AZIMUTH, WIDTH = BY_NAME["azimuth"], BY_NAME["width"]
Input = Annotated[Path, typer.Argument(metavar="INPUT", help="Audio file, stereo or mono.")]
Azimuths = Annotated[
    list[str] | None,
    typer.Option(
        "--azimuth",
        metavar="[NAME=]DEG",
        help=f"Direction, {AZIMUTH.range}, from hard left to hard right; again, with names, for "
        "several. Of a model's own sources, those not named are in the centre.",
    ),
]
Width = Annotated[
    float | None,
    typer.Option("--width", help=f"Full opening, {WIDTH.range}.  [{WIDTH.default:g}]"),
]


def render(
    path: Input,
    azimuths: Azimuths = None,
    width_deg: Width = None,
    targets: Annotated[
        Path | None,
        typer.Option(help="JSON file of several targets, as `stemsteer scan --json` prints it."),
    ] = None,
    automation: Annotated[
        Path | None, typer.Option(help="File of lanes: .csv, .json, .mid or a REAPER .rpp.")
    ] = None,
    chain: Annotated[
        list[str] | None,
        typer.Option(help="STEM=FILE.json: plugins for a target or the residual; again for more."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Name or path of a model; see `stemsteer models`.")
    ] = None,
    tier: Annotated[
        str, typer.Option(help="offline, studio, live or, of panorama, direct.")
    ] = "offline",
    mode: Annotated[
        str, typer.Option(help="isolate: the targets and the rest; remove: only the rest.")
    ] = "isolate",
    wiener: Annotated[
        int, typer.Option(help="Passes of a Wiener filter over all stems; offline.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files.  [<name of INPUT>-stems]")
    ] = None,
    container: Annotated[
        str | None, typer.Option("--format", help="wav or flac.  [flac for FLAC, else wav]")
    ] = None,
    subtype: Annotated[
        str | None, typer.Option(help="PCM_16, PCM_24, FLOAT ...  [as the input's]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write the sound of a direction, and what is left of the mix, as files."""
    from plugin_bridge.automation import Automation, read_automation
    from plugin_bridge.files.audio_reader import AudioReader
    from plugin_bridge.model_library import choose_model
    from plugin_bridge.offline.render import RenderSettings, render

    with AudioReader(path) as source, _progress(source) as progress:
        lanes = read_automation(automation, source.sample_rate) if automation else None
        chosen = choose_model(model, tier)
        settings = RenderSettings(
            targets=wanted_targets(azimuths, width_deg, targets, lanes, chosen.spec.targets),
            tier=tier,
            mode=mode,
            automation=lanes or Automation(),
            chains=chain_files(chain),
            wiener_passes=wiener,
            container=container,
            subtype=subtype,
            force=force,
        )
        folder = out or Path(f"{path.stem}-stems")
        report = render(source, chosen, settings, folder, progress=progress)
    if as_json:
        typer.echo(report.to_json())
    else:
        _print_stems(report)
    _warn_of_clipping(report)


def wanted_targets(
    azimuths: list[str] | None,
    width_deg: float | None,
    file: Path | None,
    lanes: Automation | None,
    own: tuple[str, ...],
) -> list[Target]:
    """The targets that options ask for, or the lanes of an automation.

    `own` are the names of a model that has targets of its own: all of them, in their order.
    """
    from plugin_bridge.files.targets import Target, read_targets
    from realtime.conditions import DEFAULT_DIRECTION

    if file is not None and not (azimuths is None and width_deg is None):
        raise typer.BadParameter("the directions are in --targets: leave --azimuth, --width out")
    moved = lanes.targets if lanes else ()
    everywhere, named = _directions(azimuths or [])
    if file is None and everywhere is None and not named and not (lanes and lanes.lanes):
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
    centre, opening = DEFAULT_DIRECTION
    width_deg = opening if width_deg is None else width_deg
    given = {name: Target(name, azimuth_deg, width_deg) for name, azimuth_deg in named.items()} or {
        target.name: target for target in (read_targets(file) if file else ())
    }
    unknown = [name for name in given if own and name not in own]
    if unknown:
        raise typer.BadParameter(
            f"the model has no target {', '.join(unknown)}; it has {', '.join(own)}"
        )
    if file is not None and not own:
        return list(given.values())
    start = Target("target", centre if everywhere is None else everywhere, width_deg)
    names = own or tuple(dict.fromkeys([*given, *moved])) or (start.name,)
    return [given.get(name) or Target(name, start.azimuth_deg, start.width_deg) for name in names]


def _directions(options: list[str]) -> tuple[float | None, dict[str, float]]:
    """Options DEG, once, or NAME=DEG: the one direction, or those by name."""
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


def chain_files(options: list[str] | None) -> dict[str, Path]:
    """The chains of options STEM=FILE."""
    files = {}
    for option in options or ():
        stem, sign, file = option.partition("=")
        if not (stem and sign and file) or stem in files:
            raise typer.BadParameter(f"--chain {option}: expected STEM=FILE.json, each stem once")
        files[stem] = Path(file)
    return files


def _print_stems(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("stem", "azimuth", "width", "peak dB", "rms dB", "file", box=None)
    for stem in report.stems:
        cells = (stem.azimuth_deg, stem.width_deg, stem.peak_db, stem.rms_db)
        formats = ("{:+g}°", "{:g}°", "{:.1f}", "{:.1f}")
        shown = ["" if c is None else f.format(c) for f, c in zip(formats, cells, strict=True)]
        table.add_row(stem.name, *shown, stem.path)
    Console().print(table)
    duration_s = report.frames / report.sample_rate
    typer.echo(
        f"{duration_s:.1f} s of sound in {duration_s * report.real_time_factor:.1f} s, "
        f"{1 / report.real_time_factor:.0f} times as fast as real time"
    )


def _warn_of_clipping(report: Report) -> None:
    for stem in report.stems:
        if stem.clipped:
            typer.secho(
                f"stemsteer: {stem.path}: {stem.clipped} samples beyond full scale were clipped "
                f"(peak {stem.peak_db:+.1f} dB); --format wav --subtype FLOAT keeps them",
                err=True,
                fg="yellow",
            )


@contextmanager
def _progress(source: AudioReader) -> Iterator[Progress]:
    """A bar with speed and time left on a terminal, nothing in a pipe."""
    from rich import progress
    from rich.console import Console
    from rich.text import Text

    class Speed(progress.ProgressColumn):
        def render(self, task: progress.Task) -> Any:
            times = (task.speed or 0) / source.sample_rate
            return Text(f"{times:.0f} x real time", no_wrap=True)

    console = Console(stderr=True)
    bar = progress.Progress(
        progress.BarColumn(None),
        progress.TaskProgressColumn(),
        Speed(),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=source.n_samples)
        yield lambda samples: bar.advance(task, samples)


def scan(
    path: Input,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the stereo field.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a picture there is.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the peaks as `render --targets` takes them.")
    ] = False,
) -> None:
    """Show what comes from where in a mix: the directions that stand out."""
    from plugin_bridge.files.audio_reader import AudioReader
    from plugin_bridge.files.stem_files import check_writable
    from plugin_bridge.offline.scan import scan

    with AudioReader(path) as source, _progress(source) as progress:
        if plot is not None:
            check_writable(plot, path, force)
        field = scan(source, progress)
    if plot is not None:
        from plugin_bridge.offline.scan_plot import plot as draw

        draw(field, path.name, plot)
    if as_json:
        typer.echo(_peaks_as_json(field))
    else:
        _print_field(field)


def _peaks_as_json(field: StereoField) -> str:
    entries = [{**vars(peak.target), "level_db": peak.level_db} for peak in field.peaks()]
    return json.dumps(entries, indent=2)


def _print_field(field: StereoField) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "azimuth", "width", "level dB", box=None)
    for peak in field.peaks():
        target = peak.target
        cells = (f"{target.azimuth_deg:+g}°", f"{target.width_deg:g}°", f"{peak.level_db:.1f}")
        table.add_row(target.name, *cells)
    Console().print(table)
    typer.echo(
        f"{field.diffuse:.0%} of the energy is diffuse, {field.out_of_phase:.0%} out of phase"
    )
