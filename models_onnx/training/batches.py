"""Batches for training: scenes, what is asked of them, and threads or processes that draw ahead.

Batch k is a function of (seed, k) alone, so a run can stop and resume anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models_onnx.data.mixer import Scene
from realtime.arrays import Floats

POINT_WIDTHS_DEG = (3.0, 30.0)
OPENING_WIDTHS_DEG = (30.0, 90.0)
NOTHING_WITHIN_DEG = 8.0
DOUBT = 0.2


DrawScene = Callable[[np.random.Generator], Scene]


@dataclass(frozen=True)
class Aims:
    """How often which question is asked of a scene; the rest are points.

    point : a direction near one source, which alone is the target.
    doubt : how often the direction of a point is off, by a normal deviate of a fifth of the width
        and half of it at most: so the width says how sure the direction is, and the network looks
        for the source within it.
    opening : a direction and a width of 30° or more; every source inside is the target.
    nothing : a direction where no source is; the target is silence.
    change : the two questions of a scene change places at some frame, as automation does.
    exact : only points, which hit their source, at a width of 20° (for validation).
    """

    doubt: float = 0.4
    opening: float = 0.15
    nothing: float = 0.07
    change: float = 0.2
    exact: bool = False


@dataclass(frozen=True)
class Batch:
    """Scenes and, for each, questions with their answers.

    mixture (scenes, 2, samples), targets (scenes, targets, 2, samples), conditions by name
    (scenes, targets, size), direction in degrees: azimuth and width; change (scenes,): the
    fraction of the time after which the questions of a scene change places, 1 for never.
    """

    mixture: Tensor
    targets: Tensor
    conditions: Mapping[str, Tensor]
    change: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on `device`."""
        conditions = {k: v.to(device) for k, v in self.conditions.items()}
        return Batch(
            self.mixture.to(device),
            self.targets.to(device),
            conditions,
            self.change.to(device),
        )


@dataclass(frozen=True)
class Question:
    """A direction asked for, and its answer: the target (2, samples); see `Batch`."""

    target: Floats
    azimuth_deg: float
    width_deg: float


def aim(rng: np.random.Generator, scene: Scene, aims: Aims) -> Question:
    """Ask one question of a scene."""
    kind = 1.0 if aims.exact else rng.random()
    if kind < aims.nothing:
        empty = _empty_direction(rng, scene.azimuth_deg)
        if empty is not None:
            return Question(np.zeros_like(scene.mixture), *empty)
    source = int(rng.integers(len(scene.images)))
    if kind > 1 - aims.opening and not aims.exact:
        return _opening(rng, scene, source)
    width_deg = 20.0 if aims.exact else float(rng.uniform(*POINT_WIDTHS_DEG))
    azimuth_deg = float(scene.azimuth_deg[source])
    if not aims.exact and rng.random() < aims.doubt:
        azimuth_deg += float(np.clip(rng.normal(0.0, DOUBT), -0.5, 0.5)) * width_deg
    return Question(scene.images[source], float(np.clip(azimuth_deg, -45, 45)), width_deg)


def _opening(rng: np.random.Generator, scene: Scene, source: int) -> Question:
    width_deg = float(rng.uniform(*OPENING_WIDTHS_DEG))
    shift_deg = float(rng.uniform(-0.4, 0.4)) * width_deg
    azimuth_deg = float(np.clip(scene.azimuth_deg[source] + shift_deg, -45, 45))
    inside = np.abs(scene.azimuth_deg - azimuth_deg) <= width_deg / 2
    return Question(scene.images[inside].sum(0), azimuth_deg, width_deg)


def _empty_direction(rng: np.random.Generator, azimuth_deg: Floats) -> tuple[float, float] | None:
    width_deg = float(rng.uniform(*POINT_WIDTHS_DEG))
    clearance_deg = max(NOTHING_WITHIN_DEG, width_deg / 2 + 3)
    for candidate in rng.uniform(-45, 45, 8):
        if np.abs(azimuth_deg - candidate).min() > clearance_deg:
            return float(candidate), width_deg
    return None


def draw_batch(
    rng: np.random.Generator, draw_scene: DrawScene, scenes: int, targets: int, aims: Aims
) -> Batch:
    """Draw scenes and ask `targets` questions of each."""
    mixtures, changes = [], []
    questions: list[list[Question]] = []
    for _ in range(scenes):
        scene = draw_scene(rng)
        questions.append([aim(rng, scene, aims) for _ in range(targets)])
        mixtures.append(scene.mixture)
        changing = targets > 1 and rng.random() < aims.change
        changes.append(rng.uniform(0.3, 0.8) if changing else 1.0)
    directions = [[(q.azimuth_deg, q.width_deg) for q in asked] for asked in questions]
    return Batch(
        torch.from_numpy(np.stack(mixtures)),
        torch.from_numpy(np.stack([[q.target for q in asked] for asked in questions])),
        {"direction": torch.tensor(directions, dtype=torch.float32)},
        torch.tensor(changes, dtype=torch.float32),
    )


def batches(
    draw: Callable[[int], Batch], first: int, workers: int = 0
) -> Generator[Batch, None, None]:
    """Give draw(first), draw(first + 1), …, drawn ahead by one background thread.

    Parameters
    ----------
    workers : processes that draw instead, where one thread is too slow for a GPU. `draw` must be
        one that can be pickled.
    """
    pool: Executor = ThreadPoolExecutor(1, thread_name_prefix="batches")
    ask, ahead = draw, 3
    if workers:
        context = torch.multiprocessing.get_context("spawn")  # tensors come in shared memory
        pool = ProcessPoolExecutor(workers, context, _begin_worker, (draw,))
        ask, ahead = _draw_in_worker, 2 * workers
    waiting: list[Future[Batch]] = [pool.submit(ask, first + k) for k in range(ahead)]
    step = first + ahead
    try:
        while True:
            batch = waiting.pop(0).result()
            waiting.append(pool.submit(ask, step))
            step += 1
            yield batch
    finally:
        # by the pool: Python 3.11 waits for ever for futures that were cancelled one by one
        pool.shutdown(cancel_futures=True)


def _begin_worker(draw: Callable[[int], Batch]) -> None:
    global _draw
    _draw = draw
    torch.set_num_threads(1)


def _draw_in_worker(step: int) -> Batch:
    return _draw(step)


_draw: Callable[[int], Batch]
