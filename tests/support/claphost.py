"""Runs the CLAP plugin in the small host of tests/cpp, offline or in real time."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.support.engine_sandbox import LATENCY, built_plugin, compiled

PARAMETERS = {"azimuth": 0, "width": 1, "instrument": 2, "mix": 5, "mode": 6, "gain": 7,
              "bypass": 8, "latency_mode": 9, "offline": 10}  # fmt: skip
CONNECTED, DROPOUTS, LOAD = 11, 12, 13
HALF_DB = -6.0205999  # processed sound has half the level, dry sound has not: so one can tell


class Run:
    """One run of the host over `x`."""

    def __init__(
        self,
        folder: Path,
        x: np.ndarray,
        *options: str,
        name: str = "Stemsteer",
        plugin: Path | None = None,
        host: Path | None = None,
        **values: float,
    ) -> None:
        self.x = x
        self._out = folder / "out.f32"
        x.T.astype(np.float32).tofile(folder / "in.f32")
        identity = {"Stemsteer": "stemsteer.stemsteer", "StemsteerSplit": "stemsteer.split"}[name]
        sets = [f"set={PARAMETERS[key]}:{value}:0" for key, value in values.items()]
        self.process = subprocess.Popen(
            [
                host or compiled("clap_player"),
                f"plugin={plugin or built_plugin() / f'{name}.clap'}",
                f"id={identity}",
                f"in={folder / 'in.f32'}",
                f"out={self._out}",
                *sets,
                *options,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> tuple[np.ndarray, dict]:
        """End a run in real time now."""
        self.process.terminate()
        y, facts = self.end()
        self.x = self.x[:, : y.shape[1]]
        return y, facts

    def end(self, timeout_s: float = 180.0) -> tuple[np.ndarray, dict]:
        """The output (channels, frames) and what the host saw."""
        printed, _ = self.process.communicate(timeout=timeout_s)
        assert self.process.returncode == 0, f"the host failed: {self.process.returncode}"
        facts = json.loads(printed)
        y = np.fromfile(self._out, np.float32).reshape(-1, facts["channels"]).T
        return y, facts


def played(y: np.ndarray, x: np.ndarray, block: int, latency: int = LATENCY) -> np.ndarray:
    """What was played in each block: 2 processed (half the level), 1 dry, 0 something else.

    The input is compared sample by sample at the latency, so a shift would be something else.
    """
    late = np.concatenate([np.zeros((2, latency), np.float32), x], axis=1)[:, : y.shape[1]]
    kinds = []
    for at in range(latency // block * block + block, y.shape[1] - block + 1, block):
        sound, input_ = y[:2, at : at + block], late[:, at : at + block]
        if np.abs(sound - input_ / 2).max() < 1e-4:
            kinds.append(2)
        else:
            kinds.append(1 if np.abs(sound - input_).max() < 1e-6 else 0)
    return np.array(kinds)


@contextlib.contextmanager
def stalls() -> Iterator[dict]:
    """How long the machine itself stood still meanwhile: {"stalled_s", "longest_s"}.

    Shared and virtual machines do, and no program can then play in time.
    """
    facts: dict = {"stalled_s": 0.0, "longest_s": 0.0}
    if os.geteuid() != 0:
        yield facts
        return
    watch = subprocess.Popen(
        [compiled("jitter")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield facts
    finally:
        printed, _ = watch.communicate("")
        facts.update(json.loads(printed))
