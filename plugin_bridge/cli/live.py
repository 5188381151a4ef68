"""`stemsteer live`: from the sound card, or a file in its place, through the engine and out."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.cli.console import warn
from plugin_bridge.cli.live_again import render_command
from plugin_bridge.cli.live_card import play_card
from plugin_bridge.cli.live_display import print_devices, print_midi_inputs, report_session
from plugin_bridge.cli.options import Force, ListenOptions, refuse_given
from plugin_bridge.cli.osc import ended_by_interrupt
from plugin_bridge.cli.output_file import check_output_file
from plugin_bridge.cli.panel_options import BesidePanelOptions, announce
from plugin_bridge.cli.sounds import PlayedSoundOptions, timbres_of
from plugin_bridge.cli.targets import TargetOptions, chosen
from plugin_bridge.control.actions import ACTIONS

if TYPE_CHECKING:
    from plugin_bridge.control.servers import ServerSettings
    from plugin_bridge.live.session import LiveSession, LiveSettings
    from realtime.model import Model

LEARN = ACTIONS["learn"]


@dataclasses.dataclass(frozen=True)
class CardOptions:
    """The sound card, and how much at once it gives."""

    device: Annotated[
        str | None, typer.Option(help="Sound card: number or part of the name; see --devices.")
    ] = None
    devices: Annotated[
        bool, typer.Option("--devices", help="List sound cards and MIDI inputs.")
    ] = False
    measure_latency: Annotated[
        bool,
        typer.Option("--measure-latency", help="Measure the card by a cable from out to in."),
    ] = False
    rate_hz: Annotated[
        float | None,
        typer.Option("--rate", min=32_000, max=192_000, help="Sample rate.  \\[the card's own]"),
    ] = None
    block: Annotated[
        int, typer.Option(min=16, max=8192, help="Samples that the card gives at once.")
    ] = 256
    slack: Annotated[
        int, typer.Option(min=0, max=32_768, help="Samples more for the engine to be ready.")
    ] = 256

    @property
    def card(self) -> str | int | None:
        """Return the card by its number, or by a part of its name."""
        return int(self.device) if self.device and self.device.isdigit() else self.device


@dataclasses.dataclass(frozen=True)
class FileOptions:
    """Files in place of the card, and files of what is played."""

    input_file: Annotated[
        Path | None, typer.Option(help="Take this file for a card's input, at its pace.")
    ] = None
    output_file: Annotated[
        Path | None, typer.Option(help="With --input-file: what is heard, as a WAV file.")
    ] = None
    record: Annotated[
        Path | None,
        typer.Option(help="Folder for input, stems and lanes.csv, what was moved."),
    ] = None
    force: Force = False

    def check(self) -> None:
        """Raise BadParameter for an output without an input."""
        if self.output_file and not self.input_file:
            raise typer.BadParameter("--output-file goes with --input-file; a card's is --record")


@dataclasses.dataclass(frozen=True)
class MidiOptions:
    """A MIDI input, and which of its controllers move what."""

    midi: Annotated[
        str | None, typer.Option(help="MIDI input, by part of its name; see --devices.")
    ] = None
    midi_map: Annotated[
        Path | None, typer.Option(help='JSON: {"10": "guitar.azimuth", "2:74": "bass.width"}.')
    ] = None

    def check(self) -> None:
        """Raise BadParameter for a map without an input."""
        if self.midi_map and self.midi is None:
            raise typer.BadParameter("--midi-map goes with --midi")


def live(
    wanted: TargetOptions,
    sounds: PlayedSoundOptions,
    card: CardOptions,
    files: FileOptions,
    listen: ListenOptions,
    midi: MidiOptions,
    shown: BesidePanelOptions,
    tier: Annotated[
        str, typer.Option(help="One that the model has: live, direct, studio or lookahead.")
    ] = "live",
    osc: Annotated[bool, typer.Option("--osc/--no-osc", help="Listen for OSC.")] = True,
    learn_s: Annotated[
        float | None,
        typer.Option(
            "--learn",
            min=LEARN.low,
            max=LEARN.high,
            metavar="SECONDS",
            help=f"{LEARN.help.capitalize()}.",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.01, help="End after so long.  \\[until Ctrl-C]")
    ] = None,
) -> None:
    """Play: point at a sound of what comes in, and move there while it sounds."""
    from plugin_bridge.control.timbre_requests import Request
    from plugin_bridge.files.audio_reader import AudioReader
    from plugin_bridge.live import audio_device
    from plugin_bridge.live.file_device import play_file
    from plugin_bridge.live.session import LiveSettings

    if card.devices:
        print_devices(audio_device.devices())
        print_midi_inputs()
        return
    files.check()
    midi.check()
    if not osc:
        refuse_given(listen, "it is for OSC: leave --no-osc out")
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(AudioReader(files.input_file)) if files.input_file else None
        rate_hz = reader.sample_rate if reader else card.rate_hz or audio_device.rate_of(card.card)
        if card.measure_latency:
            samples = audio_device.measure_latency(card.card, rate_hz, card.block)
            typer.echo(f"{samples} samples, {1000 * samples / rate_hz:.1f} ms")
            return
        lanes = wanted.lanes(rate_hz)
        model, targets = chosen(wanted, sounds, lanes, tier, centre=True)
        settings = LiveSettings(
            targets=targets,
            sample_rate=rate_hz,
            block=card.block,
            slack=card.slack,
            tier=tier,
            automation=lanes,
            chains=wanted.chains(),
            timbres=timbres_of(targets, model),
            record_folder=files.record,
            force=files.force,
        )
        session = _session(model, settings, files)
        stack.enter_context(ended_by_interrupt())
        stack.enter_context(_servers(session, listen if osc else None, shown, wanted))
        if learn_s is not None:
            for target in targets:
                session.surface.requests.put(Request(target.name, "learn", (learn_s,)))
        if midi.midi is not None:
            stack.enter_context(_midi_input(session, midi.midi, midi.midi_map))
        again = render_command(files.record, model, tier, wanted, sounds) if files.record else ""
        with _reported(session, files.record, again), session:
            if reader:
                play_file(
                    session,
                    reader,
                    files.output_file,
                    block=card.block,
                    seconds=seconds,
                    force=files.force,
                )
            else:
                play_card(session, card.card, settings, seconds)
    if session.processor.counters.faults:
        raise typer.Exit(1)


def _session(model: Model, settings: LiveSettings, files: FileOptions) -> LiveSession:
    from plugin_bridge.live.session import LiveSession

    session = LiveSession(model, settings)
    if files.output_file and files.input_file:
        check_output_file(files.output_file, files.input_file, files.force)
    return session


@contextlib.contextmanager
def _servers(
    session: LiveSession,
    listen: ListenOptions | None,
    shown: BesidePanelOptions,
    wanted: TargetOptions,
) -> Iterator[None]:
    """Run beside the sound what makes timbres, and OSC and the panel if they are asked for."""
    from plugin_bridge.control.server_process import ServerProcess
    from plugin_bridge.timbre.service import TimbreSettings

    osc: list[ServerSettings] = [listen.settings()] if listen else []
    folder = wanted.model_folder
    panel = None
    if shown.panel:
        panel = dataclasses.replace(shown.settings(), models_folder=folder)
    settings = [*osc, TimbreSettings(folder), *([panel] if panel else [])]
    with ServerProcess(session.surface, settings) as servers:
        if listen:
            typer.echo(f"listening for OSC on {listen.bind} port {servers.ports[0]}", err=True)
        if panel:
            announce(panel, servers.ports[-1], shown.panel_open)
        yield


@contextlib.contextmanager
def _reported(session: LiveSession, record: Path | None, again: str) -> Iterator[None]:
    """Say at the end of a session, which may be an interrupt by the user, how it went.

    Parameters
    ----------
    again : the command that makes what is recorded again.
    """
    try:
        yield
    except KeyboardInterrupt:
        pass  # that is how a session ends
    finally:
        report_session(session, record, again)


@contextlib.contextmanager
def _midi_input(session: LiveSession, name: str, mapping: Path | None) -> Iterator[None]:
    from plugin_bridge.automation.formats.midi import ControllerMap
    from plugin_bridge.live.midi_input import controller_callback, open_input

    controllers = ControllerMap.read(mapping) if mapping else ControllerMap.of_table()
    controllers.check_targets(session.surface.instances)
    with open_input(name, controller_callback(session.surface, controllers), warn) as source:
        typer.echo(f"listening for MIDI on {source.name} ({source.system})", err=True)
        yield
