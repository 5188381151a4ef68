"""Names of targets, which become names of files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from realtime.separator import RESIDUAL

_USABLE = re.compile(r"\w[\w .+()-]*(?<![. ])")
_NOT_USABLE = re.compile(r"[^\w .+()-]+")
_DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}
_MOST_BYTES = (
    200  # a file name holds 255, with what is in front of it and behind it while it is made
)
RULE = (
    f"up to {_MOST_BYTES} bytes of letters, digits, spaces and . + - ( ), no space or dot at the "
    "end, and no device of Windows as CON: it becomes the name of a file"
)
"""What names a file on any system, in words."""


def is_usable(name: str) -> bool:
    """Return whether a stem can be called by this name."""
    return names_a_file(name) and name_key(name) != RESIDUAL


def names_a_file(name: str) -> bool:
    """Return whether a file on any system can be called by this name; `RULE` says it in words."""
    return (
        bool(_USABLE.fullmatch(unicodedata.normalize("NFC", name)))
        and not is_device(name)
        and len(name.encode(errors="replace")) <= _MOST_BYTES
    )


def is_device(name: str) -> bool:
    """Return whether Windows takes a name for that of a device, whatever its ending."""
    return name_key(name).partition(".")[0].strip() in _DEVICES


def name_key(name: str) -> str:
    """Return what is equal for names that some file systems take for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def usable_name(name: str, taken: Collection[str], otherwise: str) -> str:
    """Return a usable name that is near to `name` and not among `taken`.

    Parameters
    ----------
    taken : keys (`name_key`) of the names that there are.
    otherwise : the name where nothing of `name` is left.
    """
    composed = unicodedata.normalize("NFC", name)
    words = _NOT_USABLE.sub("_", composed)
    words = words if words == composed else words.strip("_")
    words = words.lstrip(" .+()-_" if not _USABLE.match(words) else "")
    words = words[: _MOST_BYTES // 4].strip(" .")  # a letter has at most four bytes
    if not words:
        words = otherwise
    if not is_usable(words):
        words = f"{words}_"
    numbered, count = words, 1
    while name_key(numbered) in taken:
        count += 1
        numbered = f"{words} {count}"
    return numbered
