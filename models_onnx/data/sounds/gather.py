"""Sounds that others publish, brought into the layout of `recordings`: kits, notes and voices.

A kit is a folder of Hydrogen (Debian's package hydrogen-drumkits has fourteen), whose drumkit.xml
names the pieces and their files. Notes are files called by their pitch, one folder an instrument,
as the packages tonejs-instrument-*-mp3 of the npm registry have them. Speech is syllables and short
words, one folder a speaker, as in Debian's package klettres-data; they are sung (`speech`).
"""

from __future__ import annotations

import csv
import itertools
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import soundfile

from models_onnx.data import audiofiles
from models_onnx.data.naming import label_of
from models_onnx.data.sounds.pitch import pitch_near
from models_onnx.data.sounds.recordings import COLUMNS
from models_onnx.data.sounds.speech import spoken_pitch, sung
from models_onnx.data.stems import RATE_HZ
from realtime.errors import StemsteerError

PIECES = (
    ("sidestick", r"stick|rim ?click"),
    ("snare", r"snare"),
    ("kick", r"kick|bass ?drum"),
    ("hihat_open", r"(hat|hh).*(op|swish)|(op|semi).*(hat|hh)"),
    ("hihat_closed", r"hat|hh"),
    ("ride", r"ride"),
    ("crash", r"crash|cymbal|splash|china"),
    ("tom", r"tom"),
)
"""Piece of a kit as the sampler calls it, and what kits call it; the first that fits counts."""
LONGEST_S = 6.0
LOUD = 0.02
"""Of the peak: what is below at the end of a sound is left out."""
FEWEST_SYLLABLES, MOST_SYLLABLES, NOTES_OF_A_PITCH = 12, 120, 3
"""Of a speaker: fewer make no singer, more are not needed; and how many notes are sung."""
NOTE = re.compile(r"([A-Ga-g])(#|s|b)?(-?\d)")
SEMITONES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
WRONG_SEMITONES = 0.6
NOTES, SYLLABLES = "a folder of notes called A3, Fs4, …", "a folder of syllables that are voiced"

Row = dict[str, object]
Sound = tuple[np.ndarray, Row]
"""A sound (2, samples), and what the index will say of it."""


class _Places:
    """Where sounds are written: a folder for each source, a file for each sound.

    Names that are taken already get a number.
    """

    def __init__(self) -> None:
        self._sources: dict[Path, Path] = {}
        self._files: set[str] = set()

    def of(self, source: Path, name: str, called: str, stem: str) -> Path:
        """Return the path of a sound of a class; `source` is called `called` to people."""
        libraries = (Path("instruments", name, text) for text in _numbered(_slug(called)))
        library = next(p for p in libraries if self._sources.setdefault(p, source) == source)
        files = (library / f"{text}.flac" for text in _numbered(stem))
        # a3 and A3 are one file where the system has no regard for case
        path = next(p for p in files if str(p).lower() not in self._files)
        self._files.add(str(path).lower())
        return path


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in itertools.count(2))


