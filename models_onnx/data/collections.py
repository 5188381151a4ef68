"""Scenes to judge separation on: stems of songs, panned by a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from models_onnx.data.mixer import Mixing, draw
from models_onnx.data.sets.shards import INDEX, Shards
from models_onnx.data.sources import Collection, Source
from models_onnx.data.stems import RATE_HZ, Label, split
from realtime.errors import StemsteerError

Floats = NDArray[np.float32]
AUDIO = {".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3"}
NOT_STEMS = {"mix", "mixture"}
AUDIBLE_DB = -20.0
"""A target is judged when it is louder than this against its mixture."""
ALONE_DB = -60.0
"""Where the rest is quieter than this there is nothing to take it from."""


@dataclass(frozen=True)
class EvaluationScene:
    """A mixture (2, samples), its images (sources, 2, samples), their directions and names."""

    mixture: Floats
    images: Floats
    azimuth_deg: Floats
    names: tuple[str, ...]

    def targets(self) -> list[int]:
        """Sources that are loud enough to be judged, and not alone."""
        power, mixture = np.square(self.images).sum((1, 2)), np.square(self.mixture).sum()
        rest = np.square(self.mixture - self.images).sum((1, 2))
        audible = power > 10 ** (AUDIBLE_DB / 10) * mixture
        return [int(k) for k in np.flatnonzero(audible & (rest > 10 ** (ALONE_DB / 10) * mixture))]

    def nearest_deg(self, source: int) -> float:
        """Angle between a source and the nearest other one; 90 where there is none."""
        others = np.delete(self.azimuth_deg, source)
        return float(np.abs(others - self.azimuth_deg[source]).min(initial=90.0))


class StemFolders:
    """Songs as folders of audio files, one file a stem; files called mix or mixture are not stems.

    Stems of two channels become one sound in the middle and what differs between the sides, see
    `models_onnx.data.stems.split`.

    Raises
    ------
    StemsteerError : no folder has two stems, a stem cannot be read, is not at 44.1 kHz, has more
        than two channels or samples that are no numbers.
    """

    def __init__(self, folder: Path) -> None:
        folders = [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]
        self._songs = [files for f in folders if len(files := _stem_files(f)) > 1]
        if not self._songs:
            raise StemsteerError(
                f"{folder} holds no songs: expected <song>/<stem>.wav with two stems or more, or "
                "shards made by python -m models_onnx render"
            )

    def __len__(self) -> int:
        return len(self._songs)

    def sources(self, index: int) -> list[Source]:
        """The stems of one song."""
        return [_source(file) for file in self._songs[index]]


def _stem_files(folder: Path) -> list[Path]:
    files = [p for p in folder.iterdir() if p.suffix.lower() in AUDIO]
    return sorted(p for p in files if p.stem.lower() not in NOT_STEMS)


def _source(file: Path) -> Source:
    try:
        audio, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise StemsteerError(f"cannot read {file}: {error}; remove it or make it again") from error
    if rate_hz != RATE_HZ or audio.shape[1] > 2:
        raise StemsteerError(
            f"{file} has {audio.shape[1]} channels at {rate_hz} Hz, expected one or two at "
            f"{RATE_HZ}: convert it first"
        )
    if not np.isfinite(audio).all():
        raise StemsteerError(f"{file} has samples that are no numbers (NaN): make it again")
    stem = split(np.broadcast_to(audio.T, (2, len(audio))))
    label = Label(f"{file.parent.name}/{file.stem}", "")
    return Source(label, stem.shape[1], partial(_cut, stem))


def _cut(stem: Floats, start: int, count: int) -> Floats:
    return stem[:, start : start + count]


def open_songs(folder: Path) -> Collection:
    """Shards of the renderer, or folders of stems. Raises StemsteerError if it is neither."""
    if not folder.is_dir():
        raise StemsteerError(f"{folder} is not a folder: give one of shards or of stems")
    return Shards(folder) if (folder / INDEX).exists() else StemFolders(folder)


def scenes(
    songs: Collection, count: int, seconds: float, *, keep_width: bool, seed: int = 0
) -> Iterator[EvaluationScene]:
    """Draw `count` scenes of 2 to 5 sources of one song, in directions uniform over ±45°.

    Parameters
    ----------
    keep_width : whether a stem keeps what differs between its two sides, reverberation for
        instance, around its new direction; otherwise it is a point.
    """
    mixing = Mixing(
        sources=(2, 5), rate=0.0, silent=0.0, near=0.0, centre=0.0, balance=0.0,
        wet=(1.0, 1.0), dry=0.0 if keep_width else 1.0,
    )  # fmt: skip
    if isinstance(songs, StemFolders):
        mixing = replace(mixing, gain_db=(-3.0, 3.0))  # about the levels of the real mix
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        scene = draw(rng, songs.sources(number % len(songs)), seconds, mixing=mixing)
        yield EvaluationScene(scene.mixture, scene.images, scene.azimuth_deg, scene.classes)
