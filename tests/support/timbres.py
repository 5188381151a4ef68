"""Songs of four instruments that differ in their spectra, for training and judging by timbre."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from scipy.signal import lfilter

from models_onnx.data.sources import Pool, Source
from models_onnx.data.stems import Label

RATE_HZ = 44_100
SONG_S = 6.0
BANDS_HZ = {"bass": 90.0, "vocals": 700.0, "guitar": 2500.0, "drums": 9000.0}
FAMILIES = {"bass": "bass", "vocals": "voice", "guitar": "plucked", "drums": "drums"}


def sound(rng: np.random.Generator, name: str, samples: int) -> np.ndarray:
    """Noise in the band of an instrument, in bursts: (samples,)."""
    angle = 2 * np.pi * BANDS_HZ[name] / RATE_HZ
    pole = 0.97
    noise = rng.standard_normal(samples)
    tuned = lfilter([1.0], [1.0, -2 * pole * np.cos(angle), pole**2], noise)
    bursts = np.repeat(rng.uniform(0.2, 1.0, samples // 4000 + 1), 4000)[:samples]
    return 0.1 * bursts * tuned / np.sqrt(np.mean(tuned**2))


def read(stem: np.ndarray, start: int, count: int) -> np.ndarray:
    """Cut a stretch out of a stem (3, samples)."""
    return stem[:, start : start + count]


class Songs:
    """Songs that each have all four instruments, as points; or others, in the bands of these."""

    def __init__(
        self, count: int = 3, seconds: float = SONG_S, others: Mapping[str, str] | None = None
    ) -> None:
        samples = int(seconds * RATE_HZ)
        self.origin = f"{count} songs of {', '.join(others or BANDS_HZ)}"
        self._songs = []
        for number in range(count):
            sources = []
            for name, band in (others or {name: name for name in BANDS_HZ}).items():
                rng = np.random.default_rng([number, len(name), ord(name[0])])
                stem = np.zeros((3, samples), np.float32)
                stem[0] = sound(rng, band, samples)
                label = Label(name, FAMILIES[band], "", f"song {number}")
                sources.append(Source(label, samples, partial(read, stem)))
            self._songs.append(sources)

    def __len__(self) -> int:
        return len(self._songs)

    def sources(self, index: int) -> list[Source]:
        """Return the sources of one song, their labels their own."""
        return [Source(Label(**vars(s.label)), s.samples, s.read) for s in self._songs[index]]


def pool(count: int = 3, seconds: float = SONG_S, others: Mapping[str, str] | None = None) -> Pool:
    """Return a pool of such songs."""
    return Pool([Songs(count, seconds, others)], [1.0])
