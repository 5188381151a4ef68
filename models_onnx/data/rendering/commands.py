"""The commands that make songs: ``python -m models_onnx render`` and ``demo-song``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from models_onnx.commands import claim


def render(
    out: Annotated[Path, typer.Option(help="folder of shards, made or continued")],
    hours: Annotated[float, typer.Option(min=0.001, help="hours of songs to have in the end")],
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out",
            help="songs, scores, drummers' takes and soundfont that training never meets",
        ),
    ] = False,
    recordings: Annotated[
        list[Path] | None, typer.Option(help="folder of real recordings with an INDEX.csv")
    ] = None,
    soundfont: Annotated[
        list[Path] | None, typer.Option(help="General-MIDI soundfont, beside those of Debian")
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="folder of scores with midi/INDEX.csv; one in ten is held out"),
    ] = None,
    real: Annotated[
        float, typer.Option(min=0, max=1, help="chance of stretches of real songs")
    ] = 0.0,
    score: Annotated[float, typer.Option(min=0, max=1, help="chance of a score")] = 0.0,
    band: Annotated[
        float, typer.Option(min=0, max=1, help="chance of a band with a human drummer")
    ] = 0.0,
    first_seed: Annotated[
        int, typer.Option(min=0, max=9_999_999, help="seed of the first song")
    ] = 0,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 2,
) -> None:
    """Compose and render songs; a run that was stopped goes on where it was."""
    from models_onnx.data.rendering.render import render as render_songs

    columns = ("{task.description}", BarColumn(), TextColumn("{task.completed:.2f} h"))
    bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn())
    with bar:
        task = bar.add_task(str(out), total=hours)
        for held in render_songs(
            out,
            hours,
            first_seed=first_seed,
            held_out=held_out,
            recordings=recordings or (),
            soundfonts=soundfont or (),
            scores=scores,
            kinds=(max(0.0, 1.0 - real - score - band), real, score, band),
            workers=workers,
        ):
            bar.update(task, completed=min(held, hours))


def demo_song(
    out: Annotated[Path, typer.Option(help="folder for mix, stems and song.json")],
    force: Annotated[bool, typer.Option("--force", help="replace files that are there")] = False,
) -> None:
    """Render the bundled song; needs the Debian package fluid-soundfont-gm."""
    from models_onnx.data.rendering.demo_song import files_of, write_song

    claim(*files_of(out), force=force)
    song = write_song(out)
    print(f"{out}: mix.flac and {len(song['stems'])} stems, {song['frames'] / 44100:.1f} s")
