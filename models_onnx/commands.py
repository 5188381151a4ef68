"""What the commands share: an error that a user can cause ends in one line, not a traceback."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import typer

from realtime.errors import StemsteerError, one_line


def app(command: Callable[..., None]) -> typer.Typer:
    """Return the command line of one function."""
    found = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    found.command()(guarded(command))
    return found


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command: errors of the user's files, values and devices are printed, and exit with 1.

    Others are faults of ours and keep their traceback.
    """

    @wraps(command)
    def guard(*values: object, **options: object) -> None:
        try:
            command(*values, **options)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            raise typer.Exit(128 + signal.SIGINT) from None  # as shells report it
        except (StemsteerError, OSError) as error:
            print(f"error: {one_line(error)}", file=sys.stderr)
            raise typer.Exit(1) from None
        except ImportError as error:
            print(
                f"error: {error}. Install the training extra (pip install -e '.[train]') and, for "
                "rendering, the Debian package libfluidsynth3",
                file=sys.stderr,
            )
            raise typer.Exit(1) from None

    return guard


def claim(*files: Path, force: bool) -> None:
    """Make the folders of files that are to be written.

    Raises
    ------
    StemsteerError : a file is there already, and `force` does not say that it may be replaced.
    """
    for file in files:
        if file.exists() and not force:
            raise StemsteerError(f"{file} is there already: give another --out, or --force")
        file.parent.mkdir(parents=True, exist_ok=True)


def named(out: Path) -> Path:
    """Return a path beside whose name others are made.

    Raises
    ------
    StemsteerError : it has no name, as ``.`` and ``/``.
    """
    if out.name in ("", ".."):
        raise StemsteerError(f"--out {out}: expected the name of a file")
    return out
