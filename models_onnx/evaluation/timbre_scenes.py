"""Scenes to judge separation by timbre on: real songs as they are, and scenes of made ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from models_onnx.data import production
from models_onnx.data.collections import open_collection
from models_onnx.data.mixer import Mixing, draw
from models_onnx.data.naming import label_of
from models_onnx.data.sets.loaders import instrument_of, yaml_stems
from models_onnx.data.sets.shards import INDEX, Shards
from models_onnx.data.sources import Source
from models_onnx.data.stems import RATE_HZ, image, principal_deg
from realtime.arrays import Floats
from realtime.errors import StemsteerError

CLIP_S = 3.0
AUDIBLE_DB, ALONE_DB = -20.0, -60.0
TRIES = 12
MOST_STEMS_S = 4 * 3600.0  # 5 GB


@dataclass(frozen=True)
class TimbreScene:
    """A mixture (2, samples) and its classes: images (classes, 2, samples) that sum to it, or to
    what it was before a codec.

    clip : gives an example of a class, (2, samples), never of this scene, or None if there is none;
        the same number, the same example.
    song : what song it is of; empty where it is a song by itself, or made of several.
    """

    name: str
    mixture: Floats
    classes: tuple[str, ...]
    images: Floats
    clip: Callable[[str, int], Floats | None]
    song: str = ""

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
    """Read recorded songs whole, as they are mixed: the sums of their stems, all of them at once.

    Either each has METADATA.yaml of MedleyDB beside its stem_01.flac …, or the folder is in a
    layout of `models_onnx.data.collections`, as <song>/<instrument>.wav.

    Raises StemsteerError if there are none, a stem is missing, or all are longer than fits.
    """
    files = sorted(folder.glob("*/METADATA.yaml"))
    songs = _described(folder, files) if files else _named(folder)
    scenes = []
    for name, stems in songs.items():
        others = [s for n, s in songs.items() if n != name]
        images = np.stack(list(stems.values()))
        stems.update(zip(stems, images, strict=True))  # views of these: one copy is enough
        clip = _other_songs(others)
        scenes.append(TimbreScene(name, images.sum(0), tuple(stems), images, clip))
    return scenes


def _described(folder: Path, files: Sequence[Path]) -> dict[str, dict[str, Floats]]:
    """Read songs by their METADATA.yaml: by song, the classes of its stems, each (2, samples)."""
    listed = {
        file.parent.name: [
            (label_of(instrument_of(entry, file)).name, file.parent / f"stem_{name[1:]}.flac")
            for name, entry in yaml_stems(file).items()
        ]
        for file in files
    }
    if empty := [name for name, stems in listed.items() if not stems]:
        raise StemsteerError(f"{folder / empty[0]}/METADATA.yaml lists no stems")
    _check_length(folder, sum(_length_s(path) for stems in listed.values() for _, path in stems))
    return {
        name: _by_class([(label, _stereo(path)) for label, path in stems])
        for name, stems in listed.items()
    }


def _length_s(path: Path) -> float:
    try:
        about = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise StemsteerError(f"cannot read {path}: {error}") from error
    if about.samplerate != RATE_HZ or about.channels > 2:
        raise StemsteerError(
            f"{path} has {about.channels} channels at {about.samplerate} Hz, expected one or two "
            f"at {RATE_HZ}"
        )
    return float(about.frames / RATE_HZ)


def _stereo(path: Path) -> Floats:
    try:
        audio, _ = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise StemsteerError(f"cannot read {path}: {error}") from error
    return np.broadcast_to(audio.T, (2, len(audio)))


def _check_length(folder: Path, long_s: float) -> None:
    if long_s > MOST_STEMS_S:
        raise StemsteerError(
            f"{folder} holds {long_s / 60:.0f} minutes of stems, expected at most "
            f"{MOST_STEMS_S / 60:.0f}, which are all read at once: give a folder of fewer songs"
        )


def _named(folder: Path) -> dict[str, dict[str, Floats]]:
    """Read songs whose files are named by instruments: by song, the classes of its stems."""
    if not folder.is_dir():
        raise StemsteerError(f"{folder} is not a folder: give one of songs with their stems")
    try:
        opened = open_collection(folder, part="test", as_recorded=True, centred=False)
    except StemsteerError as error:
        raise StemsteerError(
            f"{folder} has no <song>/METADATA.yaml beside its stem_01.flac …, and {error}"
        ) from error
    if opened.normalised:
        raise StemsteerError(f"{folder} holds songs of the renderer: give it as --data")
    songs = [opened.sources(number) for number in range(len(opened))]
    _check_length(folder, sum(stem.samples for song in songs for stem in song) / RATE_HZ)
    return {
        song[0].label.title.split("/")[0] or f"{folder.name} {number}": _by_class(
            [(source.label.name, image(source.read(0, source.samples), 0.0)) for source in song]
        )
        for number, song in enumerate(songs)
    }


def _by_class(stems: Sequence[tuple[str, Floats]]) -> dict[str, Floats]:
    """Return the sums of stems (2, samples) by class, as long as the longest."""
    samples = max(audio.shape[1] for _, audio in stems)
    found: dict[str, Floats] = {}
    for name, audio in stems:
        summed = found.setdefault(name, np.zeros((2, samples), np.float32))
        summed[:, : audio.shape[1]] += audio
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
    if not (folder / INDEX).is_file():
        raise StemsteerError(
            f"{folder} holds no songs of the renderer (no {INDEX}): give a folder that `python -m "
            "models_onnx render` has made; recorded songs are judged by evaluate-timbre --real"
        )
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
        name = f"{folder.name} {number}"
        scenes.append(TimbreScene(name, scene.mixture, names, images, clip, f"song {song}"))
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
