"""What is measured of one target of one scene by one system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models_onnx.data.scenes import EvaluationScene
from models_onnx.evaluation import metrics

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """One target of one scene by one system, and all that is measured of it; see `metrics`.

    `removed_db` and `kept_db` are the gains of the target and of the rest when the target is
    removed. `activity_f1` is that of the frames in which the target sounds, of models that tell.
    `error_deg` is by how much the direction was wrong, `misled` whether it was then nearer to
    another source than to the target. `sdr_db` to `sar_db` are those of
    BSS Eval, where asked for.
    """

    system: str
    scene: int
    target: int
    instrument: str
    sources: int
    nearest_deg: float
    error_deg: float
    si_sdr_db: float
    gain_db: float
    sd_sdr_db: float
    level_difference_error_db: float
    silence_db: float
    removed_db: float
    kept_db: float
    activity_f1: float = float("nan")
    misled: bool = False
    sdr_db: float = float("nan")
    isr_db: float = float("nan")
    sir_db: float = float("nan")
    sar_db: float = float("nan")


def measure(
    system: str,
    number: int,
    scene: EvaluationScene,
    estimates: Floats,
    *,
    f1: Sequence[float] = (),
    bss: bool = False,
) -> Iterator[Row]:
    """Measure the estimates (sources, 2, n) of a scene, also by BSS Eval if `bss` (slow).

    f1 is that of the activity of every source, where it is known.
    """
    scores = metrics.bss_eval_db(estimates, scene.images) if bss else {}
    for k in scene.targets():
        image, estimate = scene.images[k], estimates[k]
        reached = metrics.si_sdr_db(estimate, image)
        removed = kept = float("nan")
        if not system.startswith("mix"):
            rest = scene.mixture - image
            removed, kept = metrics.leakage_db(scene.mixture - estimate, image, rest)
        yield Row(
            system,
            number,
            k,
            scene.names[k],
            len(scene.images),
            scene.nearest_deg(k),
            0.0,
            reached,
            reached - metrics.si_sdr_db(scene.mixture, image),
            metrics.sd_sdr_db(estimate, image),
            metrics.level_difference_error_db(estimate, image),
            metrics.silence_db(estimate, image),
            removed,
            kept,
            f1[k] if f1 else float("nan"),
            **{f"{name.lower()}_db": float(values[k]) for name, values in scores.items()},
        )
