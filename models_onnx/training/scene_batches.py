"""From folders of songs to batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from models_onnx.data.mixer import Mixing, Scene, draw
from models_onnx.data.sets.shards import INDEX, Shards
from models_onnx.data.sources import Collection, Pool
from models_onnx.training.batches import Aims, Batch, draw_batch
from realtime.errors import StemsteerError

VALIDATION_SEED = 2_000_000_000
VALIDATION_MIXING = Mixing(sources=(2, 5), rate=0.0, silent=0.0, wet=(0.3, 1.0), dry=0.35)


def open_pool(folders: Sequence[str]) -> tuple[Pool, list[str]]:
    """Open folders of songs, each FOLDER or FOLDER=WEIGHT, and name what is in them.

    Raises StemsteerError if a folder holds no songs, or a weight is none.
    """
    collections, weights, names = [], [], []
    for text in folders:
        folder, weight = _weighted(text)
        collection = open_folder(folder)
        collections.append(collection)
        weights.append(weight)
        names.append(f"{folder.name}: {len(collection)} songs, weight {weight:g}")
    if not sum(weights) > 0:
        raise StemsteerError(f"{', '.join(folders)}: all weights are 0, one must be above")
    return Pool(collections, weights), names


def _weighted(text: str) -> tuple[Path, float]:
    folder, sign, weight = text.rpartition("=")
    if not sign or Path(text).is_dir():
        return Path(text), 1.0
    try:
        value = float(weight)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise StemsteerError(f"{text}: the weight is {weight!r}, expected FOLDER=WEIGHT like a=0.5")
    return Path(folder), value


def open_folder(folder: Path) -> Collection:
    """Shards of the renderer, or a data set in one of the layouts of `data.sets.loaders`."""
    if (folder / INDEX).exists():
        return Shards(folder)
    from models_onnx.data.sets.loaders import (
        open_collection,  # audio libraries that shards do without
    )

    return open_collection(folder)


def draw_scene(pool: Pool, mixing: Mixing, seconds: float, rng: np.random.Generator) -> Scene:
    """Draw a song, and a scene from it."""
    return draw(rng, pool.draw(rng), seconds, mixing=mixing)


def training_batches(
    pool: Pool, seed: int, scenes: int, targets: int, seconds: float, aims: Aims
) -> Callable[[int], Batch]:
    """Batch k as a function of k; the same seed and data give the same batches."""
    scene = partial(draw_scene, pool, Mixing(), seconds)

    def batch(step: int) -> Batch:
        rng = np.random.default_rng([seed, step])
        return draw_batch(rng, scene, scenes, targets, aims)

    return batch


def validation_batches(folder: Path, count: int = 6, seconds: float = 3.0) -> list[Batch]:
    """Always the same scenes of 2 to 5 sources, each asked for two of them exactly."""
    pool, _ = open_pool([str(folder)])
    scene = partial(draw_scene, pool, VALIDATION_MIXING, seconds)
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + count)
    aims = Aims(change=0.0, exact=True)
    return [draw_batch(np.random.default_rng(seed), scene, 4, 2, aims) for seed in seeds]
