"""`stemsteer render --report`: how good the stems of a render seem to be."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from plugin_bridge.cli.console import print_table, say
from plugin_bridge.cli.output_file import check_output_file

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.files.audio_reader import AudioReader
    from plugin_bridge.offline.render import RenderSettings
    from plugin_bridge.offline.report import Report
    from plugin_bridge.offline.stem_quality import RenderQuality


def check_quality_file(
    path: Path, source: AudioReader, settings: RenderSettings, folder: Path
) -> None:
    """Raise BadParameter or StemsteerError if there can be no report, before anything is done.

    `folder`: of the stems, none of which the report may replace.
    """
    from plugin_bridge.offline.render import stem_paths
    from realtime.errors import StemsteerError

    if settings.mode != "isolate" or settings.chains:
        raise typer.BadParameter(
            "a report compares stems with their mix: leave --chain and --mode remove out",
            param_hint="'--report'",
        )
    if moved := _moved_levels(settings.automation):
        raise typer.BadParameter(
            f"a report compares stems with their mix: leave the lanes of {', '.join(moved)} out",
            param_hint="'--report'",
        )
    stems = stem_paths(source, settings, folder).values()
    if path.resolve() in [stem.resolve() for stem in stems]:
        raise StemsteerError(f"{path} is to be a stem; choose another place for the report")
    check_output_file(path, source.path, settings.force, made=folder)


def _moved_levels(lanes: Automation) -> list[str]:
    """Return the controls by which lanes make files that are other than their targets."""
    from plugin_bridge.control.levels import LEVELS, UNITY

    unity = dict(zip(LEVELS, UNITY, strict=True))
    moved = {
        name
        for (_, name), lane in lanes.lanes.items()
        if any(point.value != unity.get(name, point.value) for point in lane.points)
    }
    return sorted(moved)


def write_quality(
    path: Path, source: Path, report: Report, *, force: bool, has_width: bool = True
) -> RenderQuality:
    """Judge the stems of a render, and write what was found as JSON, with what the model told.

    `has_width`: whether the model is told a width; else stems are judged by the usual one.

    Raises StemsteerError if a file is there meanwhile, unless `force` lets it be replaced.
    """
    from plugin_bridge.offline.stem_quality import judge_stems
    from realtime.atomic import atomic_write
    from realtime.conditions import DEFAULT_DIRECTION

    *targets, residual = report.stems
    usual = DEFAULT_DIRECTION[1]
    judged = judge_stems(
        source,
        [
            (stem.name, Path(stem.path), stem.azimuth_deg, stem.width_deg if has_width else usual)
            for stem in targets
        ],
        Path(residual.path),
    )
    check_output_file(path, source, force)
    content = {"input": str(source), **asdict(judged)}
    for found, stem in zip(content["stems"], targets, strict=True):
        found["activity"] = None if stem.activity is None else asdict(stem.activity)
    with atomic_write(path) as hidden:
        hidden.write_text(json.dumps(content, indent=2) + "\n")
    return judged


def print_quality(judged: RenderQuality) -> None:
    """Print what a report says."""
    rows = []
    for stem in judged.stems:
        cells = (
            stem.expected_sdr_db,
            stem.leakage_db,
            stem.left_behind_db,
            stem.level_difference_error_db,
        )
        shown = ["" if c is None else f"{c:.1f}" for c in cells]
        rows.append((stem.name, *shown, f"{stem.active:.0%}", stem.verdict))
    print_table(
        ("stem", "expected SDR dB", "leakage dB", "left dB", "ΔILD dB", "active", "how sure"), rows
    )
    sounding = [stem for stem in judged.stems if stem.expected_sdr_db is not None]
    if blank := [stem.name for stem in sounding if stem.leakage_db is stem.left_behind_db is None]:
        say(
            f"{', '.join(blank)}: leakage and left are blank, since they are told of a direction "
            "that stays, and not of a sound by name alone"
        )
    null = "exactly" if judged.null_db is None else f"within {judged.null_db:.0f} dB"
    say(f"the stems add up to the mix {null}")
