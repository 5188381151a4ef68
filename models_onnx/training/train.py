"""Train a network: ``python -m models_onnx train steer --data DIR --hours H --out DIR``.

The weights are exported by ``python -m models_onnx export steer --checkpoint DIR``.

One flat loop. A run can be stopped at any moment (SIGTERM, Ctrl-C, power) and started again with
the same command; with ``--steps`` the result is the same to the bit, with ``--hours`` only the
learning rate depends on the clock.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TextIO

import torch
import typer

from models_onnx.data.collections import open_pool
from models_onnx.networks import checkpoints, registry
from models_onnx.networks.steer import network as steer
from models_onnx.strict_json import to_json
from models_onnx.training import curves, fuse
from models_onnx.training.batches import Aims, Batch, batches
from models_onnx.training.losses import LossWeights
from models_onnx.training.refiner_task import RefinerTask
from models_onnx.training.run import LONGEST_SCENE_S, Plan, Run
from models_onnx.training.scene_batches import training_batches, validation_batches
from models_onnx.training.task import SeparationTask
from realtime.errors import StemsteerError

SAVE_EVERY_S = 240.0
PRINT_EVERY = 20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
ONLY_AIM: dict[str, Any] = {"targets": 4, "aims": Aims(change=0.0, exact=True)}
LOG, CURVES = "log.jsonl", "curves.png"


def train(
    run: Run,
    draw: Callable[[int], Batch],
    validation: list[Batch],
    out: Path,
    *,
    until: int | None = None,
    workers: int = 0,
    check: Callable[[Run], dict[str, float]] | None = None,
) -> None:
    """Train until the plan is done, step `until` is reached, or a signal asks to stop.

    The checkpoint, the log (JSON lines) and the curves (PNG) are in `out`; the log of a run before
    its first step begins anew. What `check` finds of the run is in the log wherever it is
    validated. For `workers` see `batches`.
    """
    out.mkdir(parents=True, exist_ok=True)
    stop = _Stop()
    plan, before_s = run.plan, time.monotonic()
    began_s, saved_s = before_s - run.elapsed_s, before_s
    heard_s = plan.scenes * plan.targets * plan.seconds
    if not run.step:
        (out / LOG).unlink(missing_ok=True)
    with stop, (out / LOG).open("a") as log, closing(batches(draw, run.step, workers)) as drawn:
        while not (stop.asked or run.progress >= 1 or run.step == until):
            batch = next(drawn)
            waited_s = time.monotonic() - before_s
            line: dict[str, Any] = run.advance(batch.to(run.task.device))
            line |= {"speed": heard_s / (time.monotonic() - before_s), "waited_s": waited_s}
            if validation and (run.step % plan.validate_every == 0 or run.progress >= 1):
                line["valid_db"], line["valid_gain_db"] = validate(run, validation)
                line |= check(run) if check else {}
            before_s = time.monotonic()
            run.elapsed_s = before_s - began_s
            _report(run, line, log)
            if before_s - saved_s > SAVE_EVERY_S:
                _keep(run, out)
                saved_s = time.monotonic()
    _keep(run, out)
    rest = "done" if run.progress >= 1 else "the same command goes on from here"
    print(f"{out}: step {run.step}, {run.progress:.1%}; {rest}", flush=True)


@torch.no_grad()
def validate(run: Run, validation: list[Batch]) -> tuple[float, float]:
    """Return the mean SI-SDR of the averaged weights and its gain over the mixture, dB."""
    found = [run.task.gain_db(run.average, batch.to(run.task.device)) for batch in validation]
    after, gain = (sum(values) / len(found) for values in zip(*found, strict=True))
    return after, gain


def _report(run: Run, line: dict[str, Any], log: TextIO) -> None:
    """Write a line of the log, and now and then one for people."""
    line = {"step": run.step, "elapsed_s": round(run.elapsed_s, 1)} | line
    log.write(to_json(line) + "\n")
    log.flush()
    if run.step % PRINT_EVERY == 0 or "valid_db" in line:
        checked = f"  validation {line['valid_gain_db']:+.2f} dB" if "valid_db" in line else ""
        told = f"SNR {line['snr_db']:.2f} dB" if "snr_db" in line else f"right {line['hit']:.0%}"
        print(
            f"step {run.step}  {run.progress:6.1%}  loss {line['loss']:.4f}  {told}  "
            f"{line['speed']:.1f} x real time{checked}",
            flush=True,
        )


def _keep(run: Run, out: Path) -> None:
    run.save(out)
    curves.plot(out / LOG, out / CURVES)


class _Stop:
    """Within it SIGTERM and Ctrl-C ask to stop after the step in progress."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> None:
        self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGTERM, signal.SIGINT)}

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def main(
    network: Annotated[str, typer.Argument(help="steer")],
    data: Annotated[list[str], typer.Option(help="folder of songs, or FOLDER=WEIGHT; repeatable")],
    out: Annotated[Path, typer.Option(help="folder of the run, made or continued")],
    config: Annotated[
        str, typer.Option(help=f"sizes of the network: {', '.join(steer.CONFIGS)}")
    ] = "small",
    hours: Annotated[float | None, typer.Option(min=0.001, help="length of the run")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="length of the run, instead of hours")
    ] = None,
    validation: Annotated[Path | None, typer.Option(help="folder of songs to validate on")] = None,
    init: Annotated[
        Path | None, typer.Option(help="checkpoint or exported file to take the weights from")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    scenes: Annotated[int, typer.Option(min=1, help="scenes a batch, two targets each")] = 8,
    seconds: Annotated[
        float, typer.Option(min=0.1, help=f"length of a scene, at most {LONGEST_SCENE_S:g} s")
    ] = 2.0,
    rate: Annotated[float, typer.Option(min=0.0, help="highest learning rate")] = 1e-3,
    snr: Annotated[float, typer.Option(help="weight of the SNR term")] = LossWeights.snr,
    seed: Annotated[int, typer.Option(min=0, help="seed of weights and batches")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="threads on a CPU")] = 2,
    only_aim: Annotated[bool, typer.Option(help="teach the aim alone")] = False,
    fused: Annotated[bool, typer.Option(help="compile first; needs a C++ compiler")] = False,
) -> None:
    """Train a network, or go on with a run that was stopped."""
    keep_memory()
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
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
    check_device(device)
    if fused:
        fuse.fuse()
    if init is not None:
        registry.load_weights(built, init)
    pool, names = open_pool(data)
    draw = training_batches(pool, seed, scenes, plan.targets, seconds, plan.aims)
    if only_aim:
        about |= {"part": "aim"}
    task = (RefinerTask if only_aim else SeparationTask)(built, spec, spec.trained_tier, device)
    run = Run(task, plan, about, names)
    if (out / checkpoints.FILE).exists():
        run.resume(out)
    train(run, draw, validation_batches(validation) if validation else [], out)


def check_device(name: str) -> None:
    """Raise StemsteerError if PyTorch cannot compute on a device."""
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise StemsteerError(
            f"--device {name}: {checkpoints.brief(error)}; expected cpu, or cuda with a GPU and "
            "a PyTorch made for it"
        ) from error


def keep_memory() -> None:
    """Ask glibc to keep freed memory: page faults of large tensors cost a third of the time."""
    libc = ctypes.CDLL(ctypes.util.find_library("c"))
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_MMAP_THRESHOLD, 2**30)
