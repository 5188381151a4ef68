"""What the tests of live sound share: noise to play, how it is heard, and what must be heard."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.target import Target
from plugin_bridge.live.session import LiveSession
from realtime import Separator, load_model
from tests.support import signals
from tests.support.waiting import until

Floats = NDArray[np.float32]

RATE = 44_100
GUITAR = [Target("guitar", -30.0)]


def panned(azimuth_deg: float, samples: int) -> Floats:
    """Noise from one direction (2, samples)."""
    sound = np.random.default_rng(1).standard_normal(samples).astype(np.float32) * 0.1
    return signals.panned(sound, azimuth_deg)


def offline(mixture: Floats) -> Floats:
    """The guitar at -30 degrees and the rest of a mixture, not delayed."""
    separator = Separator(load_model("panorama"), RATE, targets=["guitar"])
    separator.set("guitar", azimuth_deg=-30)
    out = np.concatenate([separator.process(mixture), separator.flush()], axis=2)
    return out[:, :, separator.latency :]


def play(session: LiveSession, mixture: Floats, block: int = 256) -> Floats:
    """The session's answer, given time for every block: what it says when nothing is late."""
    out = []
    for first in range(0, mixture.shape[1], block):
        out.append(session.process(np.ascontiguousarray(mixture[:, first : first + block])))
        engine = session.processor
        while engine._written - engine._done >= session.output_stage.tier.hop:
            time.sleep(0.0002)
    return np.concatenate(out, axis=1)


def until_recorded(folder: Path, seconds: float) -> None:
    """Wait until so much of what comes in is recorded."""
    part = folder / "input.wav.part"
    size = int(seconds * RATE) * 8  # two channels of four bytes
    until(lambda: part.exists() and part.stat().st_size > size, f"{seconds:.2f} s are recorded")


def recorded_s(folder: Path) -> float:
    """Return how much of what comes in is recorded so far."""
    return (folder / "input.wav.part").stat().st_size / 8 / RATE


def start(*arguments: object) -> subprocess.Popen[str]:
    """A `stemsteer` with these words, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "plugin_bridge.cli", *map(str, arguments)],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def said(process: subprocess.Popen[str], words: str) -> str:
    """The line of the error stream with `words` in it."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended without {words!r}")
