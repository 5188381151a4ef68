"""Batches that ask for sounds by what they are: by name, by example, by direction and timbre.

A question is a direction or none (90° wide, in the middle), a timbre or none, and perhaps a
counter-example; its answer is the sum of the sources meant, or silence. Clips to be heard by the
encoder are never of the stretch that is to be separated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from models_onnx.data import production
from models_onnx.data.classes import CLASSES, FAMILIES, FAMILY_OF, ORCHESTRA_13
from models_onnx.data.mixer import Mixing, Scene, draw
from models_onnx.data.sources import Pool, Source
from models_onnx.data.stems import RATE_HZ, image
from models_onnx.data.variation import FASTEST, draw_speed, played, toned
from models_onnx.training.batches import Aims, Batch, Question, aim

FREE = (0.0, 90.0)  # a direction that says nothing
SPEED = 1.1
SAME_PLACE_DEG = 1.5
PRESENT_DB = -22.0
NUMBER = {name: number for number, name in enumerate(CLASSES)}
POPULAR = {"vocals": 3.0, "drums": 3.0, "bass": 2.6, "guitar": 2.6, "piano": 1.2}
BAND = {"vocals": 0.75, "drums": 0.8, "bass": 0.8, "guitar": 0.75}
GUESTS = ("piano", "keys", "organ", "synth", "strings", "saxophone", "percussion", "guitar",
          "choir", "brass", "trumpet", "mallets", "accordion", "flute")  # fmt: skip
ORCHESTRA = (*ORCHESTRA_13, "strings", "piano", "harp", "brass")
ALIKE = ({"strings", "violin", "viola", "cello", "double_bass"}, {"bass", "double_bass"},
         {"brass", "trumpet", "trombone", "horn", "tuba"}, {"vocals", "choir"},
         {"drums", "percussion"}, {"synth", "fx", "other", "keys", "organ"},
         {"reed", "accordion", "oboe", "clarinet"})  # fmt: skip
"""Classes that are hard to deny: none is asked for as absent where another of its group sounds."""
KINDS = ("direction", "name", "query", "both", "against", "family", "absent")


@dataclass(frozen=True)
class Asking:
    """How often which question is asked; the rest ask for a class by name.

    direction, query, both, against, family, absent : by direction alone; by a clip; by direction
        and timbre; by timbre with a counter-example; for a family; for what is not there.
    remix : scenes of sources of different songs, drawn so that classes are balanced.
    produced : scenes that stand and sound as productions do.
    examples : questions by clip that give several, their mean.
    toned : sources and clips whose tone is varied; sources of remixes vary in speed, too.
    """

    direction: float = 0.08
    query: float = 0.18
    both: float = 0.16
    against: float = 0.06
    family: float = 0.03
    absent: float = 0.13
    remix: float = 0.6
    produced: float = 0.55
    examples: float = 0.25
    toned: float = 0.5
    clips: int = 14
    clip_s: float = 2.5


@dataclass(frozen=True)
class TimbreBatch(Batch):
    """A batch whose questions have timbres.

    clips (clips, 2, samples) with their classes (clips,); positive and negative (scenes, targets,
    clips + classes) are the weights of clips and of names in what is asked for and in what is
    not; kinds (scenes, targets) numbers of `KINDS`, asked (scenes, targets) classes, −1 for none.
    """

    clips: Tensor
    classes: Tensor
    positive: Tensor
    negative: Tensor
    kinds: Tensor
    asked: Tensor

    def to(self, device: torch.device) -> TimbreBatch:
        """Return the same batch on `device`."""
        return TimbreBatch(
            self.mixture.to(device),
            self.targets.to(device),
            {k: v.to(device) for k, v in self.conditions.items()},
            self.change.to(device),
            *(getattr(self, name).to(device) for name in _ADDED),
        )


_ADDED = ("clips", "classes", "positive", "negative", "kinds", "asked")


@dataclass
class Wanted:
    """A question on its way: clips and names with their weights, positive and negative."""

    target: np.ndarray
    direction: tuple[float, float]
    kind: str
    asked: int = -1
    positive: list[tuple[np.ndarray | int, int]] = field(default_factory=list)
    negative: list[tuple[np.ndarray | int, int]] = field(default_factory=list)


class SourcesByClass:
    """All sources of a pool by class: (collection, song, source), with the weight of each."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.places: dict[str, list[tuple[int, int, int]]] = {name: [] for name in CLASSES}
        weights: dict[str, list[float]] = {name: [] for name in CLASSES}
        for c, collection in enumerate(pool.collections):
            for song in range(len(collection)):
                for k, source in enumerate(collection.sources(song)):
                    if production.real_voice(source.label):
                        self.places[source.label.name].append((c, song, k))
                        weights[source.label.name].append(pool.weights[c])
        self.chances = {n: np.array(w) / sum(w) for n, w in weights.items() if sum(w) > 0}
        self.names = tuple(self.chances)

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


