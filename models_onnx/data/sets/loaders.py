"""Folders of stems as training data: public data sets in the layouts they are published in.

========== ======================================================================================
MUSDB18    ``train/<song>.stem.mp4``: streams mix, drums, bass, other, vocals
MUSDB18-HQ ``train/<song>/{mixture,drums,bass,other,vocals}.wav``
Slakh2100  ``train/Track00001/metadata.yaml`` and ``stems/S00.flac``; redux or not
MedleyDB   ``Audio/<song>/<song>_METADATA.yaml`` and ``<song>_STEMS/<song>_STEM_01.wav``
URMP       ``Dataset/01_Jupiter_vn_vc/AuSep_1_vn_01_Jupiter.wav``
Solos      ``<Instrument>/<id>.wav``, or .mp4, .m4a, .flac: one player a file
songs      ``<song>/<stem>.wav``, any instruments; files called mix or mixture are left out
========== ======================================================================================

Of a data set with a ``train`` and a ``test`` folder training reads only the one, evaluation only
the other. Validation reads a ``validation`` folder or, where there is none, every tenth song of
``train``, which training leaves out. Name a folder to read all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import yaml

from models_onnx.data import audiofiles
from models_onnx.data.classes import ORCHESTRA_13
from models_onnx.data.naming import label_of, label_of_program
from models_onnx.data.sources import Part, Source, origin_of
from models_onnx.data.stems import REFERENCE_RMS, Label, loudness, principal_deg, split, turned
from realtime.errors import StemsteerError

SUFFIXES = {".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3", ".m4a", ".mp4"}
MIXES = {"mix", "mixture"}
UNDIVIDED = ("Audio", "Dataset")
MUSDB_STREAMS = ("mix", "drums", "bass", "other", "vocals")
URMP_CODES = {
    "vn": "violin", "va": "viola", "vc": "cello", "db": "double_bass", "fl": "flute", "ob": "oboe",
    "cl": "clarinet", "sax": "saxophone", "bn": "bassoon", "tpt": "trumpet", "hn": "horn",
    "tbn": "trombone", "tba": "tuba",
}  # fmt: skip
VALIDATED = slice(1, None, 10)
"""The songs of ``train`` that are for validation where a data set has none for it."""
SOLOS_TOGETHER = 5
"""Solos are recordings of one player: a song is one of them beside others of other classes."""
PROBES, PROBE = 6, 5 * 44_100
"""A stem is measured by so many looks of so many samples."""


@dataclass(frozen=True)
class StemFile:
    """One stem: a file, which of its audio streams, and what it is."""

    path: Path
    label: Label
    stream: int = 0


@dataclass(frozen=True)
class StemFolders:
    """Songs of a data set, read from their files when they are drawn.

    Parameters
    ----------
    layout : name of the data set's layout, see the module.
    songs : the stems of each song.
    as_recorded : whether stems keep their levels. Otherwise levels are brought to that of the
        shards.
    centred : whether a stem that stands to one side is turned to the centre, so that it can be
        placed anywhere.
    """

    layout: str
    songs: tuple[tuple[StemFile, ...], ...]
    as_recorded: bool = False
    centred: bool = True

    def __len__(self) -> int:
        return len(self.songs)

    @property
    def normalised(self) -> bool:
        """Return whether all stems have one level and stand in the centre."""
        return self.centred and not self.as_recorded

    @property
    def origin(self) -> str:
        """Return what tells these songs from any others."""
        return origin_of(stem.path for song in self.songs for stem in song)

    def sources(self, index: int) -> list[Source]:
        """Return the sources of one song.

        Raises
        ------
        StemsteerError : a file is missing, broken or not a stem.
        """
        return [
            Source(stem.label, _length(stem.path, stem.stream), partial(self._read, stem))
            for stem in self.songs[index]
        ]

    def _read(self, stem: StemFile, start: int, count: int) -> np.ndarray:
        audio = audiofiles.read(stem.path, start, count, stream=stem.stream)
        if self.centred:
            audio = turned(audio, -_measured(stem.path, stem.stream)[0])
        if self.as_recorded:
            return split(audio)
        return split(audio) * np.float32(_measured(stem.path, stem.stream)[1])


def open_stem_folders(
    folder: Path, *, part: Part = "train", as_recorded: bool = False, centred: bool = True
) -> StemFolders:
    """Open a data set, its layout told by what is in its folder; of its parts the one named.

    Raises
    ------
    StemsteerError : the folder is in none of the layouts, or lacks the part.
    """
    parts = [name for name in get_args(Part) if (folder / name).is_dir()]
    is_shared = "train" in parts and "validation" not in parts and part != "test"
    named = "train" if is_shared else part
    inner = next((folder / n for n in (named, *UNDIVIDED) if (folder / n).is_dir()), folder)
    for layout, find in _FINDERS.items():
        songs = tuple(song for song in find(inner) if len(song) > 1)
        if is_shared:
            kept = songs[VALIDATED]
            songs = kept if part == "validation" else tuple(s for s in songs if s not in kept)
        if songs:
            return StemFolders(layout, songs, as_recorded, centred)
    if parts and part not in parts:
        raise StemsteerError(
            f"{folder} has no songs for {part}, only for {' and '.join(parts)}: add a folder "
            f"{part}, or name the folder to read, as {folder / parts[0]}"
        )
    layouts = "\n".join(
        line for line in (__doc__ or "").splitlines() if "``" in line and "  " in line
    )
    raise StemsteerError(
        f"{folder} holds no songs of two stems or more in a known layout. Expected one of\n"
        f"{layouts}\n"
        "or shards made by python -m models_onnx render"
    )


@cache
def _length(path: Path, stream: int) -> int:
    return audiofiles.length(path, stream)


@cache
def _measured(path: Path, stream: int) -> tuple[float, float]:
    """Return a stem's direction and the gain to the reference level, from looks all over it."""
    spare = max(0, _length(path, stream) - PROBE)
    starts = np.linspace(0, spare, PROBES).astype(int)
    looks = [audiofiles.read(path, int(start), PROBE, stream=stream) for start in starts]
    audio = np.concatenate(looks, axis=1)
    level = loudness(split(audio))
    return principal_deg(audio), REFERENCE_RMS / level if level > 1e-6 else 1.0


