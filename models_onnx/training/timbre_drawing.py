"""Scenes to be asked about by timbre, and clips that are heard beside them.

Clips of a source of the scene are never of the stretch that is to be separated, where there is more
of the source; one of its class may be of any stretch of any song.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from models_onnx.data import production
from models_onnx.data.classes import ACCOMPANIMENT, CLASSES, ORCHESTRA_13, VOICE
from models_onnx.data.mixer import Mixing, Scene, draw
from models_onnx.data.sources import Pool, Source
from models_onnx.data.stems import RATE_HZ, image
from models_onnx.data.variation import FASTEST, draw_speed, played, toned
from models_onnx.training.timbre_questions import Asking

SPEED = 1.1
MOST_SOURCES = 7
SUNG = 0.8
"""How often there is a voice before an accompaniment that is drawn for itself."""
BAND = {"vocals": 0.75, "drums": 0.8, "bass": 0.8, "guitar": 0.75}
GUESTS = ("piano", "keys", "organ", "synth", "strings", "saxophone", "percussion", "guitar",
          "choir", "brass", "trumpet", "mallets", "accordion", "flute")  # fmt: skip
ORCHESTRA = (*ORCHESTRA_13, "strings", "piano", "harp", "brass")


class SourcesByClass:
    """All sources of a pool by class: (collection, song, source), with the weight of each.

    Attributes
    ----------
    names : the classes that there are. An accompaniment is drawn like one, and is none.
    backed : how much of the pool's weight lies in collections with accompaniments, 0 to 1.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        kinds = (*CLASSES, ACCOMPANIMENT)
        self.places: dict[str, list[tuple[int, int, int]]] = {name: [] for name in kinds}
        weights: dict[str, list[float]] = {name: [] for name in kinds}
        for c, collection in enumerate(pool.collections):
            share = pool.weights[c] / len(collection)  # of a song, as `Pool.draw` has it
            for song in range(len(collection)):
                for k, source in enumerate(collection.sources(song)):
                    if production.real_voice(source.label):
                        self.places[source.label.name].append((c, song, k))
                        weights[source.label.name].append(share * source.weight)
        self.chances = {n: np.array(w) / sum(w) for n, w in weights.items() if sum(w) > 0}
        self.names = tuple(name for name in self.chances if name != ACCOMPANIMENT)
        backed = {c for c, _, _ in self.places[ACCOMPANIMENT]}
        self.backed = sum(pool.weights[c] for c in backed) / sum(pool.weights)

    def draw(self, rng: np.random.Generator, name: str) -> Source:
        """Draw a source of a class."""
        places = self.places[name]
        c, song, k = places[int(rng.choice(len(places), p=self.chances[name]))]
        return self.pool.collections[c].sources(song)[k]


@dataclass(frozen=True)
class Staged:
    """A scene, and for each of its sources where the stretch in it begins, in the whole source."""

    scene: Scene
    wholes: tuple[Source, ...]
    starts: tuple[int, ...]
    length: int


