"""The boundary at which errors become one line and an exit code."""

from __future__ import annotations

import contextlib
import dis
import errno
import itertools
import os
import re
import signal
import sys
import sysconfig
from types import TracebackType
from typing import Any

import typer
from typer.core import TyperGroup

from plugin_bridge.cli.console import unprinted, warn

DEBUG_VARIABLE = "STEMSTEER_DEBUG"
_OURS = ("realtime", "plugin_bridge")
_EMPTY_OPTION = re.compile("--[a-z-]+=")
_HIDDEN_NAME = re.compile(r"(?<![^/])\.([^/]+)\.[0-9]+\.part\b")  # of `atomic_write`
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_PRINTERS = ("typer", "click", "rich")
_LIBRARIES = ("site-packages", "dist-packages", sysconfig.get_paths()["stdlib"])


class ErrorBoundary(TyperGroup):
    """The group of all commands; turns what a user can cause into a line and an exit code.

    A word that is empty is refused: as a path it would be the current folder, elsewhere nothing.
    A fault of our own keeps its traceback; with STEMSTEER_DEBUG=1 every error does.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for before, word in itertools.pairwise(("", *args)):
            if not word or _EMPTY_OPTION.fullmatch(word):
                place = word or before or "the command"
                raise typer.BadParameter(
                    f"what follows {place} is empty, expected a value; leave it out, or look "
                    "whether a variable of your shell is not set"
                )
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            with contextlib.suppress(OSError):  # the terminal may be gone
                typer.echo("stemsteer: stopped", err=True)
            number = stop.args[0] if stop.args else signal.SIGINT
            raise typer.Exit(128 + number) from None  # as shells report it
        except BrokenPipeError:  # the reader of our output has left: nobody to tell
            _drop_unprinted()
            raise typer.Exit(1) from None
        except Exception as error:
            if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0") or not is_users(error):
                raise
            warn(_told(error), "red")
            _drop_unprinted()
            raise typer.Exit(1) from None


def _drop_unprinted() -> None:
    """Let go what cannot be printed: Python tries again as it ends, and complains."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _told(error: Exception) -> str:
    """Return what an error says in one line: of a file as the user calls it, and what to do."""
    from realtime.errors import one_line

    if isinstance(error, OSError) and not error.filename and _is_of_printing(error.__traceback__):
        return unprinted(error)
    if isinstance(error, MemoryError):
        return f"not enough memory: {one_line(error) or 'close something else, or ask for less'}"
    words = _HIDDEN_NAME.sub(r"\1", one_line(error))
    if isinstance(error, OSError) and error.filename and error.errno in _REFUSED:
        words += "; choose another place, or see by `ls -ld` who may read and write there"
    return words


def is_users(error: Exception) -> bool:
    """Return whether an error tells of the user's files, values or devices, not of a fault here.

    A StemsteerError, an OSError or a lack of memory always does. A ValueError does where our own
    code has raised it on purpose, by a `raise` statement: that is how a function refuses a value
    that it is given. One that an operation or a library raises by itself is a fault of ours, who
    should not have asked for it; but text that is not UTF-8 is somebody's file.
    """
    from realtime.errors import StemsteerError

    if isinstance(error, (StemsteerError, OSError, MemoryError, UnicodeDecodeError)):
        return True
    return isinstance(error, ValueError) and _is_raised_by_us(error.__traceback__)


def _is_of_printing(trace: TracebackType | None) -> bool:
    """Return whether a traceback ends in a library that prints."""
    return trace is not None and _package(_last(trace)) in _PRINTERS


def _is_raised_by_us(trace: TracebackType | None) -> bool:
    """Return whether a traceback ends at a `raise` statement outside the libraries."""
    if trace is None:
        return False
    trace = _last(trace)
    code = trace.tb_frame.f_code
    package = _package(trace)
    if package not in _OURS and any(place in code.co_filename for place in _LIBRARIES):
        return False
    return dis.opname[code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"


def _last(trace: TracebackType) -> TracebackType:
    """Return the end of a traceback, which is where an error was raised."""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _package(trace: TracebackType) -> str:
    """Return the package of the code in which an entry of a traceback is."""
    return str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
