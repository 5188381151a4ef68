"""`stemsteer panel`, and the panel of `serve`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.cli.file_trial import FileTrial, file_panel
from plugin_bridge.cli.options import Force
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
from plugin_bridge.cli.sounds import SoundOptions
from plugin_bridge.cli.targets import TargetOptions

if TYPE_CHECKING:
    from plugin_bridge.panel.server import PanelOptions


def panel(
    wanted: TargetOptions,
    sounds: SoundOptions,
    path: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Audio file to try.  \\[the tracks]")
    ] = None,
    port: Port = DEFAULT_PORT,
    bind: Bind = "127.0.0.1",
    token: Token = None,
    open_it: Open = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the stems of FILE.  [<its name>-stems]")
    ] = None,
    force: Force = False,
) -> None:
    """Show the tracks of the engine in a browser, or a file, and move them there; Ctrl-C ends it.

    It may be started before the engine, and stays when that is started anew. A file is played and
    heard in the browser, and its stems can be written as the handles are then; the options of
    sounds and directions are for it. `stemsteer render FILE --panel` does the same, with all
    options of how stems are written.
    """
    settings = panel_settings(bind, port, token)
    if path is None and open_it and is_panel(port):
        announce(settings, port, open_it)  # the one that runs: it shows the same tracks
        return
    if path is None:
        running = engine_panel(settings, open_it)
    else:
        options = RenderOptions(force=force)
        trial = FileTrial(path, wanted, sounds, options, stems_folder(path, out))
        running = file_panel(settings, open_it, trial)
    with ended_by_interrupt(), running:
        wait_for_interrupt()


@contextlib.contextmanager
def engine_panel(settings: PanelOptions, open_it: bool) -> Iterator[None]:
    """Run the engine's panel; see `panel_server`."""
    from plugin_bridge.engine.observer import EngineObserver

    with (
        contextlib.closing(EngineObserver()) as engine,
        panel_server(engine, settings, open_it, engine),
    ):
        yield


def is_panel(port: int) -> bool:
    """Return whether a panel runs at a port of this machine."""
    from plugin_bridge.panel.client import PanelClient
    from realtime.errors import StemsteerError

    try:
        PanelClient(port).close()
    except StemsteerError:
        return False
    return True
