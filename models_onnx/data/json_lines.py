"""Files with a line of JSON for each of many things, which grow while they are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from realtime.atomic import atomic_write
from realtime.errors import StemsteerError

T = TypeVar("T")


def whole_lines(path: Path) -> list[str]:
    """Return the lines of a file; a last one that was cut off in writing is removed from it."""
    if not path.exists():
        return []
    whole, _, cut_off = path.read_text().rpartition("\n")
    if cut_off:
        with atomic_write(path) as part:
            part.write_text(whole + "\n" if whole else "")
    return whole.splitlines()


def parsed(
    path: Path, lines: Sequence[str], parse: Callable[[Any], T], wrong: str, remedy: str
) -> list[T]:
    """Return what `parse` makes of the lines of a file.

    Parameters
    ----------
    parse : takes the value of a line, and raises ValueError, KeyError or TypeError for a wrong one.
    wrong, remedy : what is said of such a line, and what to do.

    Raises
    ------
    StemsteerError : a line is not JSON, or a wrong one.
    """
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(parse(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise StemsteerError(f"{path}, line {number} {wrong} ({error!r}): {remedy}") from error
    return found
