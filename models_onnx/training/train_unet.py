"""Train systems 2 to 5: ``python -m models_onnx train-unet KIND --data DIR --steps N --out DIR``.

KIND is a configuration of `networks/unet/config.py`. A run that was stopped goes on by the same
command. Runs that are to be compared take one ``--batches FOLDER``, which keeps what was drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from models_onnx.data.collections import open_pool
from models_onnx.networks import registry
from models_onnx.networks.unet.config import CONFIGS
from models_onnx.networks.unet.system import UNetSystem
from models_onnx.training import options, scene_batches
from models_onnx.training.batches import Batch
from models_onnx.training.loop import train
from models_onnx.training.losses import LossWeights
from models_onnx.training.run import Plan, Run
from models_onnx.training.unet_batches import batches_of, remembered
from models_onnx.training.unet_task import UNetTask
from realtime.errors import StemsteerError

CHECKS = 8
FREEZE_NORMS = 0.6


def checked(kind: str, folder: Path, scenes: int, targets: int, seconds: float) -> list[Batch]:
    """Draw always the same questions of songs apart from training."""
    pool, _ = open_pool([str(folder)], part="validation")
    draw = batches_of(kind, pool, scene_batches.VALIDATION_SEED, scenes, targets, seconds)
    return [draw(k) for k in range(CHECKS)]


def check_curriculum(system: str, curriculum: int, batches: int) -> None:
    """Raise StemsteerError for a curriculum without ensembles, or longer than its batches."""
    if curriculum and system != "label":
        raise StemsteerError("--curriculum is for networks of labels: they hear ensembles")
    if curriculum > batches:
        raise StemsteerError(
            f"--curriculum {curriculum} is longer than the {batches} batches that are drawn: give "
            "a shorter one, or more --distinct"
        )


def main(
    kind: Annotated[str, typer.Argument(help=", ".join(CONFIGS))],
    data: options.Data,
    out: options.Out,
    steps: Annotated[int, typer.Option(min=1, help="length of the run")] = 400,
    batches: Annotated[
        Path | None, typer.Option(help="folder that keeps the batches, for runs that share them")
    ] = None,
    distinct: Annotated[int, typer.Option(min=1, help="batches that are kept")] = 200,
    validation: options.Validation = None,
    scenes: options.Scenes = 4,
    targets: options.Targets = 2,
    seconds: options.Seconds = 1.5,
    rate: options.Rate = 3e-3,
    average: options.Average = 0.97,
    curriculum: Annotated[
        int, typer.Option(min=0, help="steps over which ensembles grow from two players to seven")
    ] = 0,
    seed: options.Seed = 0,
    threads: options.Threads = 1,
) -> None:
    """Train a U-Net, or go on with a run that was stopped."""
    if kind not in CONFIGS:
        raise StemsteerError(f"no U-Net {kind!r}; there are {', '.join(CONFIGS)}")
    check_curriculum(CONFIGS[kind].kind, curriculum, distinct if batches else steps)
    options.prepare(seed, threads)
    plan = Plan(
        steps=steps, seed=seed, scenes=scenes, targets=targets, seconds=seconds,
        learning_rate=rate, loss=LossWeights(), freeze_norms=FREEZE_NORMS, validate_every=100,
        average=average,
    )  # fmt: skip
    built, spec, about = registry.build("unet", kind)
    assert isinstance(built, UNetSystem)
    built.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    system = built.config.unet.kind
    pool, names = open_pool(data)
    draw = batches_of(system, pool, seed, scenes, targets, seconds, curriculum)
    if batches is not None:
        asked = "ensembles" if system == "label" else "questions"
        about_batches = {
            "asked": asked, "data": names, "songs": pool.origins,
            "seed": seed, "scenes": scenes, "targets": targets, "seconds": seconds,
            "curriculum": curriculum,
        }  # fmt: skip
        draw = remembered(draw, batches, distinct, about_batches)
    task = UNetTask(built, spec, spec.trained_tier, seed=seed)
    kept = distinct if batches else None
    given = {"songs": pool.origins, "curriculum": curriculum, "distinct": kept}
    run = Run(task, plan, about, names, given)
    run.resume(out)
    valid = checked(system, validation, scenes, targets, seconds) if validation else []
    train(run, draw, valid, out)
