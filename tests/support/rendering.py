"""What the tests of `stemsteer render` share: songs, the command, and what is in its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from typer.testing import Result

from tests.support.commands import stemsteer
from tests.support.signals import pan

RATE_HZ = 44_100


def panned(azimuth_deg: float, samples: int, seed: int) -> NDArray[np.float64]:
    """A chord of its own for every seed, (samples, 2)."""
    chord_hz = np.random.default_rng(seed).uniform(100, 4000, 8)[:, None]
    sound = 0.06 * np.sin(2 * np.pi * chord_hz * np.arange(samples) / RATE_HZ).sum(0)
    return pan(sound, azimuth_deg)


def noise_song(folder: Path) -> Path:
    """Write two seconds of noise."""
    samples = 0.1 * np.random.default_rng(3).standard_normal((2 * RATE_HZ, 2))
    soundfile.write(folder / "song.wav", samples, RATE_HZ, subtype="FLOAT")
    return folder / "song.wav"


def render_song(*arguments: object) -> Result:
    """`stemsteer render` with these words, in this process."""
    return stemsteer("render", *arguments)


def integers(path: Path) -> NDArray[np.int32]:
    """The samples of a file of 16 bits (samples, channels)."""
    return soundfile.read(path, dtype="int32", always_2d=True)[0] >> 16


def sound(path: Path) -> NDArray[np.float32]:
    """The samples of a file (channels, samples)."""
    return soundfile.read(path, dtype="float32")[0].T


def left_over(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
