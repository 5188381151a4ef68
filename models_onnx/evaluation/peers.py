"""Compare the cost of separators on this machine: ``python -m models_onnx peers``.

Each runs in a process of its own on one thread, on the same minute of sound. What is measured is
the processor's time, so that other work on the machine counts little, without loading, and the
greatest memory, with it. Networks of others are built as published with random weights, which take
the same time as trained ones: HTDemucs (Rouard, Massa & Défossez 2023; four sources, without
shifts) and Open-Unmix (Stöter et al. 2019; four sources, one pass of its Wiener filter).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from realtime.errors import StemsteerError
from realtime.model import find_model

PACKAGES = {"htdemucs": "demucs", "open-unmix": "openunmix"}
"""Of the networks of others, the package that each comes from."""
OURS = ("panorama", "steer", "steer-studio", "spleeter-offline")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Cost:
    """What a separator took for `seconds` of sound.

    Parameters
    ----------
    processor_s : time of the processor, without loading.
    memory_mb : greatest resident memory of its process.
    latency_s : from a sample that comes in to its place in the output, beside computing.
    """

    system: str
    seconds: float
    processor_s: float
    memory_mb: float
    latency_s: float

    @property
    def speed(self) -> float:
        """Return how many times as fast as real time it is."""
        return self.seconds / self.processor_s


def available() -> list[str]:
    """Return the systems that can be measured here: packages and models that are installed."""
    names = [name for name, package in PACKAGES.items() if importlib.util.find_spec(package)]
    for name in OURS:
        try:
            find_model(name)
        except StemsteerError:
            continue
        names.append(name)
    return names


def measure(system: str, seconds: float) -> Cost:
    """Run a system in a process of its own.

    Raises
    ------
    StemsteerError with its last words if it fails.
    """
    command = [sys.executable, "-m", "models_onnx.evaluation.peer_process", system, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | _ONE_THREAD)
    if done.returncode:
        words = done.stderr.strip().splitlines()
        raise StemsteerError(f"{system} cannot be measured: {words[-1] if words else 'no reason'}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Cost(system, **told)


def table(costs: Sequence[Cost]) -> Table:
    """Return the costs as a Markdown table, the quickest last."""
    shown = Table("system", "times real time", "memory", "latency", box=MARKDOWN)
    for cost in sorted(costs, key=lambda cost: cost.speed):
        latency = f"{cost.latency_s:.1f} s" if cost.latency_s >= 1 else f"{cost.latency_s:.3f} s"
        shown.add_row(cost.system, f"{cost.speed:.1f}", f"{cost.memory_mb:.0f} MB", latency)
    return shown


def main(
    seconds: Annotated[float, typer.Option(min=5, max=600, help="sound to separate")] = 60.0,
    system: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join((*PACKAGES, *OURS))}; default: all here")
    ] = None,
) -> None:
    """Measure speed, memory and latency of these models beside published ones."""
    known = (*PACKAGES, *OURS)
    if unknown := [name for name in system or () if name not in known]:
        raise StemsteerError(f"no system {unknown[0]!r}; there are {', '.join(known)}")
    here = available()
    if absent := [name for name in system or () if name in OURS and name not in here]:
        package = absent[0].removesuffix("-offline")
        raise StemsteerError(f"no {absent[0]} here: `stemsteer models add {package}` installs it")
    Console(width=160).print(table([measure(name, seconds) for name in system or here]))
