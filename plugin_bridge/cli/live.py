"""`stemsteer live`: from the sound card, or a file in its place, through the engine and out."""

from __future__ import annotations

import contextlib
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plugin_bridge.cli.osc import Allow, Announce, Bind, Mirrored, OscPort, Strict
from plugin_bridge.cli.render import Azimuths, Width, chain_files, wanted_targets

if TYPE_CHECKING:
    from plugin_bridge.live.audio_device import Flags
    from plugin_bridge.live.midi_input import Port
    from plugin_bridge.live.session import LiveSession, LiveSettings


def live(
    azimuths: Azimuths = None,
    width_deg: Width = None,
    targets: Annotated[
        Path | None, typer.Option(help="JSON file of several targets, as of `stemsteer scan`.")
    ] = None,
    automation: Annotated[
        Path | None, typer.Option(help="File of lanes that run until a hand takes them over.")
    ] = None,
    chain: Annotated[
        list[str] | None, typer.Option(help="STEM=FILE.json: plugins for a stem; again for more.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name or path of a model.")] = None,
    tier: Annotated[str, typer.Option(help="live, studio or, of panorama, direct.")] = "live",
    device: Annotated[
        str | None, typer.Option(help="Sound card: number or part of the name; see --devices.")
    ] = None,
    devices: Annotated[
        bool, typer.Option("--devices", help="List sound cards and MIDI inputs.")
    ] = False,
    measure_latency: Annotated[
        bool,
        typer.Option("--measure-latency", help="Measure the card by a cable from out to in."),
    ] = False,
    rate_hz: Annotated[
        float | None,
        typer.Option("--rate", min=32_000, max=192_000, help="Sample rate.  [the card's own]"),
    ] = None,
    block: Annotated[
        int, typer.Option(min=16, max=8192, help="Samples that the card gives at once.")
    ] = 256,
    slack: Annotated[
        int, typer.Option(min=0, max=32_768, help="Samples more for the engine to be ready.")
    ] = 256,
    input_file: Annotated[
        Path | None, typer.Option(help="Take this file for a card's input, at its pace.")
    ] = None,
    output_file: Annotated[
        Path | None, typer.Option(help="With --input-file: what is heard, as a WAV file.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(help="Folder for input, stems and lanes.csv, what the hands did."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    osc: Annotated[bool, typer.Option("--osc/--no-osc", help="Listen for OSC.")] = True,
    port: OscPort = 9900,
    bind: Bind = "127.0.0.1",
    allow: Allow = None,
    strict: Strict = False,
    mirrored: Mirrored = False,
    announce: Announce = False,
    midi: Annotated[
        str | None, typer.Option(help="MIDI input, by part of its name; see --devices.")
    ] = None,
    midi_map: Annotated[
        Path | None, typer.Option(help='JSON: {"10": "guitar.azimuth", "2:74": "bass.width"}.')
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.01, help="End after so long.  [with Ctrl-C]")
    ] = None,
) -> None:
    """Play: point at a sound of what comes in, and move there while it sounds."""
    from plugin_bridge.automation import Automation, read_automation
    from plugin_bridge.files.audio_reader import AudioReader
    from plugin_bridge.files.stem_files import check_writable
    from plugin_bridge.live import audio_device as soundcard
    from plugin_bridge.live.file_device import play_file
    from plugin_bridge.live.session import LiveSession, LiveSettings
    from plugin_bridge.model_library import choose_model
    from plugin_bridge.osc.server_process import OscOptions, OscProcess

    card: str | int | None = int(device) if device and device.isdigit() else device
    if devices:
        _list(soundcard.devices())
        _list_midi()
        return
    if output_file and not input_file:
        raise typer.BadParameter("--output-file goes with --input-file; a card's is --record")
    if midi_map and midi is None:
        raise typer.BadParameter("--midi-map goes with --midi")
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(AudioReader(input_file)) if input_file else None
        rate_hz = reader.sample_rate if reader else rate_hz or soundcard.rate_of(card)
        if measure_latency:
            samples = soundcard.measure_latency(card, rate_hz, block)
            typer.echo(f"{samples} samples, {1000 * samples / rate_hz:.1f} ms")
            return
        lanes = read_automation(automation, rate_hz) if automation else Automation()
        chosen = choose_model(model, tier)
        own = chosen.spec.targets
        if azimuths is None and targets is None:
            azimuths = [f"{own[0]}=0" if own else "0"]
        settings = LiveSettings(
            targets=wanted_targets(azimuths, width_deg, targets, lanes, own),
            sample_rate=rate_hz,
            block=block,
            slack=slack,
            tier=tier,
            automation=lanes,
            chains=chain_files(chain),
            record_folder=record,
            force=force,
        )
        session = LiveSession(chosen, settings)
        if output_file and input_file:
            check_writable(output_file, input_file, force)
        if osc:
            options = OscOptions(bind, port, tuple(allow or ()), strict, mirrored, announce)
            apart = stack.enter_context(OscProcess(session.surface, options))
            typer.echo(f"listening for OSC on {bind} port {apart.port}", err=True)
        if midi is not None:
            source = stack.enter_context(_midi(session, midi, midi_map))
            typer.echo(f"listening for MIDI on {source.name} ({source.system})", err=True)
        try:
            with session:
                if reader:
                    play_file(
                        session, reader, output_file, block=block, seconds=seconds, force=force
                    )
                else:
                    _play_card(session, card, settings, seconds)
        except KeyboardInterrupt:
            pass  # that is how a session ends
        finally:
            _finish(session, record)
    if session.processor.counters.faults:
        raise typer.Exit(1)


def _play_card(
    session: LiveSession, card: str | int | None, settings: LiveSettings, seconds: float | None
) -> None:
    from rich.console import Console
    from rich.live import Live as Display

    from plugin_bridge.live import audio_device as soundcard

    with soundcard.stream(session.process, card, settings.sample_rate, settings.block) as (
        card_s,
        flags,
    ):
        total_ms = 1000 * (session.latency_s + card_s)
        typer.echo(
            f"latency {total_ms:.1f} ms: engine {1000 * session.latency_s:.1f}, "
            f"sound card {1000 * card_s:.1f}; Ctrl-C ends",
            err=True,
        )
        console = Console(stderr=True)
        until_s = time.monotonic() + (seconds if seconds is not None else 1e9)
        with Display(console=console, transient=True) as display:
            while time.monotonic() < until_s:
                if console.is_terminal:
                    display.update(table(session, flags))
                time.sleep(0.1)


def table(session: LiveSession, flags: Flags) -> Any:
    """The display: a line a stem, and how the engine is doing."""
    from rich.table import Table

    shown = Table("stem", "azimuth", "width", "level", "", box=None)
    board = session.surface
    for stem, level_db in session.output_stage.levels_db().items():
        place = [""] * 2
        if stem in board.instances:
            place = [f"{board.value(stem, name):+.1f}°" for name in ("azimuth", "width")]
        bar = "█" * max(0, round((level_db + 60) / 2))
        shown.add_row(stem, *place, f"{level_db:.0f} dB", bar)
    counters = session.processor.counters
    late = f"{counters.late_blocks} of {counters.blocks} blocks late"
    lost = f"card lost {flags.input_lost} in, {flags.output_lost} out"
    shown.caption = f"load {counters.load:.0%}   {late}   {lost}   {session.output_stage.fault}"
    return shown


def _midi(session: LiveSession, words: str, mapping: Path | None) -> AbstractContextManager[Port]:
    from plugin_bridge.automation.formats.midi import ControllerMap
    from plugin_bridge.live.midi_input import controller_callback, open_input

    controllers = ControllerMap.read(mapping) if mapping else ControllerMap.of_table()
    controllers.check_targets(session.surface.instances)
    return open_input(words, controller_callback(session.surface, controllers))


def _finish(session: LiveSession, record: Path | None) -> None:
    """Say how it went, and keep what the hands did."""
    counters = session.processor.counters
    if not counters.blocks:
        return  # it did not begin
    words = f"{counters.blocks} blocks, {counters.late_blocks} late, {counters.faults} faults"
    typer.echo(f"{words}, worst hop {1000 * counters.worst_hop_s:.1f} ms", err=True)
    if session.output_stage.fault:
        typer.secho(f"stemsteer: {session.output_stage.fault}", err=True, fg="red")
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
        from plugin_bridge.automation import write_automation
        from plugin_bridge.files.recorder import LANES_FILE

        write_automation(record / LANES_FILE, session.surface.recorded())
        typer.echo(
            f"recorded in {record}, {session.recorder.dropped_hops} hops lost by the disk", err=True
        )


def _list(cards: list[Any]) -> None:
    if not cards:
        typer.echo("no sound card; start JACK, or take a file with --input-file")
    for card in cards:
        typer.echo(
            f"{card.number:3}  {card.name}  ({card.system}, {card.inputs} in, {card.outputs} out, "
            f"{card.rate_hz:g} Hz)"
        )


def _list_midi() -> None:
    from plugin_bridge.live import midi_input as midiport

    inputs = list(midiport.ports())
    typer.echo("MIDI inputs:" if inputs else "no MIDI input")
    for port in inputs:
        typer.echo(f"     {port.name}  ({port.system})")
