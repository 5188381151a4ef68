"""A panel of a surface: where it listens, by options, and what is printed of it."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.cli.console import warn
from plugin_bridge.cli.options import refuse_given
from plugin_bridge.launch import users_environment

if TYPE_CHECKING:
    from plugin_bridge.control.servers import Attended
    from plugin_bridge.control.surface import ControlSurface
    from plugin_bridge.panel.server import PanelOptions

DEFAULT_PORT = 9980  # `panel.server` has the same; to import it for `--help` would take long
PORT_HELP = "TCP port of the panel."
BIND_HELP = "Address of the panel; 0.0.0.0 for other machines, which then need the token."
TOKEN_HELP = "What other machines have to know, 8 characters or more.  \\[a random one]"
OPEN_HELP = "Open it in the browser."
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help=PORT_HELP)]
Bind = Annotated[str, typer.Option("--bind", help=BIND_HELP)]
Token = Annotated[str | None, typer.Option("--token", help=TOKEN_HELP)]
Open = Annotated[bool, typer.Option("--open", help=OPEN_HELP)]


@dataclasses.dataclass(frozen=True)
class BesidePanelOptions:
    """A panel beside other servers, by options that say whose they are.

    Raises BadParameter for options of a panel that is not asked for.
    """

    panel: Annotated[
        bool, typer.Option("--panel", help="Show it in a browser, to see and to move it there.")
    ] = False
    panel_port: Annotated[int, typer.Option(min=0, max=65_535, help=PORT_HELP)] = DEFAULT_PORT
    panel_bind: Annotated[str, typer.Option(help=BIND_HELP)] = "127.0.0.1"
    panel_token: Annotated[str | None, typer.Option(help=TOKEN_HELP)] = None
    panel_open: Annotated[bool, typer.Option("--panel-open", help=OPEN_HELP)] = False

    def __post_init__(self) -> None:
        if not self.panel:
            refuse_given(self, "it is for the panel: give --panel, too")

    def settings(self) -> PanelOptions:
        """Return them as the panel takes them."""
        return panel_settings(self.panel_bind, self.panel_port, self.panel_token)


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


@contextlib.contextmanager
def panel_server(
    surface: ControlSurface, settings: PanelOptions, open_it: bool, *beside: Attended
) -> Iterator[None]:
    """Run a panel on a thread, and what is beside it; print its address, at the end what came."""
    from plugin_bridge.control.servers import running

    server = settings.open(surface, warn)
    try:
        with running(server, warn, *beside):
            announce(settings, server.port, open_it)
            yield
    finally:
        typer.echo(server.summary(), err=True)


def announce(settings: PanelOptions, port: int, open_it: bool) -> None:
    """Print the addresses of a panel, and open it if wanted."""
    address, *more = settings.addresses(port)
    typer.echo(f"panel: {address}", err=True)
    for other in more:
        typer.echo(f"where that name is not known: {other}", err=True)
    sys.stderr.flush()
    if open_it:
        import webbrowser

        with users_environment():
            webbrowser.open(address)