def _musdb18(folder: Path) -> Iterator[tuple[StemFile, ...]]:
    for path in sorted(folder.glob("*.stem.mp4")):
        parts = list(enumerate(MUSDB_STREAMS))[1:]
        yield tuple(StemFile(path, label_of(name), stream) for stream, name in parts)


def _slakh(folder: Path) -> Iterator[tuple[StemFile, ...]]:
    for path in sorted(folder.glob("Track*/metadata.yaml")):
        stems = []
        for name, entry in sorted(yaml_stems(path).items()):
            if entry.get("audio_rendered", True):
                label = label_of_program(entry["program_num"], is_drum=entry["is_drum"])
                stems.append(StemFile(_found(path.parent / "stems", name, path), label))
        yield tuple(stems)


def _medleydb(folder: Path) -> Iterator[tuple[StemFile, ...]]:
    for path in sorted(folder.glob("*/*_METADATA.yaml")):
        song = path.name.removesuffix("_METADATA.yaml")
        stems = []
        for _, entry in sorted(yaml_stems(path, "filename").items()):
            name = Path(entry["filename"]).stem
            file = _found(path.parent / f"{song}_STEMS", name, path)
            stems.append(StemFile(file, label_of(instrument_of(entry, path))))
        yield tuple(stems)


def _urmp(folder: Path) -> Iterator[tuple[StemFile, ...]]:
    for song in sorted(p for p in folder.iterdir() if p.is_dir()):
        stems = []
        for path in sorted(song.glob("AuSep_*.wav")):
            match = re.match(r"AuSep_\d+_([a-z]+)_", path.name)
            if not match or match[1] not in URMP_CODES:
                raise StemsteerError(
                    f"{path} does not name its instrument: expected AuSep_<n>_<code>_<piece>.wav "
                    f"with one of {', '.join(URMP_CODES)}"
                )
            stems.append(StemFile(path, label_of(URMP_CODES[match[1]])))
        yield tuple(stems)


def _solos(folder: Path) -> Iterator[tuple[StemFile, ...]]:
    """Put each solo beside others, always the same ones, each of another class."""
    solos = []
    for path in sorted(folder.glob("*/*")):
        name = re.sub(r"[ _-]", "", path.parent.name).lower()
        classes = {c.replace("_", ""): c for c in ORCHESTRA_13}
        if name in classes and path.suffix.lower() in SUFFIXES:
            solos.append(StemFile(path, label_of(classes[name])))
    for number, solo in enumerate(solos):
        song = {solo.label.name: solo}
        for other in np.random.default_rng(number).permutation(len(solos)):
            song.setdefault(solos[other].label.name, solos[other])
        yield tuple(song.values())[:SOLOS_TOGETHER]


def _songs(folder: Path) -> Iterator[tuple[StemFile, ...]]:
    for song in [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]:
        files = sorted(p for p in song.iterdir() if p.suffix.lower() in SUFFIXES)
        stems = [p for p in files if p.stem.lower() not in MIXES]
        yield tuple(StemFile(path, _label_of_file(path)) for path in stems)


def _label_of_file(path: Path) -> Label:
    label = label_of(path.stem.replace("_", " "))
    return replace(label, title=f"{path.parent.name}/{path.stem}")


def yaml_stems(path: Path, *needed: str) -> dict[str, dict[str, Any]]:
    """Read the stems that a song's YAML lists, in its order: by name, a map of fields.

    Raises
    ------
    StemsteerError : the file is no such YAML, or a stem lacks one of the `needed` fields.
    """
    try:
        listed = dict(yaml.safe_load(path.read_text(encoding="utf-8"))["stems"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise StemsteerError(
            f"{path} does not list stems ({error!r}): expected YAML with a map called stems"
        ) from error
    stems = {str(name): entry for name, entry in listed.items()}
    for name, entry in stems.items():
        lacks = [f for f in needed if f not in entry] if isinstance(entry, dict) else ["all"]
        if lacks:
            raise StemsteerError(f"{path}: stem {name} lacks {lacks[0]} of its fields")
    return stems


def instrument_of(entry: dict[str, Any], path: Path) -> str:
    """Return in words what plays a stem of MedleyDB, which may name several instruments.

    Raises
    ------
    StemsteerError : it names none.
    """
    named = entry.get("instrument")
    words = [named] if isinstance(named, str) else named
    if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
        raise StemsteerError(f"{path}: the instrument of a stem is {named!r}, expected its name")
    return " ".join(words)


def _found(folder: Path, name: str, listed_in: Path) -> Path:
    for suffix in (".wav", ".flac"):
        if (folder / (name + suffix)).exists():
            return folder / (name + suffix)
    raise StemsteerError(
        f"{folder / name}.wav (or .flac) is missing, {listed_in.name} lists it: unpack the data "
        "set again, or remove the song"
    )


_FINDERS: dict[str, Callable[[Path], Iterator[tuple[StemFile, ...]]]] = {
    "MUSDB18": _musdb18,
    "Slakh2100": _slakh,
    "MedleyDB": _medleydb,
    "URMP": _urmp,
    "Solos": _solos,
    "songs": _songs,
}