class Asker:
    """Draws scenes and questions; a batch is a function of (seed, step)."""

    def __init__(
        self,
        pool: Pool,
        asking: Asking,
        aims: Aims,
        scenes: int,
        targets: int,
        seconds: float,
    ) -> None:
        self.sources, self.asking, self.aims = SourcesByClass(pool), asking, aims
        self.scenes, self.targets, self.seconds = scenes, targets, seconds

    def batch(self, seed: int, step: int) -> TimbreBatch:
        """Batch number `step`."""
        rng = np.random.default_rng([seed, step])
        asked, mixtures, changes = [], [], []
        for _ in range(self.scenes):
            staged = self.stage(rng)
            asked.append([self.ask(rng, staged) for _ in range(self.targets)])
            mixtures.append(staged.scene.mixture)
            changing = self.targets > 1 and rng.random() < self.aims.change
            changes.append(rng.uniform(0.3, 0.8) if changing else 1.0)
        return self._assemble(rng, mixtures, asked, changes)

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
            count = int(rng.integers(min(2, len(wholes)), min(7, len(wholes)) + 1))
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
        """Classes of a scene of different songs: a band, an orchestra, or anything."""
        kind, names = rng.random(), self.sources.names
        if kind < 0.6:
            cast = [name for name, chance in BAND.items() if rng.random() < chance]
            cast += [str(n) for n in rng.choice(GUESTS, int(rng.integers(0, 3)))]
        elif kind < 0.85:
            cast = [str(n) for n in rng.choice(ORCHESTRA, int(rng.integers(2, 6)))]
        else:
            cast = [str(n) for n in rng.choice(names, int(rng.integers(2, 6)))]
        cast = [name for name in cast if name in names]
        while len(cast) < 2:
            cast.append(str(rng.choice(names)))
        return cast

    def ask(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        """Ask one question of a scene."""
        asking, kind = self.asking, rng.random()
        for name in ("direction", "absent", "family", "against", "both", "query"):
            chance = getattr(asking, name)
            if kind < chance:
                return getattr(self, f"_by_{name}")(rng, staged)
            kind -= chance
        return self._by_name(rng, staged)

    def _by_direction(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        asked: Question = aim(rng, _merged(staged.scene), self.aims)
        return Wanted(asked.target, (asked.azimuth_deg, asked.width_deg), "direction")

    def _by_name(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        name = _present(rng, staged.scene)
        number = NUMBER[name]
        wanted = Wanted(_sum(staged.scene, {name}), FREE, "name", number)
        wanted.positive.append((number, number))
        return wanted

    def _by_query(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        name = _present(rng, staged.scene)
        wanted = Wanted(_sum(staged.scene, {name}), FREE, "query", NUMBER[name])
        count = int(rng.integers(2, 6)) if rng.random() < self.asking.examples else 1
        own = rng.random() < 0.6
        for _ in range(count):
            wanted.positive.append((self._clip(rng, staged, name, own=own), NUMBER[name]))
        return wanted

    def _by_both(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        """Ask for a direction, and of what stands there the class that is meant."""
        scene, name = staged.scene, _present(rng, staged.scene)
        source = int(rng.choice([k for k, n in enumerate(scene.classes) if n == name]))
        width_deg = float(rng.uniform(8.0, 45.0))
        shift_deg = float(np.clip(rng.normal(0.0, 0.15), -0.4, 0.4)) * width_deg
        azimuth_deg = float(np.clip(scene.azimuth_deg[source] + shift_deg, -45, 45))
        inside = np.abs(scene.azimuth_deg - azimuth_deg) <= width_deg / 2
        meant = [k for k, n in enumerate(scene.classes) if n == name and (inside[k] or k == source)]
        target = scene.images[meant].sum(0)
        wanted = Wanted(target, (azimuth_deg, width_deg), "both", NUMBER[name])
        clip: np.ndarray | int = NUMBER[name]
        if rng.random() < 0.35:
            clip = self._clip(rng, staged, name, own=rng.random() < 0.6)
        wanted.positive.append((clip, NUMBER[name]))
        return wanted

    def _by_against(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        """Ask for a class, but not that source of it; or for one class, and not another."""
        scene, name = staged.scene, _present(rng, staged.scene)
        sources = [k for k, n in enumerate(scene.classes) if n == name]
        if len(sources) > 1:
            meant = int(rng.choice(sources))
            other = int(rng.choice([k for k in sources if k != meant]))
            target = scene.images[[k for k in sources if k != other]].sum(0)
            wanted = Wanted(target, FREE, "against", NUMBER[name])
            wanted.positive.append((self._own_clip(rng, staged, meant), NUMBER[name]))
            wanted.negative.append((self._own_clip(rng, staged, other), NUMBER[name]))
            return wanted
        wanted = self._by_name(rng, staged) if rng.random() < 0.5 else self._by_query(rng, staged)
        wanted.kind = "against"
        others = sorted(set(scene.classes) - {CLASSES[wanted.asked]})
        if others:
            unwanted = str(rng.choice(others))
            clip: np.ndarray | int = NUMBER[unwanted]
            if rng.random() < 0.7:
                clip = self._clip(rng, staged, unwanted, own=True)
            wanted.negative.append((clip, NUMBER[unwanted]))
        return wanted

    def _by_family(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        family = FAMILY_OF[_present(rng, staged.scene)]
        names = FAMILIES[family]
        wanted = Wanted(_sum(staged.scene, set(names)), FREE, "family")
        wanted.positive += [(NUMBER[name], NUMBER[name]) for name in names]
        return wanted

    def _by_absent(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        there = set(staged.scene.classes)
        denied = set().union(there, *(group for group in ALIKE if group & there))
        names = [n for n in self.sources.names if n not in denied]
        if not names:
            return self._by_name(rng, staged)
        chances = np.array([POPULAR.get(n, 1.0) for n in names])
        name = str(rng.choice(names, p=chances / chances.sum()))
        wanted = Wanted(np.zeros_like(staged.scene.mixture), FREE, "absent", NUMBER[name])
        clip: np.ndarray | int = NUMBER[name]
        if rng.random() < 0.35:
            clip = self._clip(rng, staged, name, own=False)
        wanted.positive.append((clip, NUMBER[name]))
        return wanted

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

    def _assemble(
        self,
        rng: np.random.Generator,
        mixtures: list[np.ndarray],
        asked: list[list[Wanted]],
        changes: list[float],
    ) -> TimbreBatch:
        clips: list[np.ndarray] = []
        classes: list[int] = []
        rows: dict[str, list[list[tuple[int, bool]]]] = {"positive": [], "negative": []}
        for wanted in (w for questions in asked for w in questions):
            for side, found in rows.items():
                row = []
                for item, number in getattr(wanted, side):
                    if isinstance(item, int):
                        row.append((item, True))
                    else:
                        row.append((len(clips), False))
                        clips.append(item)
                        classes.append(number)
                found.append(row)
        while len(clips) < self.asking.clips:  # so that the encoder hears all classes alike
            name = str(rng.choice(self.sources.names))
            source = self.sources.draw(rng, name)
            clips.append(self._heard(rng, source, [(0, source.samples)]))
            classes.append(NUMBER[name])
        weights = {side: _weights(found, len(clips)) for side, found in rows.items()}
        shape = (len(asked), self.targets)
        directions = torch.tensor([[w.direction for w in q] for q in asked], dtype=torch.float32)
        return TimbreBatch(
            torch.from_numpy(np.stack(mixtures)),
            torch.from_numpy(np.stack([[w.target for w in q] for q in asked])),
            {"direction": directions},
            torch.tensor(changes, dtype=torch.float32),
            torch.from_numpy(np.stack(clips).astype(np.float32)),
            torch.tensor(classes),
            weights["positive"].reshape(*shape, -1),
            weights["negative"].reshape(*shape, -1),
            torch.tensor([[KINDS.index(w.kind) for w in q] for q in asked]),
            torch.tensor([[w.asked for w in q] for q in asked]),
        )


def _weights(rows: Sequence[Sequence[tuple[int, bool]]], clips: int) -> Tensor:
    weights = torch.zeros(len(rows), clips + len(CLASSES))
    for number, row in enumerate(rows):
        for place, named in row:
            weights[number, place + (clips if named else 0)] += 1.0
    return weights


def _merged(scene: Scene) -> Scene:
    """Merge sources that stand in one place into one: no direction parts them."""
    order = np.argsort(scene.azimuth_deg)
    groups: list[list[int]] = []
    for k in order:
        if groups and scene.azimuth_deg[k] - scene.azimuth_deg[groups[-1][0]] <= SAME_PLACE_DEG:
            groups[-1].append(int(k))
        else:
            groups.append([int(k)])
    if len(groups) == len(order):
        return scene
    energy = np.square(scene.images).sum((1, 2)) + 1e-9
    places = [np.average(scene.azimuth_deg[g], weights=energy[g]) for g in groups]
    images = np.stack([scene.images[g].sum(0) for g in groups])
    return Scene(
        scene.mixture, images, np.array(places, np.float32), scene.width_deg, scene.labels,
        scene.activity,
    )  # fmt: skip


def _present(rng: np.random.Generator, scene: Scene) -> str:
    """Draw a class that sounds in the scene; those that are asked for most, more often."""
    power = np.square(scene.images).sum((1, 2))
    floor = 10 ** (PRESENT_DB / 10) * np.square(scene.mixture).sum()
    able = [k for k, label in enumerate(scene.labels) if production.real_voice(label)]
    names = sorted({scene.classes[k] for k in able if power[k] > floor})
    names = names or sorted(set(scene.classes))
    chances = np.array([POPULAR.get(n, 1.0) for n in names])
    return str(rng.choice(names, p=chances / chances.sum()))


def _sum(scene: Scene, names: set[str]) -> np.ndarray:
    return scene.images[[n in names for n in scene.classes]].sum(0)


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


def training_batches(
    pool: Pool, seed: int, scenes: int, targets: int, seconds: float, asking: Asking, aims: Aims
) -> Callable[[int], TimbreBatch]:
    """Batch k as a function of k; the same seed and data give the same batches."""
    return partial(Asker(pool, asking, aims, scenes, targets, seconds).batch, seed)
