"""`stemsteer render`: from a file to stems."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.cli.console import print_table, printing, warn
from plugin_bridge.cli.file_trial import FileTrial, refuse_with_panel, try_file
from plugin_bridge.cli.hearing import all_heard, can_hear
from plugin_bridge.cli.options import AsJson, Force, Input
from plugin_bridge.cli.panel_options import BesidePanelOptions
from plugin_bridge.cli.progress import progress_bar
from plugin_bridge.cli.quality import check_quality_file, print_quality, write_quality
from plugin_bridge.cli.render_notes import tell_notes
from plugin_bridge.cli.sounds import SoundOptions, timbres_of
from plugin_bridge.cli.targets import TargetOptions, chosen

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.control.target import Target
    from plugin_bridge.offline.render import RenderSettings
    from plugin_bridge.offline.report import Report
    from realtime import OnnxModel


@dataclasses.dataclass(frozen=True)
class RenderOptions:
    """How a sound is taken, and in what form it is written."""

    tier: Annotated[
        str,
        typer.Option(help="One that the model has: offline, lookahead, studio, live or direct."),
    ] = "offline"
    mode: Annotated[
        str, typer.Option(help="isolate: the targets and the rest; remove: only the rest.")
    ] = "isolate"
    wiener: Annotated[
        int, typer.Option(help="Passes of a Wiener filter over all stems, 0 to 10; offline.")
    ] = 0
    container: Annotated[
        str | None, typer.Option("--format", help="wav or flac.  \\[flac for FLAC, else wav]")
    ] = None
    subtype: Annotated[
        str | None, typer.Option(help="PCM_16, PCM_24, FLOAT ...  \\[as the input's]")
    ] = None
    force: Force = False

    def check(self) -> None:
        """Raise ValueError for values that none of them can have."""
        self.without_targets()

    def without_targets(self) -> RenderSettings:
        """Return the settings of a render of which it is not known yet what is taken.

        Raises ValueError for values that none of them can have.
        """
        from plugin_bridge.offline.render import RenderSettings

        return RenderSettings(
            (),
            tier=self.tier,
            mode=self.mode,
            wiener_passes=self.wiener,
            container=self.container,
            subtype=self.subtype,
            force=self.force,
        )

    def settings(
        self,
        wanted: TargetOptions,
        sounds: SoundOptions,
        lanes: Automation,
        *,
        centre: bool = False,
        taken: Sequence[Target] = (),
    ) -> tuple[OnnxModel, RenderSettings]:
        """Return the model that takes what is wanted, loaded, and the settings of a render.

        `centre`, `taken`: see `chosen`.
        """
        model, targets = chosen(wanted, sounds, lanes, self.tier, centre=centre, taken=taken)
        return model, dataclasses.replace(
            self.without_targets(),
            targets=targets,
            mode="remove" if sounds.removed else self.mode,
            automation=lanes,
            chains=wanted.chains(),
            timbres=timbres_of(targets, model),
        )


def render(
    path: Input,
    wanted: TargetOptions,
    sounds: SoundOptions,
    options: RenderOptions,
    shown: BesidePanelOptions,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files.  [<name of INPUT>-stems]")
    ] = None,
    quality: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.json", help="Say how good each stem seems to be."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the sound of an instrument or a direction, and what is left of the mix, as files.

    With --panel the file is played and heard in a browser first, and the stems are written by a
    press there, as the handles are then.
    """
    from plugin_bridge.control.target_conditions import takes_width
    from plugin_bridge.files.audio_reader import AudioReader
    from plugin_bridge.offline.render import render

    folder = stems_folder(path, out)
    if shown.panel:
        refuse_with_panel(report=quality is not None, json=as_json)
        try_file(
            FileTrial(path, wanted, _heard(path, wanted, sounds, options.tier), options, folder),
            shown,
        )
        return
    with (
        AudioReader(path) as source,
        progress_bar(source) as progress,
    ):
        lanes = wanted.lanes(source.sample_rate)
        sounds = _heard(path, wanted, sounds, options.tier)
        model, settings = options.settings(wanted, sounds, lanes)
        if quality is not None:
            check_quality_file(quality, source, settings, folder)
        report = render(source, model, settings, folder, progress=progress)
    judged = None
    if quality is not None:
        judged = write_quality(
            quality, path, report, force=options.force, has_width=takes_width(model.spec)
        )
    with printing(f"the stems are in {folder}"):
        if as_json:
            typer.echo(report.to_json())
        else:
            _print_stems(report)
            if judged is not None:
                print_quality(judged)
    tell_notes(report, settings, sounds, source, is_named=wanted.model is not None)


def stems_folder(path: Path, out: Path | None) -> Path:
    """Return the folder for the stems of a file."""
    return out or Path(f"{path.stem}-stems")


def _heard(path: Path, wanted: TargetOptions, sounds: SoundOptions, tier: str) -> SoundOptions:
    """Return the sounds; where all that are heard are asked for, these."""
    wanted.check(sounds)
    if not hears(wanted, sounds, tier):
        return sounds
    return all_heard(path, sounds, wanted.model, tier, tell=warn)


def hears(wanted: TargetOptions, sounds: SoundOptions, tier: str) -> bool:
    """Return whether what is taken of a song are the instruments that are heard in it.

    A model that is named has to know instruments, and no sources of its own, which else are meant.
    """
    from plugin_bridge.model_choice import told_instruments

    if not sounds.all_sources or not can_hear():
        return False
    return wanted.model is None or bool(told_instruments(wanted.model, tier))


def _print_stems(report: Report) -> None:
    from plugin_bridge.control.target import ANYWHERE

    formats = ("{:+g}°", "{:g}°", "{:.1f}", "{:.1f}")
    rows = []
    for stem in report.stems:
        cells = (stem.azimuth_deg, stem.width_deg, stem.peak_db, stem.rms_db)
        shown = ["" if c is None else f.format(c) for f, c in zip(formats, cells, strict=True)]
        if cells[:2] == ANYWHERE:
            shown[:2] = "anywhere", ""
        rows.append((stem.name, *shown, str(stem.path)))
    print_table(("stem", "azimuth", "width", "peak dB", "rms dB", "file"), rows)
    duration_s = report.frames / report.sample_rate
    typer.echo(
        f"{duration_s:.1f} s of sound in {duration_s * report.real_time_factor:.1f} s, "
        f"{1 / report.real_time_factor:.0f} times as fast as real time, by {report.model} "
        f"({report.tier})"
    )
