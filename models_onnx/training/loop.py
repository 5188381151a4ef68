"""The loop that trains: one for all networks.

A run can be stopped at any moment (SIGTERM, Ctrl-C, power) and started again with the same command;
with a length in steps the result is the same to the bit, with one in hours only the learning rate
depends on the clock.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import torch

from models_onnx.data.json_lines import whole_lines
from models_onnx.strict_json import to_json
from models_onnx.training import curves
from models_onnx.training.batches import Batch, batches
from models_onnx.training.run import Run

SAVE_EVERY_S = 240.0
PRINT_EVERY = 20
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

    Raises StemsteerError if nothing is learned any more, see `Run.advance`.

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
    whole_lines(out / LOG)  # a line that a crash cut off would swallow the next one
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
    print(f"{out}: step {run.step}, {run.progress:.1%}; {rest}{_left_out(run)}", flush=True)


@torch.no_grad()
def validate(run: Run, validation: list[Batch]) -> tuple[float, float]:
    """Return the mean SI-SDR of the averaged weights and its gain over the mixture, dB.

    Batches without a target that is loud enough do not count; NaN if there are no others.
    """
    judged = [run.task.gain_db(run.average, batch.to(run.task.device)) for batch in validation]
    found = [means for means in judged if means is not None]
    if not found:
        return math.nan, math.nan
    after, gain = (sum(values) / len(found) for values in zip(*found, strict=True))
    return after, gain


def _report(run: Run, line: dict[str, Any], log: TextIO) -> None:
    """Write a line of the log, and now and then one for people."""
    line = {"step": run.step, "elapsed_s": round(run.elapsed_s, 1)} | line
    log.write(to_json(line) + "\n")
    log.flush()
    if run.step % PRINT_EVERY == 0 or "valid_db" in line:
        checked = _validation(line["valid_gain_db"]) if "valid_db" in line else ""
        told = f"SNR {line['snr_db']:.2f} dB" if "snr_db" in line else f"right {line['hit']:.0%}"
        print(
            f"step {run.step}  {run.progress:6.1%}  loss {line['loss']:.4f}  {told}  "
            f"{line['speed']:.1f} x real time{checked}{_left_out(run)}",
            flush=True,
        )


def _validation(gain_db: float) -> str:
    known = f"{gain_db:+.2f} dB" if math.isfinite(gain_db) else "has no target that is loud enough"
    return f"  validation {known}"


def _left_out(run: Run) -> str:
    """Return what people are told of steps that taught nothing."""
    return f"  left out {run.left_out} steps (gradient not finite)" if run.left_out else ""


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
