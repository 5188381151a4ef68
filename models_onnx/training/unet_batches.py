"""Batches for systems 2 to 5: scenes, what is asked of them, and clips that show it.

Every question has its class, clips of it, and clips of what is not wanted, so the networks that
are told by a clip, by a few, or by a name are trained with the same scenes and answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models_onnx.data.classes import ACCOMPANIMENT, CLASSES, ORCHESTRA_13, UNSEEN
from models_onnx.data.sources import Collection, Pool, Source
from models_onnx.networks import checkpoints
from models_onnx.strict_json import to_json
from models_onnx.training.batches import Aims, Batch
from models_onnx.training.timbre_batches import Asker
from models_onnx.training.timbre_drawing import MOST_SOURCES, Staged
from models_onnx.training.timbre_questions import FREE, NUMBER, Asking, TimbreBatch, Wanted
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError

MOST_CLIPS, FEWEST_PLAYERS = 5, 2
ABOUT = "batches.json"
ASKING = Asking(direction=0.0, both=0.0, family=0.0, against=0.0, query=0.0, absent=0.13,
                toned=0.25, clips=1, clip_s=1.5)  # fmt: skip
ENSEMBLE = Asking(remix=0.7, toned=0.25, clips=0)


class Kept:
    """A collection without the sources of some classes."""

    def __init__(self, inner: Collection, allowed: Callable[[str], bool]) -> None:
        self._inner, self._allowed = inner, allowed

    @property
    def normalised(self) -> bool:
        """Return what the collection says."""
        return self._inner.normalised

    @property
    def origin(self) -> str:
        """Return what the collection says."""
        return self._inner.origin

    def __len__(self) -> int:
        return len(self._inner)

    def sources(self, index: int) -> list[Source]:
        """Return the sources of one song that are left."""
        return [s for s in self._inner.sources(index) if self._allowed(s.label.name)]


def kept(pool: Pool, allowed: Callable[[str], bool]) -> Pool:
    """Return a pool of the sources whose class is allowed."""
    return Pool([Kept(c, allowed) for c in pool.collections], pool.weights)


class ShowingAsker(Asker):
    """Asks for a class by name and by one to five clips, beside clips of another class."""

    def _by_name(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        return self._shown(rng, staged, super()._by_name(rng, staged))

    def _by_absent(self, rng: np.random.Generator, staged: Staged) -> Wanted:
        wanted = super()._by_absent(rng, staged)
        if wanted.kind != "absent":  # everything sounds: it asked by name
            return wanted
        return self._shown(rng, staged, wanted)

    def _shown(self, rng: np.random.Generator, staged: Staged, wanted: Wanted) -> Wanted:
        number = wanted.asked
        name = next(n for n, k in NUMBER.items() if k == number)
        clips = [
            (self._clip(rng, staged, name, own=rng.random() < 0.6), number)
            for _ in range(int(rng.integers(1, MOST_CLIPS + 1)))
        ]
        found = Wanted(wanted.target, FREE, wanted.kind, number, list(clips))
        others = sorted(set(staged.scene.classes) - {name})
        if others and rng.random() < 0.6:
            other = str(rng.choice(others))
            for _ in range(int(rng.integers(1, MOST_CLIPS + 1))):
                found.negative.append((self._clip(rng, staged, other, own=True), NUMBER[other]))
        return found


@dataclass(frozen=True)
class EnsembleBatch(Batch):
    """Scenes of orchestral instruments: targets (scenes, 13, 2, samples), most of them silent.

    labels (scenes, 13): which of them play.
    """

    labels: Tensor

    def to(self, device: torch.device) -> EnsembleBatch:
        """Return the same batch on `device`."""
        return EnsembleBatch(
            self.mixture.to(device), self.targets.to(device), {}, self.change.to(device),
            self.labels.to(device),
        )  # fmt: skip


class EnsembleAsker(Asker):
    """Draws ensembles of two to seven instruments, as Slizovskaia et al. (2021) mix them.

    curriculum : steps over which they grow from two instruments at most to seven; 0: none.
    """

    curriculum = 0

    def _cast(self, rng: np.random.Generator) -> list[str]:
        able = [name for name in ORCHESTRA_13 if name in self.sources.names]
        count = int(rng.integers(FEWEST_PLAYERS, min(self.most, len(able)) + 1))
        return [str(n) for n in rng.choice(able, count, replace=False)]

    def ensembles(self, seed: int, step: int) -> EnsembleBatch:
        """Return batch number `step`."""
        rng = np.random.default_rng([seed, step])
        if step < self.curriculum:
            grown = (MOST_SOURCES - FEWEST_PLAYERS) * step // self.curriculum
            self.most = FEWEST_PLAYERS + grown
        else:
            self.most = MOST_SOURCES
        scenes = [self.stage(rng).scene for _ in range(self.scenes)]
        targets = np.zeros((len(scenes), len(ORCHESTRA_13), *scenes[0].mixture.shape), np.float32)
        for found, scene in zip(targets, scenes, strict=True):
            for name, image in zip(scene.classes, scene.images, strict=True):
                found[ORCHESTRA_13.index(name)] += image
        return EnsembleBatch(
            torch.from_numpy(np.stack([s.mixture for s in scenes])),
            torch.from_numpy(targets),
            {},
            torch.ones(len(scenes)),
            torch.from_numpy(np.abs(targets).max((2, 3)) > 0).float(),
        )


def batches_of(
    kind: str,
    pool: Pool,
    seed: int,
    scenes: int,
    targets: int,
    seconds: float,
    curriculum: int = 0,
) -> Callable[[int], Batch]:
    """Return batch k as a function of k; the same seed and data give the same batches.

    curriculum : of ensembles; see `EnsembleAsker`.

    Raises
    ------
    StemsteerError : the songs have none of the instruments that are asked for; of ensembles, fewer
        than two.
    """
    aims = Aims(change=0.0)
    if kind == "label":
        orchestra = kept(pool, lambda name: name in ORCHESTRA_13)
        ensembles = EnsembleAsker(orchestra, ENSEMBLE, aims, scenes, targets, seconds)
        _check_found(ensembles.sources.names, FEWEST_PLAYERS, ORCHESTRA_13)
        ensembles.curriculum = curriculum
        return partial(ensembles.ensembles, seed)
    seen = kept(pool, lambda name: name not in (*UNSEEN, ACCOMPANIMENT))
    asker = ShowingAsker(seen, ASKING, aims, scenes, targets, seconds)
    _check_found(asker.sources.names, 1, [name for name in CLASSES if name not in UNSEEN])
    return partial(asker.batch, seed)


def _check_found(found: Sequence[str], fewest: int, asked: Sequence[str]) -> None:
    if len(found) < fewest:
        raise StemsteerError(
            f"the songs have {', '.join(found) or 'none'} of the instruments that are asked for, "
            f"expected at least {fewest} of {', '.join(asked)}: name the files of stems by "
            "instruments, or give other songs"
        )


def remembered(
    draw: Callable[[int], Batch], folder: Path, count: int, about: Mapping[str, object]
) -> Callable[[int], Batch]:
    """Return the batches 0 … count − 1 over and over, kept in a folder, in float16.

    Runs of one table share it, so all of them hear the same and only the first one draws.

    Parameters
    ----------
    about : what a batch depends on beside its number, kept as `ABOUT` in the folder.

    Raises
    ------
    StemsteerError : the folder has batches about which something else is said, or nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said, wanted = folder / ABOUT, to_json(about)
    if not said.exists() and not any(folder.glob("*.pt")):
        with atomic_write(said) as part:
            part.write_text(wanted)
    found = said.read_text() if said.exists() else "unknown origin"
    if found != wanted:
        raise StemsteerError(
            f"{folder} keeps batches of {found}, expected {wanted}: give another --batches"
        )

    def batch(step: int) -> Batch:
        path = folder / f"{step % count:05}.pt"
        if not path.exists():
            with atomic_write(path) as part:
                torch.save(_packed(draw(step % count)), part)
        return _unpacked(checkpoints.read(path, "a batch", "delete it, to have it drawn again"))

    return batch


def _packed(batch: Batch) -> dict[str, Any]:
    kind = type(batch).__name__
    fields = {n: v for n, v in vars(batch).items() if isinstance(v, Tensor)}
    if isinstance(batch, EnsembleBatch):  # what is silent needs no room
        fields["targets"] = batch.targets[batch.labels > 0]
    half = {n: v.half() if v.dim() > 2 and v.is_floating_point() else v for n, v in fields.items()}
    return {"kind": kind, **half}


def _unpacked(found: dict[str, Any]) -> Batch:
    kind = found.pop("kind")
    fields = {n: v.float() if v.dtype == torch.float16 else v for n, v in found.items()}
    if kind == EnsembleBatch.__name__:
        targets = torch.zeros(*fields["labels"].shape, *fields["mixture"].shape[1:])
        targets[fields["labels"] > 0] = fields["targets"]
        return EnsembleBatch(conditions={}, **{**fields, "targets": targets})
    return TimbreBatch(conditions={}, **fields)


def clip_rows(weights: Tensor, clips: int) -> list[list[int]]:
    """Return, for each row of weights (n, clips + classes), the numbers of its clips."""
    return [row[:clips].nonzero()[:, 0].tolist() for row in weights]
