"""Checkpoints: tensors and plain values alone, written whole or not at all."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import torch

from realtime.atomic import atomic_write
from realtime.errors import StemsteerError

FILE = "checkpoint.pt"


class CheckpointError(StemsteerError):
    """A checkpoint that is missing, broken, or of another run."""


def save(folder: Path, contents: dict[str, Any]) -> Path:
    """Write `folder`/checkpoint.pt and return it; a reader sees the old file or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / FILE) as part:
        torch.save(contents, part)
    return folder / FILE


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint file, or that of a folder; nothing in it is executed.

    Raises
    ------
    CheckpointError : it is missing, cannot be read, or is not of a training run.
    """
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise CheckpointError(
            f"no checkpoint at {path}: give the folder of a training run, or its {FILE}"
        )
    contents = read(path, "a checkpoint", "give the folder of another training run", device)
    if not isinstance(contents, dict) or "step" not in contents:
        raise CheckpointError(f"{path} is a torch file, but not a checkpoint of a training run")
    return contents


def read(path: Path, what: str, remedy: str, device: torch.device | str = "cpu") -> Any:
    """Read a file of torch, which is called `what` to people; nothing in it is executed.

    Where it cannot be read they are told the remedy.

    What torch says of a file that it cannot read is left out: it advises to let it execute code.

    Raises
    ------
    CheckpointError : it is damaged, or of another program. OSError : it cannot be opened.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, …
        raise CheckpointError(
            f"{path} is not {what} that can be read: it is damaged, or of another program; {remedy}"
        ) from error


def brief(error: Exception) -> str:
    """Return the first lines of a message of torch, which may go on for pages."""
    return " ".join(" ".join(str(error).splitlines()[:2]).split())


def commit() -> str:
    """Return the commit of the source tree, with ``+`` if files differ from it; "" without git."""
    folder = Path(__file__).resolve().parent
    run = ["git", "-C", str(folder)]
    try:
        found = subprocess.run(
            [*run, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*run, "status", "--porcelain", "--untracked-files=no", "."],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found + ("+" if changed else "")
