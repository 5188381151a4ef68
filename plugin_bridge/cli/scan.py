"""`stemsteer scan`: from a file to its stereo field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.cli.console import print_table
from plugin_bridge.cli.options import Input
from plugin_bridge.cli.progress import progress_bar

if TYPE_CHECKING:
    from plugin_bridge.offline.scan import StereoField


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

    with (
        AudioReader(path) as source,
        progress_bar(source) as progress,
    ):
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
    from plugin_bridge.files.targets import target_fields

    entries = [{**target_fields(peak.target), "level_db": peak.level_db} for peak in field.peaks()]
    return json.dumps(entries, indent=2)


def _print_field(field: StereoField) -> None:
    rows = [
        (
            peak.target.name,
            f"{peak.target.azimuth_deg:+g}°",
            f"{peak.target.width_deg:g}°",
            f"{peak.level_db:.1f}",
        )
        for peak in field.peaks()
    ]
    print_table(("name", "azimuth", "width", "level dB"), rows)
    typer.echo(
        f"{field.diffuse:.0%} of the energy is diffuse, {field.out_of_phase:.0%} out of phase"
    )
