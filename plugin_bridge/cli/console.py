"""What commands print: lines, warnings, JSON and tables, whatever is in the names they show.

Names of files, tracks and models come from outside. They are shown as they are: brackets are no
markup (rich would take ``[red]`` for a colour), and what would steer the terminal is escaped.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from plugin_bridge.control.text import printable

if TYPE_CHECKING:
    from rich.table import Table

LONGEST = 10_000


def say(words: str, *, err: bool = False) -> None:
    """Print lines."""
    typer.echo("\n".join(printable(line, LONGEST) for line in words.split("\n")), err=err)


def warn(words: str, colour: str = "yellow") -> None:
    """Print a sentence on the error stream that a user should not miss."""
    typer.secho(f"stemsteer: {printable(words, LONGEST)}", err=True, fg=colour)


def unprinted(error: OSError) -> str:
    """Return what is said of an output that takes no more, as a disk that is full."""
    return f"what was printed could not be written ({(error.strerror or str(error)).lower()})"


@contextlib.contextmanager
def printing(made: str) -> Iterator[None]:
    """Print what was done; `made` says where it is, for an output that takes no more.

    Raises StemsteerError for that; one whose reader has left raises BrokenPipeError.
    """
    from realtime.errors import StemsteerError

    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StemsteerError(f"{unprinted(error)}; {made}") from error


def warn_of_model_faults(count: int) -> None:
    """Warn that a model gave so many times no mask or no activity; of none say nothing."""
    if count:
        warn(
            f"the model gave {count} times what is no mask (not numbers, or more than 24 dB above "
            "the mix) or no activity (from 0 to 1); there its targets are the mix, or no louder "
            "than that, and their activity is bounded. Take another model"
        )


def say_json(value: Any) -> None:
    """Print a value as JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8: as an escape it is JSON, too
        text = json.dumps(value, indent=2)
    typer.echo(text)


def table_of(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    caption: str | None = None,
    markdown: bool = False,
) -> Table:
    """Return a table of cells that are shown as they are."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=box.MARKDOWN if markdown else None)
    for column in table.columns:
        column.overflow = "fold"  # what is cut cannot be read
    table.columns[0].no_wrap = True  # a name that is cut cannot be typed
    table.caption = Text(printable(caption)) if caption else None
    for row in rows:
        table.add_row(*(Text(printable(cell, LONGEST)) for cell in row))
    return table


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, markdown: bool = False
) -> None:
    """Print a table; as Markdown its lines are not broken."""
    from rich.console import Console

    Console(width=240 if markdown else None).print(table_of(headings, rows, markdown=markdown))