class SceneDrawer:
    """Draws scenes out of a pool, and clips of its classes."""

    def __init__(self, pool: Pool, asking: Asking, seconds: float) -> None:
        self.sources, self.asking, self.seconds = SourcesByClass(pool), asking, seconds
        self.most = MOST_SOURCES

    def stage(self, rng: np.random.Generator) -> Staged:
        """Draw a scene: sources of one song, or of several."""
        needed = int(np.ceil(self.seconds * RATE_HZ * SPEED)) + 4
        wholes = self.sources.pool.draw(rng)
        speeds = [1.0] * len(wholes)
        if len(wholes) < 2 or rng.random() < self.asking.remix:
            wholes = [self.sources.draw(rng, name) for name in self._cast(rng)]
            speeds = [draw_speed(rng) for _ in wholes]
            starts = [_sounding_start(rng, [whole], needed) for whole in wholes]
        else:
            count = int(rng.integers(min(2, len(wholes)), min(self.most, len(wholes)) + 1))
            wholes = [wholes[i] for i in rng.permutation(len(wholes))[:count]]
            starts = [_sounding_start(rng, wholes, needed)] * len(wholes)
        windows = [
            self._window(rng, *found, needed) for found in zip(wholes, starts, speeds, strict=False)
        ]
        produced = rng.random() < self.asking.produced
        scene = draw(
            rng,
            windows,
            self.seconds,
            mixing=Mixing(sources=(len(windows), len(windows))),
            seats=production.seats if produced else None,
            finish=production.finish if produced else None,
        )
        order = {id(w.label): k for k, w in enumerate(windows)}
        places = [order[id(label)] for label in scene.labels]
        return Staged(
            scene,
            tuple(wholes[k] for k in places),
            tuple(starts[k] for k in places),
            int(needed * FASTEST) + 5,
        )

    def _window(
        self, rng: np.random.Generator, source: Source, start: int, speed: float, count: int
    ) -> Source:
        """Return the stretch of a source from `start` on, varied, as a source of its own."""
        reach = int(count * speed) + 5
        stem = _read(source, start, min(reach, source.samples - start), reach)
        stem = stem[:, :count] if speed == 1.0 else played(stem, count, speed)
        if rng.random() < self.asking.toned:
            stem = toned(rng, stem)
        label = replace(source.label)  # a label of its own: it tells sources apart
        return Source(label, count, partial(_cut, stem))

    def _cast(self, rng: np.random.Generator) -> list[str]:
        """Draw the classes of a scene of different songs: those of `drawn_classes`, or a voice
        before the accompaniment of another song, or that alone.
        """
        if self.sources.backed and rng.random() < self.sources.backed:
            sung = VOICE in self.sources.names and rng.random() < SUNG
            return [ACCOMPANIMENT, VOICE] if sung else [ACCOMPANIMENT]
        return drawn_classes(rng, self.sources.names)

    def _clip(
        self, rng: np.random.Generator, staged: Staged, name: str, *, own: bool
    ) -> np.ndarray:
        """Return a clip of a class: another stretch of a source of the scene, or another song."""
        sources = [k for k, n in enumerate(staged.scene.classes) if n == name]
        if own and sources:
            return self._own_clip(rng, staged, int(rng.choice(sources)))
        if name not in self.sources.names:
            return self._own_clip(rng, staged, int(rng.choice(sources)))
        source = self.sources.draw(rng, name)
        return self._heard(rng, source, [(0, source.samples)], staged)

    def _own_clip(self, rng: np.random.Generator, staged: Staged, source: int) -> np.ndarray:
        whole, start = staged.wholes[source], staged.starts[source]
        spans = [(0, start), (start + staged.length, whole.samples)]
        spans = [(a, b) for a, b in spans if b - a > RATE_HZ]
        if not spans:
            name = whole.label.name
            whole = self.sources.draw(rng, name) if name in self.sources.names else whole
            spans = [(0, whole.samples)]
        return self._heard(rng, whole, spans, staged)

    def _heard(
        self,
        rng: np.random.Generator,
        source: Source,
        spans: Sequence[tuple[int, int]],
        staged: Staged | None = None,
    ) -> np.ndarray:
        """Return where a source sounds, (2, samples); now and then others leak into it."""
        count = round(self.asking.clip_s * RATE_HZ)
        tries = []
        for _ in range(2):
            first, last = spans[int(rng.integers(len(spans)))]
            tries.append(int(rng.integers(first, max(first, last - count) + 1)))
        start = max(tries, key=lambda at: _loudness(source, at, count))
        stem = _read(source, start, min(count, source.samples - start), count)
        clip = image(stem, float(rng.uniform(-45, 45)), float(rng.uniform(0, 1)))
        if rng.random() < self.asking.toned:
            clip = toned(rng, clip)
        if staged is not None and rng.random() < 0.3:
            leak = staged.scene.mixture[:, :count]
            gain = 10 ** (rng.uniform(-28.0, -10.0) / 20) * _rms(clip) / (_rms(leak) + 1e-6)
            clip[:, : leak.shape[1]] += leak * np.float32(gain)
        return clip


def drawn_classes(rng: np.random.Generator, names: Sequence[str]) -> list[str]:
    """Draw two or more classes, of those that there are: a band, an orchestra, or anything."""
    kind = rng.random()
    if kind < 0.6:
        drawn = [name for name, chance in BAND.items() if rng.random() < chance]
        drawn += [str(n) for n in rng.choice(GUESTS, int(rng.integers(0, 3)))]
    else:
        some = ORCHESTRA if kind < 0.85 else names
        drawn = [str(n) for n in rng.choice(some, int(rng.integers(2, 6)))]
    drawn = [name for name in drawn if name in names]
    while len(drawn) < 2:
        drawn.append(str(rng.choice(names)))
    return drawn


def _rms(audio: np.ndarray) -> float:
    return float(np.sqrt(np.square(audio).mean()))


def _read(source: Source, start: int, there: int, count: int) -> np.ndarray:
    stem = np.zeros((3, count), np.float32)
    if there > 0:
        stem[:, :there] = source.read(start, there)
    return stem


def _loudness(source: Source, start: int, count: int) -> float:
    """Sum of the peaks of three short looks, none of them more than a loud one."""
    looks = (start + int(count * part) for part in (0.15, 0.5, 0.85))
    peaks = [
        np.abs(source.read(at, 256)[0]).max() if at + 256 < source.samples else 0.0 for at in looks
    ]
    return float(np.minimum(peaks, 0.05).sum())


def _sounding_start(rng: np.random.Generator, sources: Sequence[Source], needed: int) -> int:
    spare = max(s.samples for s in sources) - needed
    if spare <= 0:
        return 0
    starts = rng.integers(0, spare + 1, 2)
    return int(max(starts, key=lambda at: sum(_loudness(s, int(at), needed) for s in sources)))


def _cut(stem: np.ndarray, start: int, count: int) -> np.ndarray:
    return stem[:, start : start + count]
