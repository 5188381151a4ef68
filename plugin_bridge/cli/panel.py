"""`stemsteer panel`, and the panel of `serve`."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.cli.console import warn
from plugin_bridge.cli.file_trial import FileTrial, file_panel
from plugin_bridge.cli.options import Force, refuse_given
from plugin_bridge.cli.osc import ended_by_interrupt, wait_for_interrupt
from plugin_bridge.cli.panel_options import (
    DEFAULT_PORT,
    Bind,
    Open,
    Port,
    Token,
    announce,
    panel_server,
    panel_settings,
)
from plugin_bridge.cli.render import RenderOptions, stems_folder
from plugin_bridge.cli.sounds import PlayedSoundOptions
from plugin_bridge.cli.targets import TargetOptions

if TYPE_CHECKING:
    from plugin_bridge.panel.server import PanelOptions

PORTS = 20
"""From the one that is wanted on, so many are tried where another panel, or a program, has it."""
TAKEN_S = 2.0


@dataclasses.dataclass(frozen=True)
class StemsOptions:
    """Where the stems of a file are written, and whether they replace others."""

    out: Annotated[
        Path | None, typer.Option(help="Folder for the stems of FILE.  [<its name>-stems]")
    ] = None
    force: Force = False


def panel(
    wanted: TargetOptions,
    sounds: PlayedSoundOptions,
    stems: StemsOptions,
    path: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Audio file to try.  \\[the tracks]")
    ] = None,
    port: Port = DEFAULT_PORT,
    bind: Bind = "127.0.0.1",
    token: Token = None,
    open_it: Open = False,
) -> None:
    """Show the tracks of the engine in a browser, or a file, and move them there; Ctrl-C ends it.

    It may be started before the engine, and stays when that is started anew. With --open the one
    that runs already is opened; where something else has the port, the next free one is taken. A
    file is played and heard in the browser, and its stems can be written as the handles are then;
    the options of sounds, directions and stems are for it. `stemsteer render FILE --panel` does the
    same, with all options of how stems are written.
    """
    if path is None:
        for group in (wanted, sounds, stems):
            refuse_given(group, "it is for a file: give FILE, too")
    settings = panel_settings(bind, port, token)
    if path is None and open_it:
        port, runs = tracks_port(port)
        if runs:
            announce(settings, port, open_it)
            return
        settings = dataclasses.replace(settings, port=port)
    if path is None:
        running = engine_panel(settings, open_it)
    else:
        options = RenderOptions(force=stems.force)
        trial = FileTrial(path, wanted, sounds, options, stems_folder(path, stems.out))
        running = file_panel(settings, open_it, trial)
    with ended_by_interrupt(), running:
        wait_for_interrupt()


@contextlib.contextmanager
def engine_panel(settings: PanelOptions, open_it: bool) -> Iterator[None]:
    """Run the engine's panel; see `panel_server`."""
    from plugin_bridge.engine.observer import EngineObserver

    with (
        contextlib.closing(EngineObserver(warn)) as engine,
        panel_server(engine, settings, open_it, engine),
    ):
        yield


class Found(enum.Enum):
    """What answers on a port."""

    NOTHING = enum.auto()
    TRACKS = enum.auto()  # a panel of tracks that anybody may open
    OTHER = enum.auto()  # a panel of a file, one that needs a token, or another program


def tracks_port(first: int) -> tuple[int, bool]:
    """Return the port of a panel of tracks, the first from `first` on, and whether it runs.

    If it does not, the port is free; 0 if none of `PORTS` is.
    """
    ports = range(first, min(first + PORTS, 65_536))
    found = ((port, found_on(port)) for port in ports)
    port, what = next((each for each in found if each[1] is not Found.OTHER), (0, Found.NOTHING))
    if port != first:
        words = (
            f"is not a panel that shows the tracks of the engine, so the panel is on port {port}"
        )
        typer.echo(f"what answers on port {first} {words}", err=True)
    return port, what is Found.TRACKS


def found_on(port: int) -> Found:
    """Return what answers on a port of this machine."""
    from plugin_bridge.panel.client import PanelClient
    from realtime.errors import StemsteerError

    try:
        with contextlib.closing(PanelClient(port, token="-")) as client:  # asked for one it says so
            told = client.receive()
    except StemsteerError:
        return Found.OTHER if _is_taken(port) else Found.NOTHING
    is_of_tracks = isinstance(told, dict) and "instances" in told and "player" not in told
    return Found.TRACKS if is_of_tracks else Found.OTHER


def _is_taken(port: int) -> bool:
    """Return whether anything listens on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), TAKEN_S):
        return True
    return False
