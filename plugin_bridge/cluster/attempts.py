"""What a worker leaves on the disk about a song, so that its end, however sudden, tells something.

A try begins with an empty file. It is marked when the try ends, so an empty file beside which
nobody works means that the process was killed, and one with a traceback that the watchdog ended it.
The record of a song that is done is kept until it is in the manifest: a worker that dies between
the two takes no work with it. Before files of a song have their names it is noted which ones those
are, so that a later try replaces them and none of somebody else. The folder is on the disk of the
stems, which all workers share.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from plugin_bridge.cluster.manifest import Record
from realtime.atomic import atomic_write

FOLDER = ".catalogue"
_ENDED = b"ended"
_STOP = "stop"
_RESULT = "result"
_NAMED = "named"


class Attempts:
    """The tries of one song.

    Parameters
    ----------
    folder : `FOLDER` of the catalogue.
    key : of the song.
    run : of the catalogue; kills in earlier runs say nothing about the song.
    """

    def __init__(self, folder: Path, key: str, run: str) -> None:
        self.folder, self._key, self._run = folder, key, run

    def begin(self) -> Path:
        """Begin a try; return the file that tells how it ends."""
        number = len(self._tries()) + 1
        path = self.folder / f"{self._key}.{self._run}.{number}"
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        return path

    def end(self, attempt: Path) -> None:
        """Mark a try as ended by itself."""
        attempt.write_bytes(_ENDED)

    @property
    def begun(self) -> int:
        """Return how many tries of this run were begun."""
        return len(self._tries())

    @property
    def killed(self) -> int:
        """Return how many tries of this run ended with their process, before `begin`."""
        return sum(not path.stat().st_size for path in self._tries())

    @property
    def timed_out(self) -> bool:
        """Return whether the watchdog has ended a try of this run."""
        return any(path.read_bytes() not in (b"", _ENDED) for path in self._tries())

    def note_named(self, hidden: Mapping[Path, Path]) -> None:
        """Note which files are about to have names, for when the process ends meanwhile."""
        noted = self._named | {_words_of(path.name, file) for path, file in hidden.items()}
        with atomic_write(self._path_of_named) as written:
            written.write_text("".join(f"{words}\n" for words in sorted(noted)), encoding="utf-8")

    @property
    def has_named(self) -> bool:
        """Return whether any run may have given files their names."""
        return bool(self._named)

    def is_named(self, path: Path) -> bool:
        """Return whether a file of the song is as a try of any run has named it."""
        return _words_of(path.name, path) in self._named

    @property
    def _path_of_named(self) -> Path:
        return self.folder / f"{self._key}.{_NAMED}"

    @property
    def _named(self) -> frozenset[str]:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return frozenset(self._path_of_named.read_text(encoding="utf-8").splitlines())
        return frozenset()

    def keep(self, record: Record) -> None:
        """Keep the record of a song that is done."""
        with atomic_write(self.folder / f"{self._key}.{_RESULT}") as hidden:
            hidden.write_text(record.line(), encoding="utf-8")

    @property
    def kept(self) -> Record | None:
        """Return the record of a song that is done and not in the manifest."""
        return _read(self.folder / f"{self._key}.{_RESULT}")

    def forget(self) -> None:
        """Remove all that was left; the song is in the manifest."""
        for pattern in (f"{self._key}.*", f".{self._key}.*"):  # also what `keep` left half written
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)

    def _tries(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self._key}.{self._run}.*"))


def _words_of(name: str, file: Path) -> str:
    """Return what tells a file from another one of its name, which it keeps when it is named."""
    stat = file.stat()
    return f"{name} {stat.st_size} {stat.st_mtime_ns}"


def kept_records(folder: Path) -> list[Record]:
    """Return the records that a killed catalogue did not bring into its manifest."""
    found = [_read(path) for path in sorted(folder.glob(f"*.{_RESULT}"))]
    return [record for record in found if record is not None]


def _read(path: Path) -> Record | None:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return Record.read(path.read_bytes())
    return None


def ask_to_stop(folder: Path) -> None:
    """Ask all workers to leave what they are at."""
    (folder / _STOP).touch()


def is_stopped(folder: Path) -> bool:
    """Return whether the workers are asked to leave what they are at."""
    return (folder / _STOP).exists()


def prepare_folder(folder: Path) -> None:
    """Make the folder of tries, or make it ready for a new run."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _STOP).unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Remove the folder of tries, unless something of a song is in it."""
    (folder / _STOP).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
