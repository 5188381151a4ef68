"""Files that appear whole or not at all, and the hash that tells one from another."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from realtime.errors import StemsteerError


@contextmanager
def atomic_write(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Give a hidden file to write; it becomes `path`, or replaces it, unless the block raises.

    Without `replace`, FileExistsError is raised if the name has been taken by then. The bytes are
    on the disk before the name is: after a crash or a power cut `path` is the old file or the new
    one. What a killed process left of the same file is removed.
    """
    remove_leftovers(path)
    hidden = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield hidden
        _flush(hidden)
        if replace:
            os.replace(hidden, path)
        else:
            name_anew(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)
    if hasattr(os, "O_DIRECTORY"):  # where a folder is a file that can be flushed
        _flush(path.parent)


def name_anew(hidden: Path, path: Path) -> None:
    """Give a file a name that is free; it may keep its old name beside it.

    Raises FileExistsError if the name is taken.
    """
    try:
        os.link(hidden, path)  # unlike a renamed file, it never replaces one
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(errno.EEXIST, "file exists", str(path)) from None
        os.replace(hidden, path)


def _flush(path: Path) -> None:
    """Have the disk hold a file, or the names in a folder."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of the file `path` when they were writing it."""
    for left, _ in leftovers(path, "part"):
        left.unlink(missing_ok=True)


def leftovers(path: Path, ending: str) -> list[tuple[Path, int]]:
    """Return the hidden files beside `path` that killed processes left, and whose they were."""
    found = []
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.{ending}"):
        pid = left.name.split(".")[-2]
        if pid.isdigit() and not _is_running(int(pid)):
            found.append((left, int(pid)))
    return found


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # asks, sends nothing
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user, or no number of a process
        return True
    return True


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits.

    Raises StemsteerError for a pipe, a device or a folder, since such may never end; OSError for a
    file that is not there or cannot be read.
    """
    if path.exists() and not path.is_file():
        raise StemsteerError(f"{path} is not a file, expected one")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
