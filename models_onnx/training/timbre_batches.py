"""Batches that ask for sounds by what they are: by name, by example, by direction and timbre.

A question is a direction or none (90° wide, in the middle), a timbre or none, and perhaps a
counter-example; its answer is the sum of the sources meant, or silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from models_onnx.data import production
from models_onnx.data.classes import (
    ACCOMPANIMENT,
    CLASSES,
    FAMILIES,
    FAMILY_OF,
    VOICE,
    known_classes,
)
from models_onnx.data.mixer import Scene
from models_onnx.data.sources import Pool
from models_onnx.training.batches import Aims, Question, aim
from models_onnx.training.timbre_drawing import SceneDrawer, Staged
from models_onnx.training.timbre_questions import (
    FREE,
    KINDS,
    NUMBER,
    PRESENT_DB,
    Asking,
    TimbreBatch,
    Wanted,
    deniable,
    drawn_class,
    drawn_kind,
)

SAME_PLACE_DEG = 1.5


class Asker(SceneDrawer):
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
        super().__init__(pool, asking, seconds)
        self.aims, self.scenes, self.targets = aims, scenes, targets

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

    def ask(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        """Ask one question of a scene."""
        if not known_classes(staged.scene.classes):  # an accompaniment alone
            return self._by_absent(rng, staged)
        wanted: Wanted = getattr(self, f"_by_{drawn_kind(rng, self.asking)}")(rng, staged)
        return wanted

    def _by_direction(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        asked: Question = aim(rng, _merged(staged.scene), self.aims)
        return Wanted(asked.target, (asked.azimuth_deg, asked.width_deg), "direction")

    def _by_name(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        name = _present(rng, staged.scene, even=self.asking.even)
        number = NUMBER[name]
        wanted = Wanted(_sum(staged.scene, {name}), FREE, "name", number)
        wanted.positive.append((number, number))
        return wanted

    def _by_query(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        name = _present(rng, staged.scene, even=self.asking.even)
        wanted = Wanted(_sum(staged.scene, {name}), FREE, "query", NUMBER[name])
        count = int(rng.integers(2, 6)) if rng.random() < self.asking.examples else 1
        own = rng.random() < 0.6
        for _ in range(count):
            wanted.positive.append((self._clip(rng, staged, name, own=own), NUMBER[name]))
        return wanted

    def _by_both(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        """Ask for a direction, and of what stands there the class that is meant."""
        scene, name = staged.scene, _present(rng, staged.scene, even=self.asking.even)
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
        scene, name = staged.scene, _present(rng, staged.scene, even=self.asking.even)
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
        others = sorted(set(scene.classes) - {CLASSES[wanted.asked], ACCOMPANIMENT})
        if others:
            unwanted = str(rng.choice(others))
            clip: np.ndarray | int = NUMBER[unwanted]
            if rng.random() < 0.7:
                clip = self._clip(rng, staged, unwanted, own=True)
            wanted.negative.append((clip, NUMBER[unwanted]))
        return wanted

    def _by_family(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        family = FAMILY_OF[_present(rng, staged.scene, even=self.asking.even)]
        names = FAMILIES[family]
        wanted = Wanted(_sum(staged.scene, set(names)), FREE, "family")
        wanted.positive += [(NUMBER[name], NUMBER[name]) for name in names]
        return wanted

    def _by_absent(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        there = set(staged.scene.classes)
        names = deniable(self.sources.names, there)
        if ACCOMPANIMENT in there:  # it may hold everything but a voice
            names = [n for n in names if n == VOICE]
        if not names:
            ask = self._by_name if known_classes(there) else self._by_direction
            return ask(rng, staged)
        name = drawn_class(rng, names, even=self.asking.even)
        wanted = Wanted(np.zeros_like(staged.scene.mixture), FREE, "absent", NUMBER[name])
        clip: np.ndarray | int = NUMBER[name]
        if rng.random() < 0.35:
            clip = self._clip(rng, staged, name, own=False)
        wanted.positive.append((clip, NUMBER[name]))
        return wanted

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


def _present(rng: np.random.Generator, scene: Scene, *, even: bool) -> str:
    """Draw a class that sounds in the scene."""
    power = np.square(scene.images).sum((1, 2))
    floor = 10 ** (PRESENT_DB / 10) * np.square(scene.mixture).sum()
    able = [k for k, label in enumerate(scene.labels) if production.real_voice(label)]
    known = known_classes(scene.classes)
    names = sorted({scene.classes[k] for k in able if power[k] > floor} & known)
    return drawn_class(rng, names or sorted(known), even=even)


def _sum(scene: Scene, names: set[str]) -> np.ndarray:
    return scene.images[[n in names for n in scene.classes]].sum(0)


def training_batches(
    pool: Pool, seed: int, scenes: int, targets: int, seconds: float, asking: Asking, aims: Aims
) -> Callable[[int], TimbreBatch]:
    """Batch k as a function of k; the same seed and data give the same batches."""
    return partial(Asker(pool, asking, aims, scenes, targets, seconds).batch, seed)
