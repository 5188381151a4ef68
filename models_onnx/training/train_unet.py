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
from models_onnx.networks import checkpoints, registry
from models_onnx.networks.unet.config import CONFIGS
from models_onnx.networks.unet.system import UNetSystem
from models_onnx.training import scene_batches
from models_onnx.training.batches import Batch
from models_onnx.training.losses import LossWeights
from models_onnx.training.run import LONGEST_SCENE_S, Plan, Run
from models_onnx.training.train import keep_memory, train
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
    data: Annotated[list[str], typer.Option(help="folder of songs, or FOLDER=WEIGHT; repeatable")],
    out: Annotated[Path, typer.Option(help="folder of the run, made or continued")],
    steps: Annotated[int, typer.Option(min=1, help="length of the run")] = 400,
    batches: Annotated[
        Path | None, typer.Option(help="folder that keeps the batches, for runs that share them")
    ] = None,
    distinct: Annotated[int, typer.Option(min=1, help="batches that are kept")] = 200,
    validation: Annotated[Path | None, typer.Option(help="folder of songs to validate on")] = None,
    scenes: Annotated[int, typer.Option(min=1, help="scenes a batch")] = 4,
    targets: Annotated[int, typer.Option(min=1, help="questions a scene")] = 2,
    seconds: Annotated[
        float, typer.Option(min=0.1, help=f"length of a scene, at most {LONGEST_SCENE_S:g} s")
    ] = 1.5,
    rate: Annotated[float, typer.Option(min=0.0, help="highest learning rate")] = 3e-3,
    average: Annotated[
        float, typer.Option(min=0, max=1, help="decay of the averaged weights")
    ] = 0.97,
    curriculum: Annotated[
        int, typer.Option(min=0, help="steps over which ensembles grow from two players to seven")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="seed of weights and batches")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="threads on a CPU")] = 1,
) -> None:
    """Train a U-Net, or go on with a run that was stopped."""
    if kind not in CONFIGS:
        raise StemsteerError(f"no U-Net {kind!r}; there are {', '.join(CONFIGS)}")
    check_curriculum(CONFIGS[kind].kind, curriculum, distinct if batches else steps)
    keep_memory()
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
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
            "asked": asked, "data": names, "songs": [c.origin for c in pool.collections],
            "seed": seed, "scenes": scenes, "targets": targets, "seconds": seconds,
            "curriculum": curriculum,
        }  # fmt: skip
        draw = remembered(draw, batches, distinct, about_batches)
    run = Run(UNetTask(built, spec, spec.trained_tier, seed=seed), plan, about, names)
    if (out / checkpoints.FILE).exists():
        run.resume(out)
    valid = checked(system, validation, scenes, targets, seconds) if validation else []
    train(run, draw, valid, out)
