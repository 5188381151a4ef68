"""The songs of a catalogue: where each one is, and the name of its folder of stems."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from plugin_bridge.control.names import is_device, name_key
from realtime.errors import StemsteerError
from realtime.json_reader import read_json_object
from realtime.separator import RESIDUAL

SUFFIXES = frozenset(
    (".wav", ".wave", ".flac", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".rf64", ".w64",
     ".ogg", ".oga", ".opus", ".mp3", ".m4a")
)  # fmt: skip
"""Endings of the files that are taken out of a folder; a list may name any file."""
_LINE_BYTES = 65_536
_MOST_BYTES = 255  # of the name of a file or a folder


@dataclass(frozen=True)
class Song:
    """A file of a catalogue; `name` is the folder of its stems, with ``/``, below the output."""

    name: str
    path: Path

    @property
    def key(self) -> str:
        """Return a name for files that belong to the song, whatever the letters of its own."""
        return hashlib.sha256(self.name.encode("utf-8", "surrogateescape")).hexdigest()[:24]


@dataclass(frozen=True)
class Found:
    """The songs that were found, and the folders that were not looked into.

    `unread` are those that cannot be read, with the reason; `links` to folders are not followed.
    """

    songs: list[Song]
    unread: Mapping[Path, str] = field(default_factory=dict)
    links: Sequence[Path] = ()


def find_songs(source: Path, out: Path) -> list[Song]:
    """Return the songs that `search` finds."""
    return search(source, out).songs


def search(source: Path, out: Path) -> Found:
    """Return the songs of a folder, or those that a list names, each with a name of its own.

    Of a folder: all audio files in it and in its folders, none that are hidden, none in `out`.
    The folder of the stems has the whole name of the file, since *song.wav* may lie beside
    *song.flac*. Of a list: see `_listed`.

    Raises
    ------
    StemsteerError if there is no song, the folder cannot be read, or two of a list have one name,
    or names that some file system takes for one.
    """
    found = Found(list(_listed(source))) if source.is_file() else _walked(source, out)
    songs = found.songs
    if not songs:
        for folder, reason in found.unread.items():
            raise StemsteerError(f"{folder} cannot be read ({reason}), and no song is elsewhere")
        raise StemsteerError(f"{source} has no songs: expected files as {', '.join(_examples())}")
    if source.is_file():
        _check_names(songs)
    return found


def likely_stems(songs: Sequence[Song]) -> list[Song]:
    """Return the songs that lie beside a residual, as the stems of an earlier render do."""
    folders = {song.path.parent for song in songs if song.path.stem == RESIDUAL}
    return [song for song in songs if song.path.parent in folders]


def _walked(folder: Path, out: Path) -> Found:
    if not folder.is_dir():
        what = "a pipe or a device" if folder.exists() else "not there"
        raise StemsteerError(f"{folder} is {what}: expected a folder of songs or a .jsonl list")
    avoided = out.resolve()
    songs, unread, links = list[Song](), dict[Path, str](), list[Path]()

    def note(error: OSError) -> None:
        unread[Path(error.filename)] = (error.strerror or str(error)).lower()

    for place, folders, files in os.walk(folder, onerror=note):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and Path(place, name).resolve() != avoided
        )
        links += (path for name in folders if (path := Path(place, name)).is_symlink())
        for file in sorted(files):
            if not file.startswith(".") and PurePath(file).suffix.lower() in SUFFIXES:
                path = Path(place, file)
                songs.append(Song(path.relative_to(folder).as_posix(), path.absolute()))
    return Found(songs, unread, links)


def _listed(file: Path) -> Iterator[Song]:
    """Yield the songs of a file of JSON lines ``{"input": PATH, "name": FOLDER}``.

    A path is relative to the list. Without a name it is the path below the list's folder, or the
    whole path of a file elsewhere, so that it does not depend on the other lines.
    """
    here = file.absolute().parent
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = read_json_object(line, max_bytes=_LINE_BYTES)
            if unknown := entry.keys() - {"input", "name"}:
                raise ValueError(f"{min(unknown)!r} is no field of a song")
            path = here / _text(entry, "input")
            inside = path.is_relative_to(here)
            usual = path.relative_to(here if inside else path.anchor).as_posix()
            name = _text(entry, "name") if "name" in entry else usual
            _check_name(name)
        except ValueError as error:
            raise StemsteerError(
                f'{file}, line {number}: {error}; expected {{"input": "song.flac"}} and, if you '
                'like, "name", a folder below the output'
            ) from None
        yield Song(name, path)


def _text(entry: dict[str, object], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{key!r} is {value!r}, not a text")
    if not _is_encodable(value):
        raise ValueError(f"{key!r} is {value!r}, which no file can be called")
    return value


def _is_encodable(name: str) -> bool:
    """Return whether the system has bytes for a name: not for half of a pair of surrogates."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def check_inside(name: str) -> None:
    """Raise ValueError for a name with ``/`` that is hidden, too long, or not below the output."""
    parts = name.split("/")
    hidden = any(not part or part.startswith(".") for part in parts)
    if hidden or "\0" in name or not _is_encodable(name):
        raise ValueError(f"the name {name!r} is no folder below the output")
    if any(len(os.fsencode(part)) > _MOST_BYTES for part in parts):
        raise ValueError(f"the name {name!r} is too long, expected {_MOST_BYTES} bytes a folder")


def _check_name(name: str) -> None:
    """Raise ValueError for a folder that is not below the output, is hidden, or is a device."""
    check_inside(name)
    if "\\" in name:
        raise ValueError(f"the name {name!r} is no folder below the output")
    if any(map(is_device, name.split("/"))):
        raise ValueError(f"the name {name!r} is that of a device of Windows")


def _check_names(songs: list[Song]) -> None:
    seen: dict[str, Song] = {}
    for song in songs:
        if (other := seen.setdefault(name_key(song.name), song)) is not song:
            raise StemsteerError(
                f"{other.path} and {song.path} have the same name to some systems, {other.name!r} "
                f'and {song.name!r}: list each file once, and give "name" to one of them'
            )


def _examples() -> tuple[str, ...]:
    return ("song.flac", "song.wav", "song.mp3")
