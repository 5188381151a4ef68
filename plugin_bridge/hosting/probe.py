"""Trial of a plugin in a process of its own: some crash when they are loaded, some never end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from plugin_bridge.launch import own_process
from realtime.errors import StemsteerError

LOAD_S = 20.0


def probe(path: Path, plugin_name: str | None, load_s: float, where: Path) -> None:
    """Load a plugin in a process of its own: if it crashes or hangs, only that process is lost.

    Raises StemsteerError if it crashes, is not loaded within `load_s`, or is no plugin; `where` is
    the file of the chain, for the message.
    """
    command = own_process("plugin_bridge.hosting.probe_process", path.absolute(), plugin_name or "")
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=load_s)
    except subprocess.TimeoutExpired:
        raise StemsteerError(
            f"{where}: {path} did not finish loading within {load_s:g} s; leave it out, try "
            f'it in another host, or give it longer: "load_s": {10 * load_s:g}'
        ) from None
    finally:
        _end(process)
    if process.returncode < 0:
        raise StemsteerError(
            f"{where}: {path} crashes when it is loaded (signal {-process.returncode}); "
            "leave it out, or try it in another host"
        )
    if process.returncode:
        reason = (said.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        raise StemsteerError(f"{where}: {path} is no plugin that can be used: {reason}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and those that it has started."""
    with contextlib.suppress(OSError):  # none is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
