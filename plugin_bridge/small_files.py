"""Read the small files beside the sound: targets, lanes, chains, mappings, timbres."""

from __future__ import annotations

from pathlib import Path

from realtime.errors import StemsteerError


def read_small_file(path: Path, *, max_bytes: int) -> bytes:
    """Return what is in a file, of which no more than `max_bytes` are ever in memory.

    Raises
    ------
    StemsteerError for a pipe, a device or a folder, since such may never end, and for a file that
    is longer; OSError for one that is not there or cannot be read.
    """
    if path.exists() and not path.is_file():
        raise StemsteerError(f"{path} is not a file, expected one; save what it gives first")
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise StemsteerError(f"{path} is longer than {max_bytes / 1e6:.3g} MB; expected less")
    return content
