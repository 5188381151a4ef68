"""What a user should be told after a render, beside what was written."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_bridge.cli.console import say, warn, warn_of_model_faults

if TYPE_CHECKING:
    from plugin_bridge.cli.sounds import SoundOptions
    from plugin_bridge.files.audio_reader import AudioReader
    from plugin_bridge.offline.render import RenderSettings
    from plugin_bridge.offline.report import Report

LITTLE_DB = -40.0
"""Level below the loudest stem at which little is left of what was pointed at."""
MOST_NAMES = 4


def tell_notes(
    report: Report,
    settings: RenderSettings,
    sounds: SoundOptions,
    source: AudioReader,
    *,
    is_named: bool,
) -> None:
    """Print what a user should know of a render of `source`.

    `is_named`: the user has named the model, which else was chosen by its gains.
    """
    for note in sounds.notes():
        say(f"stemsteer: {note}", err=True)
    if sounds.removed:
        without = " and ".join(name for target in settings.targets for name in target.instruments)
        say(f"stemsteer: {report.stems[-1].path} is the song without {without}", err=True)
    for words in (
        *_of_clipping(report),
        *(() if is_named else _of_no_gain(settings)),
        *_of_silence(report),
        *(_of_mono(report, settings, source.channels) or _of_little(report, settings)),
        *_of_levels(settings),
        *_of_late_lanes(report, settings),
        *_of_place(source),
        *(_of_older_files(report) if settings.force else ()),
    ):
        warn(words)
    warn_of_model_faults(report.model_faults)


def _of_clipping(report: Report) -> Iterator[str]:
    for stem in report.stems:
        if stem.clipped:
            yield (
                f"{stem.path}: {stem.clipped} samples beyond full scale were clipped "
                f"(peak {stem.peak_db:+.1f} dB); --format wav --subtype FLOAT keeps them"
            )


def _of_silence(report: Report) -> Iterator[str]:
    if all(stem.rms_db is None for stem in report.stems):
        yield f"every stem is silent: listen to {report.input}, it may be a wrong export"


def _of_no_gain(settings: RenderSettings) -> Iterator[str]:
    """Yield what is said of instruments that are taken by their names alone, and hardly known."""
    from plugin_bridge.control.target import ANYWHERE
    from plugin_bridge.model_library import without_gain

    by_name = [
        name
        for target in settings.targets
        if (target.azimuth_deg, target.width_deg) == ANYWHERE and not target.by_timbre
        for name in target.instruments
    ]
    if names := without_gain(settings.tier, by_name):
        yield (
            f"{_listed(names)}: no installed model gains anything over the mix by the name alone; "
            "try --azimuth, too"
        )


def _of_mono(report: Report, settings: RenderSettings, channels: int) -> list[str]:
    from plugin_bridge.control.target import ANYWHERE

    if channels > 1 or all((t.azimuth_deg, t.width_deg) == ANYWHERE for t in settings.targets):
        return []
    return [f"{report.input} is mono and has no directions: take a sound by --instrument"]


def _of_little(report: Report, settings: RenderSettings) -> list[str]:
    """Return what is said of targets that are hardly in the song; a silent song has none."""
    levels_db = [stem.rms_db for stem in report.stems if stem.rms_db is not None]
    wanted = settings.target_names if settings.mode == "isolate" and levels_db else []
    little = [
        stem.name
        for stem in report.stems
        if stem.name in wanted
        and (stem.rms_db is None or stem.rms_db <= max(levels_db) + LITTLE_DB)
    ]
    if not little:
        return []
    return [
        f"{_listed(little)}: {-LITTLE_DB:g} dB or more below the rest, so there is little to "
        f"take; `stemsteer scan {shlex.quote(report.input)}` shows what comes from where"
    ]


def _of_levels(settings: RenderSettings) -> Iterator[str]:
    """Yield which lanes change a stem after it was taken, so that the sum is another one."""
    from plugin_bridge.control.levels import LEVELS, UNITY

    if settings.mode != "isolate" or settings.chains:
        return  # there is one file, or a file of the sum
    at_rest = dict(zip(LEVELS, UNITY, strict=True))
    lanes = settings.automation.lanes.items()
    moved = {
        name
        for (_, name), lane in lanes
        if name in at_rest and any(point.value != at_rest[name] for point in lane.points)
    }
    if moved:
        names = " and ".join(name for name in LEVELS if name in moved)
        yield f"the lanes of {names} change the stems, which do not add up to the mix there"


def _of_late_lanes(report: Report, settings: RenderSettings) -> Iterator[str]:
    """Yield which lanes begin behind the end of the song, where their first value is throughout."""
    from plugin_bridge.automation import ALL

    duration_s = report.frames / report.sample_rate
    for (target, name), lane in settings.automation.lanes.items():
        if (begin_s := lane.points[0].time_s) >= duration_s:
            whose = "all targets" if target == ALL else target
            yield (
                f"the lane of {name} of {whose} begins at {begin_s:g} s, and {report.input} ends "
                f"at {duration_s:.1f} s: it is {lane.points[0].value:g} throughout"
            )


def _of_place(source: AudioReader) -> Iterator[str]:
    """Yield what is said of a place on a timeline, which the stems do not keep."""
    if first := source.time_reference:
        hours, rest = divmod(first / source.sample_rate, 3600)
        minutes, seconds = divmod(rest, 60)
        yield (
            f"{source.path} belongs at sample {first} "
            f"({hours:02.0f}:{minutes:02.0f}:{seconds:06.3f}), which its stems do not keep: put "
            "them there by hand"
        )


def _of_older_files(report: Report) -> Iterator[str]:
    """Yield what is said of sounds that an earlier render may have left beside the stems."""
    from plugin_bridge.files.audio_writer import FORMATS

    ours = {Path(report.input).resolve(), *(Path(stem.path).resolve() for stem in report.stems)}
    folder = Path(report.stems[0].path).parent
    older = [
        path.name
        for path in sorted(folder.iterdir())
        if path.suffix.lower()[1:] in FORMATS and path.resolve() not in ours
    ]
    if older:
        were, are, them = ("was", "is", "it") if len(older) == 1 else ("were", "are", "them")
        yield (
            f"{_listed(older)} in {folder} {were} there before and {are} no part of these stems, "
            f"which add up to the mix without {them}"
        )


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
