"""Rendered songs on disk, read through memory maps, also while rendering goes on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models_onnx.data.classes import ACCOMPANIMENT, FAMILY_OF
from models_onnx.data.json_lines import parsed
from models_onnx.data.sources import Source, origin_of
from models_onnx.data.stems import RATE_HZ, Label
from realtime.errors import StemsteerError

INDEX = "index.jsonl"
FULL_SCALE = 32767.0


def entries(index: Path, lines: Sequence[str]) -> list[dict[str, Any]]:
    """Return the songs of the lines of an index.

    Raises
    ------
    StemsteerError : a line is not that of a song, or a stem of it has no class that is known.
    """
    return parsed(index, lines, _song, "is no song", "delete the line and render again")


def _song(line: dict[str, Any]) -> dict[str, Any]:
    stems = list(line["stems"])
    for stem in stems:
        if stem["class"] not in FAMILY_OF and stem["class"] != ACCOMPANIMENT:
            raise ValueError(f"no class {stem['class']!r}")
        if not isinstance(stem["role"], str):
            raise TypeError(f"the role {stem['role']!r} is no text")
        float(stem.get("weight", 1.0))
    if not isinstance(line["file"], str) or not isinstance(line.get("seed", 0), int):
        raise TypeError("the file is no text, or the seed no whole number")
    return {**line, "samples": int(line["samples"]), "stems": stems}


class Shards:
    """A folder made by ``python -m models_onnx render`` or ``teach``.

    Raises
    ------
    StemsteerError : the folder has no index, or the index has no song yet.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.songs: list[dict[str, Any]] = []
        self.refresh()

    def refresh(self) -> int:
        """Read the index again, which may have grown; return the number of songs."""
        index = self.folder / INDEX
        if not index.exists():
            raise StemsteerError(
                f"{self.folder} holds no shards (no {INDEX}): make some with "
                f"python -m models_onnx render --hours 0.1 --out {self.folder}"
            )
        lines = index.read_text().split("\n")[:-1]  # an unfinished last line is left for later
        self.songs = entries(index, lines)
        if not self.songs:
            raise StemsteerError(f"{index} is empty: wait for the first song, or render again")
        return len(self.songs)

    def __len__(self) -> int:
        return len(self.songs)

    @property
    def normalised(self) -> bool:
        """Return True: every stem is stored at the reference level, in the centre."""
        return True

    @property
    def origin(self) -> str:
        """Return what tells these songs from any others."""
        return origin_of(self.folder / song["file"] for song in self.songs)

    @property
    def hours(self) -> float:
        """Return the duration of all songs, hours."""
        return sum(song["samples"] for song in self.songs) / RATE_HZ / 3600

    def song(self, index: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the stems (stems, 3, samples) float32 of a song, and its line of the index."""
        info = self.songs[index]
        return self._map(info).astype(np.float32) / np.float32(FULL_SCALE), info

    def sources(self, index: int) -> list[Source]:
        """Return the stems of a song as sources that read only what they are asked for."""
        info = self.songs[index]
        stored = self._map(info)
        return [
            Source(_label(entry), info["samples"], partial(_read, stored[number]), _weight(entry))
            for number, entry in enumerate(info["stems"])
        ]

    def _map(self, info: dict[str, Any]) -> np.ndarray:
        path = self.folder / info["file"]
        try:
            stored = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise StemsteerError(
                f"cannot read {path} ({error}): delete its line in {INDEX} and render again"
            ) from error
        wanted = (len(info["stems"]), 3, info["samples"])
        if stored.shape != wanted or stored.dtype != np.int16:
            raise StemsteerError(
                f"{path} holds {stored.dtype} {stored.shape}, its index says int16 {wanted}: "
                f"delete its line in {INDEX} and render again"
            )
        return stored


def _label(entry: dict[str, Any]) -> Label:
    origin = entry.get("soundfont") or entry.get("source", "")
    name = entry["class"]
    family = "other" if name == ACCOMPANIMENT else FAMILY_OF[name]
    return Label(name, family, entry["role"], origin)


def _weight(entry: dict[str, Any]) -> float:
    weight = float(entry.get("weight", 1.0))
    if not 0 < weight <= 1:
        raise StemsteerError(f"a stem in {INDEX} has the weight {weight}, expected above 0, to 1")
    return weight


def _read(stored: np.ndarray, start: int, count: int) -> np.ndarray:
    return stored[:, start : start + count].astype(np.float32) / np.float32(FULL_SCALE)
