"""`stemsteer scan`: from a file to its stereo field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plugin_bridge.cli.console import print_table
from plugin_bridge.cli.file_trial import FileTrial, refuse_with_panel, try_file
from plugin_bridge.cli.hearing import can_hear, heard_in
from plugin_bridge.cli.options import Input
from plugin_bridge.cli.output_file import check_output_file
from plugin_bridge.cli.panel_options import BesidePanelOptions
from plugin_bridge.cli.progress import progress_bar
from plugin_bridge.cli.render import RenderOptions, stems_folder
from plugin_bridge.cli.sounds import SoundOptions
from plugin_bridge.cli.targets import TargetOptions

if TYPE_CHECKING:
    from plugin_bridge.offline.scan import StereoField
    from plugin_bridge.timbre.heard import Heard

SILENCE = "there is nothing but silence: it may be a wrong export"
NO_DIRECTION = "no direction stands out"
NO_INSTRUMENT = "no instrument is heard surely enough to be named"
THROUGHOUT = 0.95  # of the time
MOST_STRETCHES = 4
"""More are counted, not printed."""


def scan(
    path: Input,
    shown: BesidePanelOptions,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the stereo field.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the directions as `render --targets` takes them.")
    ] = False,
    instruments: Annotated[
        bool | None,
        typer.Option(
            "--instruments/--no-instruments",
            help="Say which instruments are heard; with --json instead of the directions.  "
            "[yes, without --json]",
        ),
    ] = None,
) -> None:
    """Show what comes from where in a mix, and which instruments are heard, when, how surely.

    With --panel it is shown in a browser, as it plays, with a handle to take what comes from
    there.
    """
    from plugin_bridge.files.audio_reader import AudioReader
    from plugin_bridge.offline.scan import scan

    if shown.panel:
        refuse_with_panel(plot=plot is not None, json=as_json, instruments=instruments is not None)
        options, folder = RenderOptions(force=force), stems_folder(path, None)
        try_file(FileTrial(path, TargetOptions(), SoundOptions(), options, folder), shown)
        return
    with (
        AudioReader(path) as source,
        progress_bar(source) as progress,
    ):
        if plot is not None:
            _check_plot(plot, path, force)
        field = scan(source, progress)
    if plot is not None:
        from plugin_bridge.offline.scan_plot import plot as draw

        draw(field, path.name, plot)
    hears = instruments or (instruments is None and not as_json and can_hear())
    heard = heard_in(path) if hears else []
    if as_json:
        entries = _heard_entries(heard) if instruments else _peak_entries(field)
        typer.echo(json.dumps(entries, indent=2))
        if not entries:  # a list as always; why nothing is in it goes to who runs the program
            nothing = NO_INSTRUMENT if instruments else NO_DIRECTION
            typer.echo(SILENCE if field.is_silent else nothing, err=True)
        return
    _print_field(field)
    if heard:
        _print_heard(heard, field.duration_s)
    elif hears:
        typer.echo(NO_INSTRUMENT)


def _check_plot(plot: Path, source: Path, force: bool) -> None:
    """Raise StemsteerError if there can be no picture, before anything is done."""
    from realtime.errors import StemsteerError

    check_output_file(plot, source, force)
    if plot.suffix.lower() != ".png":
        raise StemsteerError(f"{plot}: the picture is written as .png; give a name that ends so")


def _peak_entries(field: StereoField) -> list[dict[str, Any]]:
    from plugin_bridge.files.targets import target_fields

    return [
        {
            **target_fields(peak.target),
            "spread_deg": peak.spread_deg,
            "level_db": peak.level_db,
            "sure": peak.sure,
        }
        for peak in field.peaks()
    ]


def _print_field(field: StereoField) -> None:
    if field.is_silent:
        typer.echo(SILENCE)
        return
    rows = [
        (
            peak.target.name,
            f"{peak.target.azimuth_deg:+g}°",
            f"{peak.target.width_deg:g}°",
            f"{peak.level_db:.1f}",
            f"{peak.sure:.0%}",
            when(peak.target.stretches_s, field.duration_s),
        )
        for peak in field.peaks()
    ]
    if rows:
        print_table(("name", "azimuth", "width", "level dB", "sure", "heard"), rows)
    else:
        typer.echo(NO_DIRECTION)
    typer.echo(
        f"{field.diffuse:.0%} of the energy is diffuse, {field.out_of_phase:.0%} out of phase"
    )


def _heard_entries(heard: Sequence[Heard]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.instrument,
            "instrument": [one.instrument],
            "stretches_s": one.stretches_s,
            "sure": one.sure,
        }
        for one in heard
    ]


def _print_heard(heard: Sequence[Heard], duration_s: float) -> None:
    rows = [(one.instrument, f"{one.sure:.0%}", when(one.stretches_s, duration_s)) for one in heard]
    print_table(("instrument", "sure", "heard"), rows)


def when(stretches_s: Sequence[tuple[float, float]], duration_s: float) -> str:
    """Return stretches of time in words."""
    if sum(end - start for start, end in stretches_s) >= THROUGHOUT * duration_s:
        return "throughout"
    shown = [f"{_clock(start)}–{_clock(end)}" for start, end in stretches_s[:MOST_STRETCHES]]
    more = len(stretches_s) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _clock(time_s: float) -> str:
    minutes, seconds = divmod(round(time_s), 60)
    return f"{minutes}:{seconds:02}"
