"""The command `stemsteer`: a table of contents, and the door at which errors become one line.

Every command is a plain function in `plugin_bridge.commands`; what is slow to import (numpy,
onnxruntime, pedalboard, matplotlib) is imported inside it, so that `--help` answers at once.
"""

from __future__ import annotations

import importlib.metadata
import signal
import sys
from typing import Annotated, Any

try:
    import typer
    from typer.core import TyperGroup

    from plugin_bridge.cli import doctor, engine, live, models, plugin
    from plugin_bridge.cli import osc as control
    from plugin_bridge.cli import render as separate
    from plugin_bridge.launch import RUN_MODULE, run_module
except KeyboardInterrupt:  # Ctrl-C before the door stands
    print("stemsteer: stopped", file=sys.stderr)
    sys.exit(128 + signal.SIGINT)


class ErrorBoundary(TyperGroup):
    """The group of all commands; turns what a user can cause into a line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            typer.echo("stemsteer: stopped", err=True)
            number = stop.args[0] if stop.args else signal.SIGINT
            raise typer.Exit(128 + number) from None  # as shells report it
        except BrokenPipeError:  # the reader of our output has left: nobody to tell
            raise typer.Exit(1) from None
        except Exception as error:
            if not _is_users(error):
                raise
            typer.secho(f"stemsteer: {_sentence(error)}", err=True, fg="red")
            raise typer.Exit(1) from None


def _is_users(error: Exception) -> bool:
    """Whether an error tells of the user's files, values or devices, not of a fault here."""
    from realtime.errors import StemsteerError

    return isinstance(error, (StemsteerError, ValueError, OSError))


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror.lower()}"
    return " ".join(str(error).split())


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stemsteer {importlib.metadata.version('stemsteer')}")
        raise typer.Exit


app = typer.Typer(
    cls=ErrorBoundary, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.callback()
def stemsteer(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Point at a sound in a stereo mix, by where it is, and have it alone."""


app.command()(separate.render)
app.command()(separate.scan)
app.command()(models.models)
app.command()(models.bench)
app.command()(doctor.doctor)
app.command()(engine.serve)
app.command()(engine.status)
app.add_typer(plugin.plugin, name="plugin")
app.command()(control.osc)
app.command()(control.record)
app.command()(live.live)


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    if getattr(sys, "frozen", False):
        import multiprocessing

        multiprocessing.freeze_support()
        if sys.argv[1:2] == [RUN_MODULE]:  # it was started as a process of our own
            return run_module(sys.argv[2:])
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except KeyboardInterrupt:  # before a command began
        sys.exit(128 + signal.SIGINT)


def _terminate(number: int, _: object) -> None:
    """Stop as Ctrl-C does, so that nothing half-done is left."""
    raise KeyboardInterrupt(number)
