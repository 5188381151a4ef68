"""Folders of real recordings with an INDEX.csv: notes, strokes, loops, voices and song stems.

The index has a row a file; of its columns these are used: path, kind (note, loop, voice, stem),
class, midi_note, dynamic (for drums the piece), seconds, song, offset_seconds, detected_midi,
pitch_check.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from models_onnx.data import audiofiles
from models_onnx.data.classes import FAMILY_OF
from models_onnx.data.stems import RATE_HZ
from realtime.errors import StemsteerError

COLUMNS = {"path", "kind", "class", "midi_note", "dynamic", "seconds", "song", "offset_seconds",
           "detected_midi", "pitch_check"}  # fmt: skip
FEWEST_NOTES = 4
CACHED_FILES = 400


@dataclass(frozen=True)
class Recording:
    """One recorded file; ``pitch`` is a fractional MIDI note, None where it has none."""

    path: Path
    name: str
    collection: str
    pitch: float | None
    piece: str
    seconds: float
    song: str
    offset_s: float


@dataclass(frozen=True)
class Library:
    """Recorded notes of one instrument, ascending in pitch, or strokes of one kit."""

    name: str
    title: str
    recordings: tuple[Recording, ...]


class Recordings:
    """The recordings of folders, sorted by what they are good for.

    Attributes
    ----------
    instruments : class → libraries of its notes.
    kits : class (drums, percussion) → libraries of its strokes.
    loops, voices : recordings that play as they are.
    phrases : class → phrases and loops of it.
    songs : song → its aligned stems.

    Raises
    ------
    StemsteerError : there is no INDEX.csv, or it lacks a column.
    """

    def __init__(self, *folders: Path | str) -> None:
        self.instruments: dict[str, list[Library]] = {}
        self.kits: dict[str, list[Library]] = {}
        self.loops: list[Recording] = []
        self.voices: list[Recording] = []
        self.phrases: dict[str, list[Recording]] = defaultdict(list)
        self.songs: dict[str, list[Recording]] = defaultdict(list)
        for folder in folders:
            self._add(Path(folder))

    def _add(self, folder: Path) -> None:
        rows = _rows(folder)
        self.loops += [_recording(folder, row) for row in rows if row["kind"] == "loop"]
        self.voices += [_recording(folder, row) for row in rows if row["kind"] == "voice"]
        for row in rows:
            if row["kind"] in ("phrase", "loop") and row["class"] in FAMILY_OF:
                self.phrases[row["class"]].append(_recording(folder, row))
        for row in rows:
            if row["kind"] == "stem" and row["class"] in FAMILY_OF:
                self.songs[row["song"]].append(_recording(folder, row))
        for library in _libraries(folder, rows):
            pitched = library.recordings[0].pitch is not None
            shelf = self.instruments if pitched else self.kits
            if not pitched or len(library.recordings) >= FEWEST_NOTES:
                shelf.setdefault(library.name, []).append(library)


def _rows(folder: Path) -> list[dict[str, str]]:
    index = folder / "INDEX.csv"
    if not index.exists():
        raise StemsteerError(
            f"{folder} has no INDEX.csv: give the folder of recordings that has it"
        )
    with index.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = COLUMNS - set(reader.fieldnames or ())
        if missing:
            raise StemsteerError(f"{index} lacks the columns {', '.join(sorted(missing))}")
        return list(reader)


def _recording(folder: Path | str, row: dict[str, str]) -> Recording:
    try:
        return _parsed(folder, row)
    except ValueError as error:
        raise StemsteerError(f"{folder}/INDEX.csv, row of {row['path']}: {error}") from error


def _parsed(folder: Path | str, row: dict[str, str]) -> Recording:
    path = Path(folder) / row["path"]
    pitch = float(row["midi_note"]) if row["midi_note"] else None
    if pitch is not None and row["detected_midi"]:
        detected = float(row["detected_midi"])
        pitch = detected if abs(detected - pitch) < 0.6 else pitch
    return Recording(
        path=path,
        name=row["class"],
        collection="/".join(Path(row["path"]).parts[2:3]),
        pitch=pitch,
        piece=row["dynamic"],
        seconds=float(row["seconds"]),
        song=row["song"],
        offset_s=float(row["offset_seconds"] or 0.0),
    )


def _libraries(folder: Path | str, rows: list[dict[str, str]]) -> list[Library]:
    """Group notes by class and library; notes whose pitch was found wrong are left out."""
    groups: dict[tuple[str, str], list[Recording]] = defaultdict(list)
    for row in rows:
        if row["kind"] == "note" and row["pitch_check"] in ("", "ok") and row["class"] in FAMILY_OF:
            note = _recording(folder, row)
            if note.pitch is not None or note.name in ("drums", "percussion"):
                groups[note.name, note.collection].append(note)
    return [
        Library(name, title, tuple(sorted(notes, key=lambda n: (n.pitch or 0.0, str(n.path)))))
        for (name, title), notes in groups.items()
    ]


@lru_cache(maxsize=CACHED_FILES)
def sound_of(recording: Recording) -> np.ndarray:
    """Return a recording (2, samples) float32 from its first sound on, peaks at 0.5."""
    audio = audiofiles.read(recording.path)
    level = np.abs(audio).max(0)
    peak = float(level.max(initial=0.0))
    if peak < 1e-5:
        return np.zeros((2, 1), np.float32)
    first = max(0, int(np.argmax(level > 0.03 * peak)) - round(0.003 * RATE_HZ))
    sound = audio[:, first:] * np.float32(0.5 / peak)
    sound.flags.writeable = False
    return sound
