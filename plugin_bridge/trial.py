"""Trial of files from anywhere in a process of its own: some crash, and some never end.

A library that works through a foreign file in C does not come back to Python, so that nothing of
ours could end it: no signal, no clock. Here the system ends the process.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from plugin_bridge.launch import ending_signals, own_process
from realtime.errors import StemsteerError, one_line

LOAD_S, RUN_S = 30.0, 120.0


def faults_of(
    function: Callable[[Path], object], paths: Sequence[Path], limit_s: float
) -> list[str]:
    """Call a function of a module with each of these files, and tell what it raises; "" if nothing.

    Parameters
    ----------
    limit_s : for each file; what takes longer is ended, and that is its fault.
    """
    faults: list[str] = []
    while len(faults) < len(paths):
        rest = paths[len(faults) :]
        code, told = _run(function, rest, limit_s)
        faults += told[: len(rest)]
        if len(told) < len(rest):
            faults.append(_ended(code, limit_s))
    return faults


def check(function: Callable[[Path], object], path: Path, limit_s: float) -> None:
    """Call a function of a module with a file; raises StemsteerError for what `faults_of` tells."""
    if fault := faults_of(function, [path], limit_s)[0]:
        raise StemsteerError(fault)


def _run(
    function: Callable[[Path], object], paths: Sequence[Path], limit_s: float
) -> tuple[int, list[str]]:
    """Return how the process has ended, and what it has said of the files that it has come to."""
    words = (function.__module__, function.__name__, limit_s, *(p.absolute() for p in paths))
    process = subprocess.Popen(
        own_process("plugin_bridge.trial", *words, ends_with_parent=True),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        said, _ = process.communicate()
    finally:
        process.kill()
        process.wait()
    return process.returncode, [json.loads(line) for line in said.splitlines()]


def _ended(code: int, limit_s: float) -> str:
    if code == -getattr(signal, "SIGALRM", 0):
        return f"this model has not ended within {limit_s:g} s: it is refused"
    return f"this model crashes when it is tried (status {code}): it is refused"


def main(module: str, function: str, limit_s: str, *paths: str) -> None:
    """Say of each file, in a line of JSON, what the function raises."""
    out, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    for number in ending_signals():
        signal.signal(number, signal.SIG_DFL)
    call = getattr(importlib.import_module(module), function)
    for path in paths:
        if hasattr(signal, "setitimer"):  # its signal ends the process, whatever that is doing
            signal.setitimer(signal.ITIMER_REAL, float(limit_s))
        try:
            call(Path(path))
            fault = ""
        except Exception as error:
            fault = one_line(error) or type(error).__name__
        os.write(out, f"{json.dumps(fault)}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
