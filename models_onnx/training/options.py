"""What the commands that train share: their options, and how they make PyTorch ready."""

from __future__ import annotations

import ctypes
import ctypes.util
from pathlib import Path
from typing import Annotated

import torch
import typer

from models_onnx.networks import checkpoints
from models_onnx.training import fuse
from models_onnx.training.run import LONGEST_SCENE_S
from realtime.errors import StemsteerError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

Data = Annotated[list[str], typer.Option(help="folder of songs, or FOLDER=WEIGHT; repeatable")]
Out = Annotated[Path, typer.Option(help="folder of the run, made or continued")]
Hours = Annotated[float | None, typer.Option(min=0.001, help="length of the run")]
Steps = Annotated[int | None, typer.Option(min=1, help="length of the run, instead of hours")]
Validation = Annotated[Path | None, typer.Option(help="folder of songs to validate on")]
Init = Annotated[
    Path | None, typer.Option(help="checkpoint or exported file to take the weights from")
]
Device = Annotated[str, typer.Option(help="cpu or cuda")]
Scenes = Annotated[int, typer.Option(min=1, help="scenes a batch")]
Targets = Annotated[int, typer.Option(min=1, help="questions a scene")]
Seconds = Annotated[
    float, typer.Option(min=0.1, help=f"length of a scene, at most {LONGEST_SCENE_S:g} s")
]
Rate = Annotated[float, typer.Option(min=0.0, help="highest learning rate")]
Average = Annotated[float, typer.Option(min=0, max=1, help="decay of the averaged weights")]
Seed = Annotated[int, typer.Option(min=0, help="seed of weights and batches")]
Threads = Annotated[int, typer.Option(min=1, help="threads on a CPU")]
Fused = Annotated[bool, typer.Option(help="compile first; needs a C++ compiler")]


def prepare(seed: int, threads: int, device: str = "cpu", *, fused: bool = False) -> None:
    """Make PyTorch ready for a run: its memory, threads, seed and, if `fused`, its compiler.

    Raises StemsteerError if PyTorch cannot compute on a device.
    """
    _keep_memory()
    _check_device(device)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    if fused:
        fuse.fuse()


def _check_device(name: str) -> None:
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise StemsteerError(
            f"--device {name}: {checkpoints.brief(error)}; expected cpu, or cuda with a GPU and "
            "a PyTorch made for it"
        ) from error


def _keep_memory() -> None:
    """Ask glibc to keep freed memory: page faults of large tensors cost a third of the time."""
    libc = ctypes.CDLL(ctypes.util.find_library("c"))
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_MMAP_THRESHOLD, 2**30)
