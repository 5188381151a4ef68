"""Stems in the memory of the device that trains, and how loud they are where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models_onnx.data import production
from models_onnx.data.classes import ACCOMPANIMENT
from models_onnx.data.sources import Source
from models_onnx.data.stems import image, split

BLOCK = 4096
FULL_SCALE = 32767.0


class Sounds:
    """Stems in the memory of a device, two numbers a sample: direct sound and side.

    Parameters
    ----------
    capacity : samples that there is room for.

    Attributes
    ----------
    energy : mean square of each block of a stem, in the order of `classes`.
    songs : the stems of each song.
    """

    def __init__(self, capacity: int, device: torch.device | str) -> None:
        self.samples = torch.zeros(capacity, 2, dtype=torch.int16, device=device)
        self.used = 0
        self.first: list[int] = []
        self.length: list[int] = []
        self.classes: list[str] = []
        self.energy: list[NDArray[np.float32]] = []
        self.songs: list[list[int]] = []
        self.kinds: list[int] = []

    def add(self, sources: Sequence[Source], kind: int = 0) -> bool:
        """Take a song in, of a kind that is drawn by its weight; False if there is no room.

        Voices that are none are left out, and accompaniments, of which nobody knows what they hold.
        """
        usable = [
            s for s in sources if production.real_voice(s.label) and s.label.name != ACCOMPANIMENT
        ]
        return self.put([(s.label.name, *stored(s)) for s in usable], kind)

    def put(
        self, stems: Sequence[tuple[str, NDArray[np.int16], NDArray[np.float32]]], kind: int = 0
    ) -> bool:
        """Take a song in whose stems are (class, samples, energy), the latter as `stored` gives."""
        if self.used + sum(len(samples) for _, samples, _ in stems) > len(self.samples):
            return False
        song = []
        for name, samples, energy in stems:
            end = self.used + len(samples)
            self.samples[self.used : end] = torch.from_numpy(samples).to(self.samples.device)
            song.append(len(self.first))
            self.first.append(self.used)
            self.length.append(len(samples))
            self.classes.append(name)
            self.energy.append(energy)
            self.used = end
        if song:
            self.songs.append(song)
            self.kinds.append(kind)
        return True


def stored(source: Source) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Return a stem as `Sounds` hold it: (samples, 2), and the mean square of each block."""
    stereo = split(image(source.read(0, source.samples), 0.0))[:2]
    scaled = np.clip(stereo * (FULL_SCALE / np.sqrt(2)), -FULL_SCALE, FULL_SCALE)
    blocks = source.samples // BLOCK
    power = np.square(stereo).sum(0)[: blocks * BLOCK].reshape(blocks, BLOCK).mean(1)
    return np.ascontiguousarray(scaled.T.astype(np.int16)), power.astype(np.float32)
