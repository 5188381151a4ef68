"""The manifest of a catalogue: one JSON line for every song that was done or failed.

Lines are only ever appended, so that a killed process can spoil no more than its last line, which
the next one removes. The newest line of a song counts. Who has the manifest open holds a lock on
it, which the system takes back when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from plugin_bridge.cluster.songs import check_inside
from plugin_bridge.paths import open_private
from realtime.errors import StemsteerError
from realtime.json_reader import read_json_object

FILE_NAME = "manifest.jsonl"
DONE, FAILED = "done", "failed"
_LINE_BYTES = 1 << 20
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
    "float | None": (int, float, type(None)),
}


@dataclass(frozen=True)
class Output:
    """A file of stems; `path` is relative to the catalogue's output, with ``/``."""

    stem: str
    path: str
    bytes: int
    sha256: str
    peak_db: float | None = None
    rms_db: float | None = None
    clipped: int = 0


@dataclass(frozen=True)
class Record:
    """What became of a song.

    Parameters
    ----------
    options : hash of what is taken and how; the line ``"run"`` of the manifest has them in full.
    tries : how often it was begun in the run that ended it.
    seconds : time of the try that ended it.
    speed : duration of the sound over `seconds`.
    frames : samples of each channel.
    transient : why it failed may pass, so the next run tries it again.
    """

    song: str
    state: str
    input: str
    input_bytes: int = 0
    input_mtime_ns: int = 0
    input_sha256: str = ""
    options: str = ""
    model: str = ""
    model_sha256: str = ""
    tries: int = 1
    seconds: float = 0.0
    speed: float = 0.0
    sample_rate: int = 0
    frames: int = 0
    outputs: tuple[Output, ...] = ()
    error: str = ""
    transient: bool = False

    @classmethod
    def read(cls, line: str | bytes) -> Record:
        """Return the record of a JSON line.

        Raises ValueError if it is none, or names a file elsewhere than in the song's own folder.
        """
        values = read_json_object(line, max_bytes=_LINE_BYTES)
        try:
            outputs = tuple(Output(**one) for one in values.pop("outputs", ()))
            record = cls(**values, outputs=outputs)
        except TypeError:
            raise ValueError("it is not a record of a song") from None
        _check_types(record)
        check_inside(record.song)
        for output in outputs:
            _check_types(output)
            folder, _, file = output.path.rpartition("/")
            check_inside(file)
            if folder != record.song:
                raise ValueError(f"{output.path!r} is not in the folder of {record.song!r}")
        return record

    def line(self) -> str:
        """Return it as a JSON line."""
        return json_line(asdict(self))


def _check_types(read: Record | Output) -> None:
    """Raise ValueError if a field is of another type than its own."""
    for field in fields(read):
        kinds = _KINDS.get(str(field.type), (object,))
        if not isinstance(getattr(read, field.name), kinds):
            raise ValueError(f"{field.name} is not a {field.type}")


def json_line(value: Mapping[str, Any]) -> str:
    """Return a JSON object in one line; names that are not UTF-8 become escapes."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    with contextlib.suppress(UnicodeEncodeError):
        text.encode()
        return text + "\n"
    return json.dumps(value, allow_nan=False) + "\n"


def read_manifest(folder: Path) -> dict[str, Record]:
    """Return the newest record of every song; lines that are none are left out."""
    latest: dict[str, Record] = {}
    with contextlib.suppress(FileNotFoundError), open(folder / FILE_NAME, "rb") as file:
        for line in file:
            with contextlib.suppress(ValueError):
                record = Record.read(line)
                latest[record.song] = record
    return latest


class Manifest:
    """The manifest of the folder `folder`, open to append to.

    Raises
    ------
    StemsteerError if another catalogue has it open, or the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        import fcntl  # which Windows does not have

        self.path = folder / FILE_NAME
        try:
            self._fd = open_private(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise StemsteerError(
                f"{self.path} is being written by another `stemsteer catalogue`: wait for it, or "
                "choose another folder with --out"
            ) from None
        self._end_line()

    def _end_line(self) -> None:
        """End the last line, or remove it if its writer was killed within it."""
        size = os.fstat(self._fd).st_size
        tail = os.pread(self._fd, _LINE_BYTES, max(0, size - _LINE_BYTES))
        torn = tail[tail.rfind(b"\n") + 1 :]
        if not torn:
            return
        try:
            read_json_object(torn, max_bytes=_LINE_BYTES)
            self._write("\n")
        except ValueError:
            os.ftruncate(self._fd, size - len(torn))

    def append(self, record: Record) -> None:
        """Write a record; it is on the disk when this returns.

        Raises StemsteerError if the disk does not take it.
        """
        self._write(record.line())

    def append_run(self, values: Mapping[str, Any]) -> None:
        """Write what a run was asked for, beside the records."""
        self._write(json_line({"run": values}))

    def _write(self, line: str) -> None:
        rest = line.encode()
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            os.fsync(self._fd)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StemsteerError:
        return StemsteerError(f"{self.path} cannot be written: {error.strerror}")

    def close(self) -> None:
        """Let go of the file and of its lock."""
        os.close(self._fd)

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()
