"""The command `stemsteer`: a table of its commands.

Every command is a plain function in this folder, with its options grouped in dataclasses; what is
slow to import (numpy, onnxruntime, pedalboard, matplotlib) is imported inside it, so that
`--help` answers at once.
"""

from __future__ import annotations

import importlib.metadata
import signal
import sys
from collections.abc import Callable
from typing import Annotated

try:
    import typer
    from typer.core import TyperCommand

    from plugin_bridge.cli import (
        bench,
        catalogue,
        doctor,
        engine,
        live,
        models,
        osc,
        panel,
        plugin,
        render,
        scan,
        timbres,
    )
    from plugin_bridge.cli.errors import ErrorBoundary
    from plugin_bridge.cli.options import OneFileCommand, grouped
    from plugin_bridge.launch import RUN_MODULE, ending_signals, is_frozen, run_module
except KeyboardInterrupt:  # Ctrl-C before the boundary of errors is there
    print("stemsteer: stopped", file=sys.stderr)
    sys.exit(128 + signal.SIGINT)


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
    """Point at a sound in a stereo mix, by where it is or what it is, and have it alone."""


def _add(*commands: Callable[..., None], cls: type[TyperCommand] | None = None) -> None:
    for command in commands:
        app.command(cls=cls)(grouped(command))


_add(render.render, scan.scan, cls=OneFileCommand)
_add(catalogue.catalogue)
app.add_typer(models.models, name="models")
_add(bench.bench, doctor.doctor)
_add(engine.serve, engine.status)
app.add_typer(plugin.plugin, name="plugin")
app.add_typer(timbres.timbres, name="timbres")
_add(osc.osc, osc.record, live.live, panel.panel)


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    if is_frozen():
        import multiprocessing

        multiprocessing.freeze_support()
        if sys.argv[1:2] == [RUN_MODULE]:  # it was started as a process of our own
            return run_module(sys.argv[2:])
    for number in ending_signals():
        signal.signal(number, _terminate)
    try:
        app()
    except KeyboardInterrupt:  # before a command began
        sys.exit(128 + signal.SIGINT)


def _terminate(number: int, _: object) -> None:
    """Stop by an exception, so that nothing half-done is left."""
    raise KeyboardInterrupt(number)
