"""`stemsteer osc` and `stemsteer record`: show what controllers and DAWs send, and keep it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.cli.options import ListenOptions
from plugin_bridge.cli.panel_options import BesidePanelOptions, panel_server

if TYPE_CHECKING:
    from plugin_bridge.control.surface import ControlSurface

Targets = Annotated[str, typer.Option(help="Names of what is played, with commas between.")]


def osc(
    listen: ListenOptions,
    shown: BesidePanelOptions,
    targets: Targets = "target",
    export: Annotated[
        Path | None,
        typer.Option(help="Write the layout for TouchOSC and the pattern file for REAPER there."),
    ] = None,
) -> None:
    """Show what arrives by OSC, and what it would move; nothing is played."""
    if export is not None:
        _export(export, _names(targets))
        return
    from plugin_bridge.control.surface import MemorySurface

    class EchoSurface(MemorySurface):
        def set_value(self, instance: str, name: str, value: float) -> None:
            super().set_value(instance, name, value)
            typer.echo(f"{instance}  {name}  {value:g}")
            sys.stdout.flush()  # also into a pipe at once: it is to be watched

    surface = EchoSurface(_names(targets))
    with ended_by_interrupt(), contextlib.ExitStack() as stack:
        stack.enter_context(osc_server(surface, listen))
        if shown.panel:
            stack.enter_context(panel_server(surface, shown.settings(), shown.panel_open))
        wait_for_interrupt()


def record(
    path: Annotated[Path, typer.Argument(metavar="FILE.csv", help="File of lanes to write.")],
    listen: ListenOptions,
    targets: Targets = "target",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Keep what arrives by OSC as lanes for `stemsteer render --automation`; Ctrl-C ends it.

    Time begins with the first move. Without a move there is no file.
    """
    from plugin_bridge.automation.move_log import MoveLog
    from plugin_bridge.automation.move_recorder import MoveRecorder
    from realtime.errors import StemsteerError

    if path.suffix != ".csv":
        raise StemsteerError(f"{path}: lanes are written as .csv")
    names = _names(targets)
    log = MoveLog(path, force=force)
    try:
        log.start({})  # a folder that is not there is said before anything is moved
        with ended_by_interrupt(), osc_server(MoveRecorder(names, log), listen):
            wait_for_interrupt()
    finally:
        end = log.close if log.n_points else log.discard
        end()
    if not log.n_points:
        raise StemsteerError(
            f"nothing that moves {', '.join(names)} has arrived, so {path} is not written; name "
            "what is moved, as --targets guitar,bass, and send to the port that was said"
        )
    typer.echo(f"{log.n_points} points in {path}", err=True)


@contextlib.contextmanager
def osc_server(surface: ControlSurface, listen: ListenOptions) -> Iterator[None]:
    """Run a server of OSC; print each kind of fault once, and at the end what came in."""
    from plugin_bridge.control.servers import running

    def report(words: str) -> None:
        typer.secho(f"stemsteer: {words}", err=True, fg="yellow")

    server = listen.settings().open(surface, report)
    try:
        with running(server, report):
            typer.echo(f"listening for OSC on {listen.bind} port {server.port}", err=True)
            yield
    finally:
        typer.echo(server.summary(), err=True)


def ended_by_interrupt() -> contextlib.AbstractContextManager[None]:
    """Let Ctrl-C, or SIGTERM, end what runs within, from the first word it says."""
    return contextlib.suppress(KeyboardInterrupt)


def wait_for_interrupt() -> None:
    """Wait for Ctrl-C, or SIGTERM, within `ended_by_interrupt`."""
    while True:
        time.sleep(3600)


def _names(targets: str) -> list[str]:
    names = [name.strip() for name in targets.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"--targets is {targets!r}, expected names with commas between")
    return names


def _export(folder: Path, names: list[str]) -> None:
    from plugin_bridge.daw import reaper, touchosc

    folder.mkdir(parents=True, exist_ok=True)
    (folder / touchosc.NAME).write_bytes(touchosc.layout(names))
    (folder / reaper.NAME).write_text(reaper.pattern_file(), encoding="utf-8")
    typer.echo(f"{folder / touchosc.NAME}\n{folder / reaper.NAME}")
