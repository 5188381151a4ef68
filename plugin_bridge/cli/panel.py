"""`stemsteer panel`, and the panel of `live` and `serve`."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.cli.options import Force
from plugin_bridge.cli.osc import wait_for_interrupt
from plugin_bridge.cli.sounds import SoundOptions, timbres_of
from plugin_bridge.cli.targets import TargetOptions, chosen

if TYPE_CHECKING:
    from plugin_bridge.control.surface import ControlSurface
    from plugin_bridge.control.target import Target
    from plugin_bridge.live.session import LiveSession
    from plugin_bridge.panel.server import PanelOptions

DEFAULT_PORT = 9980  # `panel.server` has the same; to import it for `--help` would take long
PORT_HELP = "TCP port of the panel."
BIND_HELP = "Address of the panel; 0.0.0.0 for other machines, which then need the token."
TOKEN_HELP = "What other machines have to know, 8 characters or more.  \\[one of chance]"
OPEN_HELP = "Open it in the browser."
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help=PORT_HELP)]
Bind = Annotated[str, typer.Option("--bind", help=BIND_HELP)]
Token = Annotated[str | None, typer.Option("--token", help=TOKEN_HELP)]
Open = Annotated[bool, typer.Option("--open", help=OPEN_HELP)]


@dataclasses.dataclass(frozen=True)
class BesidePanelOptions:
    """A panel beside other servers, by options that say whose they are."""

    panel: Annotated[
        bool, typer.Option("--panel", help="Show it in a browser, to see and to move it there.")
    ] = False
    panel_port: Annotated[int, typer.Option(min=0, max=65_535, help=PORT_HELP)] = DEFAULT_PORT
    panel_bind: Annotated[str, typer.Option(help=BIND_HELP)] = "127.0.0.1"
    panel_token: Annotated[str | None, typer.Option(help=TOKEN_HELP)] = None
    panel_open: Annotated[bool, typer.Option("--panel-open", help=OPEN_HELP)] = False

    def settings(self) -> PanelOptions:
        """Return them as the panel takes them."""
        return panel_settings(self.panel_bind, self.panel_port, self.panel_token)


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
    sounds and directions are for it.
    """
    settings = panel_settings(bind, port, token)
    if path is None and open_it and is_panel(port):
        announce(settings, port, open_it)  # the one that runs: it shows the same tracks
        return
    if path is None:
        running = engine_panel(settings, open_it)
    else:
        trial = FileTrial(path, wanted, sounds, out or Path(f"{path.stem}-stems"), force)
        running = file_panel(settings, open_it, trial)
    with running:
        wait_for_interrupt()


@contextlib.contextmanager
def engine_panel(settings: PanelOptions, open_it: bool) -> Iterator[None]:
    """Run the engine's panel on a thread; print its address, and at the end what came in."""
    from plugin_bridge.control.servers import running
    from plugin_bridge.engine.observer import EngineObserver

    with contextlib.closing(EngineObserver()) as engine:
        server = settings.open(engine, _report)
        try:
            with running(server, _report, engine):
                announce(settings, server.port, open_it)
                yield
        finally:
            typer.echo(server.summary(), err=True)


@dataclasses.dataclass(frozen=True)
class FileTrial:
    """A file that is tried, and where its stems go."""

    path: Path
    wanted: TargetOptions
    sounds: SoundOptions
    folder: Path
    force: bool

    def session(self) -> LiveSession:
        """Return a session for it; a model is chosen as `live` does."""
        from plugin_bridge.files.audio_reader import AudioReader
        from plugin_bridge.live.session import LiveSession, LiveSettings

        with AudioReader(self.path) as reader:
            rate_hz = reader.sample_rate
        lanes = self.wanted.lanes(rate_hz)
        model, targets = chosen(self.wanted, self.sounds, lanes, "live", centre=True)
        timbres = timbres_of(targets, model.spec)
        settings = LiveSettings(
            targets, rate_hz, automation=lanes, chains=self.wanted.chains(), timbres=timbres
        )
        return LiveSession(model, settings)

    def write(self, surface: ControlSurface) -> str:
        """Write the stems as the controls are now; return where, in words."""
        from plugin_bridge.files.audio_reader import AudioReader
        from plugin_bridge.offline.render import RenderSettings, render

        with AudioReader(self.path) as source:
            lanes = self.wanted.lanes(source.sample_rate)
            model, targets = chosen(self.wanted, self.sounds, lanes, "offline", centre=True)
            moved = [moved_target(target, surface) for target in targets]
            timbres = timbres_of(targets, model.spec)
            settings = RenderSettings(
                moved, chains=self.wanted.chains(), timbres=timbres, force=self.force
            )
            report = render(source, model, settings, self.folder)
        names = ", ".join(Path(stem.path).name for stem in report.stems)
        return f"written to {self.folder}: {names}"


def moved_target(target: Target, surface: ControlSurface) -> Target:
    """Return a target as its controls are now."""
    from plugin_bridge.control.controls import INSTRUMENTS

    value = {name: surface.value(target.name, name) for name in surface.controls(target.name)}
    number = round(value["instrument"])
    return dataclasses.replace(
        target,
        azimuth_deg=value["azimuth"],
        width_deg=value["width"],
        instruments=(INSTRUMENTS[number],) if number else target.instruments,
        strength=value["strength"],
        morph=value["timbre_morph"],
    )


@contextlib.contextmanager
def file_panel(settings: PanelOptions, open_it: bool, trial: FileTrial) -> Iterator[None]:
    """Run the panel of a file on a thread; print its address, and at the end what came in."""
    from plugin_bridge.control.servers import running
    from plugin_bridge.live.file_player import FilePlayer
    from plugin_bridge.timbre.service import TimbreSettings

    session = trial.session()
    surface = session.surface
    with contextlib.ExitStack() as stack:
        server = settings.open(surface, _report)
        stack.callback(lambda: typer.echo(server.summary(), err=True))
        stack.enter_context(running(server, _report))
        stack.callback(TimbreSettings().open(surface, _report).stop)
        player = FilePlayer(session, trial.path, server.hear, lambda: trial.write(surface))
        stack.callback(player.close)
        server.player = player
        announce(settings, server.port, open_it)
        yield


def panel_settings(bind: str, port: int, token: str | None) -> PanelOptions:
    """Return where a panel is to listen.

    Raises StemsteerError if the packages of the panel are not there, ValueError for options that
    are none.
    """
    from realtime.errors import StemsteerError

    try:
        from plugin_bridge.panel.server import PanelOptions
    except ModuleNotFoundError as error:
        raise StemsteerError(
            f"the panel needs {error.name}: pip install 'stemsteer[panel]'"
        ) from error
    return PanelOptions.with_token(bind, port, token)


def is_panel(port: int) -> bool:
    """Return whether a panel runs at a port of this machine."""
    from plugin_bridge.panel.client import PanelClient
    from realtime.errors import StemsteerError

    try:
        PanelClient(port).close()
    except StemsteerError:
        return False
    return True


def announce(settings: PanelOptions, port: int, open_it: bool) -> None:
    """Print the address of a panel, and open it if wanted."""
    address = settings.address(port)
    typer.echo(f"panel: {address}", err=True)
    sys.stderr.flush()
    if open_it:
        import webbrowser

        webbrowser.open(address)


def _report(words: str) -> None:
    typer.secho(f"stemsteer: {words}", err=True, fg="yellow")