def gather(
    out: Path,
    drumkits: Sequence[Path] = (),
    notes: Sequence[Path] = (),
    speech: Sequence[Path] = (),
) -> dict[str, int]:
    """Write the sounds of folders into a new folder of recordings; return how many of each class.

    Parameters
    ----------
    drumkits : folders that hold kits of Hydrogen.
    notes : folders that hold a folder for each instrument.
    speech : folders that hold a folder for each speaker.

    Raises
    ------
    StemsteerError : no folder is given, ``out`` exists, a folder is missing, or nothing was found
        in one.
    """
    if not (drumkits or notes or speech):
        raise StemsteerError("there is nothing to gather: give --drumkits, --notes or --speech")
    if out.exists():
        raise StemsteerError(f"{out} exists: give a folder that does not")
    rows: list[Row] = []
    places = _Places()
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        for folder in drumkits:
            rows += _written(folder, _strokes(folder, places), part, "a drumkit.xml of Hydrogen")
        for folder in notes:
            rows += _written(folder, _notes(folder, places), part, NOTES)
        for folder in speech:
            rows += _written(folder, _sung(folder, places), part, SYLLABLES)
        with (part / "INDEX.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, sorted(COLUMNS), restval="")
            writer.writeheader()
            writer.writerows(rows)
        os.replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    names = [str(row["class"]) for row in rows]
    return {name: names.count(name) for name in sorted(set(names))}


def _written(folder: Path, found: Iterable[Sound], part: Path, wanted: str) -> list[Row]:
    """Write the sounds that were found in a folder; return their rows of the index."""
    if not folder.is_dir():
        raise StemsteerError(f"{folder} is not a folder: give one of drum kits or of instruments")
    rows = []
    for audio, row in found:
        row["seconds"] = round(_write(audio, part / str(row["path"])), 3)
        rows.append(row)
    if not rows:
        raise StemsteerError(f"nothing in {folder} has {wanted}")
    return rows


def _strokes(folder: Path, places: _Places) -> Iterator[Sound]:
    """Find the strokes of the kits in a folder."""
    for described in sorted(folder.rglob("drumkit.xml")):
        kit = described.parent
        pieces = [
            (_piece(name), kit / file)
            for name, files in _instruments(described)
            for file in files
            if (kit / file).is_file()
        ]
        parts = {piece.split()[0] for piece, _ in pieces}
        name = "drums" if {"kick", "snare"} <= parts else "percussion"
        for number, (piece, source) in enumerate(pieces):
            path = places.of(kit, name, kit.name, f"{number:03d}")
            row: Row = {"path": path, "kind": "note", "class": name, "dynamic": piece}
            yield audiofiles.read(source), row


def _instruments(described: Path) -> Iterator[tuple[str, list[str]]]:
    """Read what a kit calls its instruments, and their files; namespaces are of no account."""
    try:
        root = ElementTree.parse(described).getroot()
    except ElementTree.ParseError as error:
        raise StemsteerError(f"{described} is not the description of a kit: {error}") from error
    for element in root.iter():
        if _tag(element) == "instrument":
            texts = [(_tag(e), (e.text or "").strip()) for e in element.iter()]
            names = [text for tag, text in texts if tag == "name"]
            yield names[0] if names else "", [text for tag, text in texts if tag == "filename"]


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _piece(name: str) -> str:
    """Return the piece that a name tells, and the name, since a kit may have two snares."""
    piece = next((piece for piece, words in PIECES if re.search(words, name, re.I)), "")
    return f"{piece} {_slug(name)}".strip()


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "unnamed"


def _notes(folder: Path, places: _Places) -> Iterator[Sound]:
    """Find the notes in a folder of instruments."""
    for source in sorted(path for path in folder.rglob("*") if path.is_file()):
        pitch = _pitch_of_name(source.stem)
        instrument = source.relative_to(folder).parts[0]
        name = label_of(instrument.replace("-", " ")).name
        if pitch is None or source.parent == folder or name == "other":
            continue
        path = places.of(folder / instrument, name, instrument, source.stem)
        audio = audiofiles.read(source)
        yield audio, {"path": path, "kind": "note", "class": name} | _checked(audio, pitch)


def _checked(audio: np.ndarray, pitch: int) -> Row:
    """Return what the index says of the pitch of (2, samples) that should be a MIDI note."""
    heard = pitch_near(audio[0], pitch)
    wrong = heard is None or abs(heard - pitch) > WRONG_SEMITONES
    detected = "" if heard is None else round(heard, 2)
    return {"midi_note": pitch, "detected_midi": detected, "pitch_check": "no" if wrong else "ok"}


def _sung(folder: Path, places: _Places) -> Iterator[Sound]:
    """Let every speaker in a folder sing notes from a third below to an octave above the speech."""
    for speaker in sorted(path for path in folder.iterdir() if path.is_dir()):
        syllables = [
            audiofiles.read(path).mean(0)
            for path in sorted(speaker.rglob("*"))
            if path.suffix in (".ogg", ".wav", ".flac")
        ][:MOST_SYLLABLES]
        pitches = [pitch for syllable in syllables if (pitch := spoken_pitch(syllable)) is not None]
        if len(pitches) < FEWEST_SYLLABLES:
            continue
        rng = np.random.default_rng(zlib.crc32(speaker.name.encode()))
        middle = round(float(np.median(pitches)))
        for number, pitch in enumerate(np.repeat(range(middle - 4, middle + 13), NOTES_OF_A_PITCH)):
            syllable = syllables[int(rng.integers(len(syllables)))]
            note = sung(rng, syllable, int(pitch), float(rng.uniform(0.4, 2.0)))
            if note is not None:
                path = places.of(speaker, "vocals", speaker.name, f"{number:03d}")
                row: Row = {"path": path, "kind": "note", "class": "vocals"}
                held = note[np.newaxis, note.size // 3 :]
                yield np.stack([note, note]), row | _checked(held, int(pitch))


def _pitch_of_name(stem: str) -> int | None:
    """Return the MIDI note of a file called As3, C#4 or Eb2 (C4 is 60); None of another name."""
    found = NOTE.fullmatch(stem)
    if not found:
        return None
    sharp = {"#": 1, "s": 1, "b": -1}.get(found[2] or "", 0)
    return 12 * (int(found[3]) + 1) + SEMITONES[found[1].lower()] + sharp


def _write(audio: np.ndarray, target: Path) -> float:
    """Write (2, samples) as FLAC without the silence after it; return its seconds."""
    level = np.abs(audio).max(0)
    heard = np.flatnonzero(level > LOUD * level.max(initial=1e-9))
    count = min(int(heard[-1]) + 1 if heard.size else 1, round(LONGEST_S * RATE_HZ))
    audio = audio[:, :count].copy()
    fade = min(count, RATE_HZ // 50)
    audio[:, -fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    if np.array_equal(audio[0], audio[1]):
        audio = audio[:1]
    target.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(target, audio.T / max(1.0, float(np.abs(audio).max())), RATE_HZ, "PCM_16")
    return count / RATE_HZ
