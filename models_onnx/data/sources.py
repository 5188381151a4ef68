"""What training draws from: sources of sound, grouped into songs, grouped into collections."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from models_onnx.data.stems import Label

Part = Literal["train", "validation", "test"]
"""Which songs of a data set that comes in parts: those to train on, those that tell how a training
goes, or those that only evaluations read."""


@dataclass(frozen=True)
class Source:
    """One stem of one song, read in pieces.

    Parameters
    ----------
    samples : its length at 44.1 kHz.
    read : ``read(start, count)`` → (3, count) float32: direct, wide left, wide right as
        ``stems.split`` makes them; start + count ≤ samples.
    weight : how often it is taken where it has been drawn, above 0 and at most 1: less for what
        somebody has taken out of a mix than for what was recorded alone.
    """

    label: Label
    samples: int
    read: Callable[[int, int], np.ndarray]
    weight: float = 1.0


class Collection(Protocol):
    """Songs, each a list of sources that sound at the same time."""

    @property
    def normalised(self) -> bool:
        """Return whether all stems have one level and stand in the centre."""

    @property
    def origin(self) -> str:
        """Return what tells these songs from any others, see `origin_of`."""

    def __len__(self) -> int:
        """Return the number of songs."""

    def sources(self, index: int) -> list[Source]:
        """Return the sources of one song."""


@dataclass(frozen=True)
class Pool:
    """Several collections mixed by weight: how often a song comes from each."""

    collections: Sequence[Collection]
    weights: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.collections) != len(self.weights) or not self.collections:
            raise ValueError("a pool needs one weight a collection, and at least one collection")
        if min(self.weights) < 0 or sum(self.weights) <= 0:
            raise ValueError(f"weights must be >= 0 and not all zero: {list(self.weights)}")

    @property
    def origins(self) -> list[str]:
        """Return what tells the songs of each collection from any others."""
        return [collection.origin for collection in self.collections]

    def draw(self, rng: np.random.Generator) -> list[Source]:
        """Return the sources of a song drawn at random; one of little weight is drawn again."""
        chances = np.asarray(self.weights) / sum(self.weights)
        while True:
            collection = self.collections[int(rng.choice(len(chances), p=chances))]
            song = collection.sources(int(rng.integers(len(collection))))
            weight = min((source.weight for source in song), default=1.0)
            if weight >= 1 or rng.random() < weight:
                return song


def origin_of(files: Iterable[Path]) -> str:
    """Return a hash of where files lie, how large they are and when they were last changed."""
    digest = hashlib.sha256()
    for file in files:
        about = file.stat()
        digest.update(f"{file.resolve()}\0{about.st_size}\0{about.st_mtime_ns}\0".encode())
    return digest.hexdigest()
