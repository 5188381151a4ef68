"""Train a network: ``python -m models_onnx train steer --data DIR --hours H --out DIR``.

The weights are exported by ``python -m models_onnx export steer --checkpoint DIR``. A run that was
stopped goes on by the same command.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from models_onnx.data.collections import open_pool
from models_onnx.networks import registry
from models_onnx.networks.steer import network as steer
from models_onnx.training import options
from models_onnx.training.batches import Aims
from models_onnx.training.loop import train
from models_onnx.training.losses import LossWeights
from models_onnx.training.refiner_task import RefinerTask
from models_onnx.training.run import Plan, Run
from models_onnx.training.scene_batches import training_batches, validation_batches
from models_onnx.training.task import SeparationTask
from realtime.errors import StemsteerError

ONLY_AIM: dict[str, Any] = {"targets": 4, "aims": Aims(change=0.0, exact=True)}


def main(
    network: Annotated[str, typer.Argument(help="steer")],
    data: options.Data,
    out: options.Out,
    config: Annotated[
        str, typer.Option(help=f"sizes of the network: {', '.join(steer.CONFIGS)}")
    ] = "small",
    hours: options.Hours = None,
    steps: options.Steps = None,
    validation: options.Validation = None,
    init: options.Init = None,
    device: options.Device = "cpu",
    scenes: Annotated[int, typer.Option(min=1, help="scenes a batch, two targets each")] = 8,
    seconds: options.Seconds = 2.0,
    rate: options.Rate = 1e-3,
    snr: Annotated[float, typer.Option(min=0, help="weight of the SNR term")] = LossWeights.snr,
    seed: options.Seed = 0,
    threads: options.Threads = 2,
    only_aim: Annotated[bool, typer.Option(help="teach the aim alone")] = False,
    fused: options.Fused = False,
) -> None:
    """Train a network, or go on with a run that was stopped."""
    options.prepare(seed, threads, device, fused=fused)
    plan = Plan(
        hours=hours,
        steps=steps,
        seed=seed,
        scenes=scenes,
        seconds=seconds,
        learning_rate=rate,
        loss=LossWeights(snr=snr),
        **(ONLY_AIM if only_aim else {}),
    )
    built, spec, about = registry.build(network, config)
    if not isinstance(built, steer.Steer):
        raise StemsteerError(f"{network} is trained by python -m models_onnx train-spain")
    if only_aim and not built.config.aim:
        raise StemsteerError(f"{config!r} has no aim to teach: leave out --only-aim")
    if init is not None:
        registry.load_weights(built, init)
    pool, names = open_pool(data)
    draw = training_batches(pool, seed, scenes, plan.targets, seconds, plan.aims)
    if only_aim:
        about |= {"part": "aim"}
    task = (RefinerTask if only_aim else SeparationTask)(built, spec, spec.trained_tier, device)
    run = Run(task, plan, about, names, {"songs": pool.origins})
    run.resume(out)
    train(run, draw, validation_batches(validation) if validation else [], out)
