"""The boundary at which errors become one line and an exit code."""

from __future__ import annotations

import signal
from typing import Any

import typer
from typer.core import TyperGroup


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
            from realtime.errors import StemsteerError, one_line

            # What tells of the user's files, values or devices; all else is a fault of ours.
            if not isinstance(error, (StemsteerError, ValueError, OSError)):
                raise
            typer.secho(f"stemsteer: {one_line(error)}", err=True, fg="red")
            raise typer.Exit(1) from None
