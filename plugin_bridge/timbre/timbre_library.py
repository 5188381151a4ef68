"""The user's library of timbres: a folder with one small file a name.

A file is JSON: format, encoder, vector, spread, sources and made. It is read with bounds on its
size and types, since files are passed between people.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plugin_bridge.control.names import RULE, name_key, names_a_file
from plugin_bridge.small_files import read_small_file
from plugin_bridge.timbre.vector import Timbre
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError
from realtime.folders import data_folder
from realtime.json_reader import read_json_object

FORMAT = "stemsteer-timbre-1"
SUFFIX = ".timbre.json"
MAX_BYTES = 1 << 18
MAX_SIZE = 4096
"""Most components of a vector."""
_LARGEST = float(np.finfo(np.float32).max)


class TimbreLibrary:
    """Timbres by name in a folder; by default the user's own.

    A name is what names a file on any system (`names.RULE`).
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = data_folder() / "timbres" if folder is None else folder

    def names(self) -> list[str]:
        """Return the names of all timbres, sorted."""
        files = self.folder.glob(f"*{SUFFIX}") if self.folder.is_dir() else ()
        return sorted(file.name.removesuffix(SUFFIX) for file in files)

    def stamp(self, name: str) -> tuple[int, int]:
        """Return when the file of a timbre was changed, in ns, and its size; zeros if it is gone.

        A file that takes its place has another stamp.
        """
        try:
            status = self._path(name).stat()
        except OSError:
            return 0, 0
        return status.st_mtime_ns, status.st_size

    def load(self, name: str) -> Timbre:
        """Read a timbre.

        Raises
        ------
        StemsteerError if there is none of that name, or its file is not one.
        """
        return read_timbre(self._existing(name))

    def save(self, name: str, timbre: Timbre, *, replace: bool = False) -> Path:
        """Write a timbre under a name; its file appears whole, readable by the user alone.

        Raises
        ------
        StemsteerError if the name is none for a file, or is taken, unless it is to be replaced, or
        some file system takes it for that of another timbre.
        """
        if not names_a_file(name):
            raise StemsteerError(f"a timbre's name is {name!r}, expected {RULE}")
        path = self._path(name)
        alike = [other for other in self.names() if name_key(other) == name_key(name)]
        if alike and name not in alike:
            raise StemsteerError(
                f"a timbre is called {alike[0]!r} already, which is {name!r} to some systems: "
                "choose another name"
            )
        if path.exists() and not replace:
            raise StemsteerError(f"a timbre is called {name!r} already: --force replaces it")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_timbre(path, timbre)
        return path

    def remove(self, name: str) -> None:
        """Delete a timbre, or what is left of one. Raises StemsteerError if there is none."""
        self._existing(name).unlink()

    def _existing(self, name: str) -> Path:
        if name not in self.names():
            there = ", ".join(self.names()) or "none yet: `stemsteer timbres add` makes one"
            raise StemsteerError(f"no timbre is called {name!r}; there are {there}")
        return self._path(name)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"


def write_timbre(path: Path, timbre: Timbre) -> None:
    """Write the file of a timbre, whole or not at all, mode 0600."""
    content = {
        "format": FORMAT,
        "encoder": timbre.encoder,
        "vector": [float(f"{x:.9g}") for x in timbre.vector.tolist()],
        "spread": round(timbre.spread, 6),
        "sources": list(timbre.sources),
        "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    with atomic_write(path) as hidden:
        hidden.touch(mode=0o600)
        hidden.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_timbre(path: Path) -> Timbre:
    """Read the file of a timbre.

    Raises
    ------
    StemsteerError that says what is wrong with it, if it is not one.
    """
    try:
        content = read_small_file(path, max_bytes=MAX_BYTES)
        return _parsed(read_json_object(content, max_bytes=MAX_BYTES))
    except (OSError, ValueError) as error:
        raise StemsteerError(
            f"{path} is no timbre: {error}; expected a file made by `stemsteer timbres add`"
        ) from error


def _parsed(content: dict[str, Any]) -> Timbre:
    if content.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    encoder, vector = content.get("encoder"), content.get("vector")
    if not isinstance(encoder, str) or not encoder:
        raise ValueError("it does not say which encoder made it")
    if not isinstance(vector, list) or not 0 < len(vector) <= MAX_SIZE or not _numbers(vector):
        raise ValueError("its vector is not a list of numbers")
    spread, sources = content.get("spread", 0.0), content.get("sources", [])
    if not _numbers([spread]) or not 0 <= spread <= 1:
        raise ValueError(f"its spread is {spread!r}, expected 0 to 1")
    if not isinstance(sources, list) or not all(isinstance(s, str) for s in sources):
        raise ValueError("its sources are not a list of texts")
    return Timbre(np.array(vector, np.float32), encoder, float(spread), tuple(sources))


def _numbers(values: Sequence[Any]) -> bool:
    """Return whether all of them are numbers that float32 can hold."""
    return all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST
        for value in values
    )
