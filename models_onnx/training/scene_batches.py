"""From folders of songs to batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from models_onnx.data.collections import open_pool
from models_onnx.data.mixer import Mixing, Scene, draw
from models_onnx.data.sources import Pool
from models_onnx.training.batches import Aims, Batch, draw_batch

VALIDATION_SEED = 2_000_000_000
VALIDATION_MIXING = Mixing(sources=(2, 5), rate=0.0, silent=0.0, wet=(0.3, 1.0), dry=0.35)


def draw_scene(pool: Pool, mixing: Mixing, seconds: float, rng: np.random.Generator) -> Scene:
    """Draw a song, and a scene from it."""
    return draw(rng, pool.draw(rng), seconds, mixing=mixing)


def training_batches(
    pool: Pool, seed: int, scenes: int, targets: int, seconds: float, aims: Aims
) -> Callable[[int], Batch]:
    """Return batch k as a function of k; the same seed and data give the same batches."""
    scene = partial(draw_scene, pool, Mixing(), seconds)

    def batch(step: int) -> Batch:
        rng = np.random.default_rng([seed, step])
        return draw_batch(rng, scene, scenes, targets, aims)

    return batch


def validation_batches(folder: Path, count: int = 16, seconds: float = 3.0) -> list[Batch]:
    """Draw always the same scenes of 2 to 5 sources, each asked for two of them exactly."""
    pool, _ = open_pool([str(folder)], part="validation")
    scene = partial(draw_scene, pool, VALIDATION_MIXING, seconds)
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + count)
    aims = Aims(change=0.0, exact=True)
    return [draw_batch(np.random.default_rng(seed), scene, 4, 2, aims) for seed in seeds]
