"""Scenes to judge separation by timbre on: real songs as they are, and scenes of made ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import yaml
from numpy.typing import NDArray

from models_onnx.data import production
from models_onnx.data.mixer import Mixing, draw
from models_onnx.data.naming import label_of
from models_onnx.data.sets.shards import Shards
from models_onnx.data.sources import Source
from models_onnx.data.stems import RATE_HZ, image, principal_deg
from realtime.errors import StemsteerError

Floats = NDArray[np.float32]
CLIP_S = 3.0
AUDIBLE_DB, ALONE_DB = -20.0, -60.0
TRIES = 12


@dataclass(frozen=True)
class TimbreScene:
    """A mixture (2, samples) and its classes: images (classes, 2, samples) that sum to it, or to
    what it was before a codec.

    clip : gives an example of a class, (2, samples), never of this scene, or None if there is none;
        the same number, the same example.
    """

    name: str
    mixture: Floats
    classes: tuple[str, ...]
    images: Floats
    clip: Callable[[str, int], Floats | None]

    def judged(self) -> list[int]:
        """Return the classes that are loud enough to be judged, and not alone."""
        total = self.images.sum(0)  # what a codec has added to the mixture is no class
        power, mixture = np.square(self.images).sum((1, 2)), np.square(total).sum()
        rest = np.square(total - self.images).sum((1, 2))
        audible = power > 10 ** (AUDIBLE_DB / 10) * mixture
        return [int(k) for k in np.flatnonzero(audible & (rest > 10 ** (ALONE_DB / 10) * mixture))]

    def azimuth_deg(self, index: int) -> float:
        """Return the strongest direction of a class, degrees."""
        return principal_deg(self.images[index])


def real_songs(folder: Path) -> list[TimbreScene]:
    """Read songs with METADATA.yaml of MedleyDB and stem_01.flac …: whole, the sum of their stems.

    Raises StemsteerError if there are none, or a stem is missing.
    """
    files = sorted(folder.glob("*/METADATA.yaml"))
    if not files:
        raise StemsteerError(f"{folder} has no <song>/METADATA.yaml beside its stem_01.flac …")
    songs = {file.parent.name: _stems_by_class(file) for file in files}
    scenes = []
    for name, stems in songs.items():
        others = [s for n, s in songs.items() if n != name]
        images = np.stack(list(stems.values()))
        clip = _other_songs(others)
        scenes.append(TimbreScene(name, images.sum(0), tuple(stems), images, clip))
    return scenes


def _stems_by_class(file: Path) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for number, stem in yaml.safe_load(file.read_text())["stems"].items():
        path = file.parent / f"stem_{number[1:]}.flac"
        try:
            audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise StemsteerError(f"cannot read {path}: {error}") from error
        if rate_hz != RATE_HZ:
            raise StemsteerError(f"{path} is at {rate_hz} Hz, expected {RATE_HZ}")
        both = np.ascontiguousarray(np.broadcast_to(audio.T, (2, len(audio))))
        name = label_of(stem["instrument"]).name
        found[name] = found[name] + both if name in found else both
    return found


def _other_songs(songs: Sequence[dict[str, Floats]]) -> Callable[[str, int], Floats | None]:
    def clip(name: str, number: int) -> Floats | None:
        able = [song[name] for song in songs if name in song]
        if not able:
            return None
        rng = np.random.default_rng([number, len(name)])
        audio = able[number % len(able)]
        return _loudest(rng, lambda at, n: audio[:, at : at + n], audio.shape[1])

    return clip


def _loudest(
    rng: np.random.Generator, read: Callable[[int, int], Floats], samples: int
) -> Floats | None:
    """Return the loudest of a few stretches of `CLIP_S`; None where nothing sounds."""
    count = min(samples, round(CLIP_S * RATE_HZ))
    starts = rng.integers(0, samples - count + 1, 4)
    clips = [read(int(at), count) for at in starts]
    best = max(clips, key=lambda c: float(np.square(c).sum()))
    return best if np.square(best).mean() > 1e-7 else None


def made_scenes(
    folder: Path, count: int, seconds: float, *, produced: bool, seed: int = 0
) -> list[TimbreScene]:
    """Scenes of songs of the renderer, always the same for a seed, mixed as productions are or
    spread out.
    """
    shards = Shards(folder)
    by_class: dict[str, list[tuple[int, int]]] = {}
    for song, info in enumerate(shards.songs):
        for k, stem in enumerate(info["stems"]):
            by_class.setdefault(stem["class"], []).append((song, k))
    scenes: list[TimbreScene] = []
    for number in range(count * TRIES):
        if len(scenes) == count:
            break
        rng = np.random.default_rng([seed, number])
        song = int(rng.integers(len(shards)))
        scene = draw(
            rng,
            shards.sources(song),
            seconds,
            mixing=Mixing(sources=(2, 6), rate=0.0, silent=0.0),
            seats=production.seats if produced else None,
            finish=production.finish if produced else None,
        )
        names = tuple(dict.fromkeys(scene.classes))
        if len(names) < 2:
            continue
        images = np.stack(
            [scene.images[[c == name for c in scene.classes]].sum(0) for name in names]
        )
        clip = _other_shards(shards, by_class, song)
        scenes.append(TimbreScene(f"{folder.name} {number}", scene.mixture, names, images, clip))
    return scenes


def _other_shards(
    shards: Shards, by_class: dict[str, list[tuple[int, int]]], song: int
) -> Callable[[str, int], Floats | None]:
    def clip(name: str, number: int) -> Floats | None:
        able = [place for place in by_class.get(name, []) if place[0] != song]
        if not able:
            return None
        rng = np.random.default_rng([song, number])
        other, k = able[int(rng.integers(len(able)))]
        source: Source = shards.sources(other)[k]
        return _loudest(rng, lambda at, n: image(source.read(at, n), 0.0), source.samples)

    return clip
