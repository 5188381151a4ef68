"""What `stemsteer live` prints: the devices there are, the running display, how it went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from plugin_bridge.cli.console import table_of, warn_of_model_faults

if TYPE_CHECKING:
    from rich.table import Table

    from plugin_bridge.live.audio_device import Flags
    from plugin_bridge.live.session import LiveSession


def table(session: LiveSession, flags: Flags) -> Table:
    """Return the display: a line a stem, and how the engine is doing."""
    surface, rows = session.surface, []
    for stem, level_db in session.output_stage.levels_db().items():
        place = [""] * 2
        if stem in surface.instances:
            place = [f"{surface.value(stem, name):+.1f}°" for name in ("azimuth", "width")]
        bar = "█" * max(0, round((level_db + 60) / 2))
        rows.append((stem, *place, f"{level_db:.0f} dB", bar))
    counters = session.processor.counters
    late = f"{counters.late_blocks} of {counters.blocks} blocks late"
    lost = f"card lost {flags.input_lost} in, {flags.output_lost} out"
    parts = [f"load {counters.load:.0%}", late, lost, *_shortcomings(session), session.fault]
    caption = "   ".join(filter(None, parts))
    return table_of(("stem", "azimuth", "width", "level", ""), rows, caption=caption)


def report_session(session: LiveSession, record: Path | None, again: str = "") -> None:
    """Print how a session went, where it is recorded, and the command that makes that again."""
    from plugin_bridge.control.levels import LEVELS

    counters = session.processor.counters
    if not counters.blocks:
        return  # it did not begin
    words = f"{counters.blocks} blocks, {counters.late_blocks} late, {counters.faults} faults"
    typer.echo(f"{words}, worst hop {1000 * counters.worst_hop_s:.1f} ms", err=True)
    if session.fault:
        typer.secho(f"stemsteer: {session.fault}", err=True, fg="red")
    warn_of_model_faults(session.output_stage.separator.model_faults)
    for words in _shortcomings(session):
        typer.secho(f"stemsteer: {words}", err=True, fg="yellow")
    if counters.jumps:
        typer.secho(
            f"stemsteer: {counters.jumps} times sound was left out, of what is recorded, too: the "
            "engine failed or fell behind; a quicker model is --model panorama",
            err=True,
            fg="yellow",
        )
    if record is not None and session.recorder is not None:
        if not session.recorder.n_samples:
            typer.secho("stemsteer: it was too short to be recorded", err=True, fg="yellow")
            return
        dropped = session.recorder.dropped_hops
        typer.echo(f"recorded in {record}, {dropped} hops lost by the disk", err=True)
        typer.echo(f"to make it again: {again}", err=True)
        moved = {name for _, name in session.surface.moved}
        if names := " and ".join(name for name in LEVELS if name in moved):
            typer.echo(f"{names}: where moved, the stems do not add up to the input", err=True)


def _shortcomings(session: LiveSession) -> list[str]:
    """Return what is not as it should be without any block being late; nothing where all is."""
    words = []
    if late_runs := session.output_stage.separator.late_runs:
        words.append(f"{late_runs} runs of the model came too late: masks of before went on")
    if damaged := session.processor.counters.invalid_samples:
        words.append(f"{damaged} damaged samples came in and were silenced")
    return words


def print_devices(cards: list[Any]) -> None:
    """Print the sound cards."""
    if not cards:
        typer.echo("no sound card; start JACK, or take a file with --input-file")
    for card in cards:
        typer.echo(
            f"{card.number:3}  {card.name}  ({card.system}, {card.inputs} in, {card.outputs} out, "
            f"{card.rate_hz:g} Hz)"
        )


def print_midi_inputs() -> None:
    """Print the MIDI inputs."""
    from plugin_bridge.live import midi_input

    inputs = list(midi_input.ports())
    typer.echo("MIDI inputs:" if inputs else "no MIDI input")
    for port in inputs:
        typer.echo(f"     {port.name}  ({port.system})")
