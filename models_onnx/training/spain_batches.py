"""The scenes of SpaIn-Net: four mono stems of given instruments, amplitude-panned at random.

Songs that hold all four are rare, so every stem comes from a song of its own, as Open-Unmix mixes
in training: keys and tempos do not agree. What of a stem is wide is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from models_onnx.data.collections import open_collection
from models_onnx.data.scenes import EvaluationScene
from models_onnx.data.sources import Collection, Part, Source
from models_onnx.data.stems import RATE_HZ, pan_gains
from models_onnx.training.batches import Batch
from realtime.errors import StemsteerError

CLASSES = {
    "guitar": {"guitar"},
    "strings": {"violin", "viola", "cello", "strings"},
    "bass": {"bass", "double_bass"},
    "piano": {"piano", "keys"},
}
"""Our classes of an instrument; the piano is that of Slakh, whose class has electric ones too."""
GAIN = (0.25, 1.25)
HEARD_RMS = 0.01
TRIES = 8
NOISE_DEG = 8.0
PEAK = 0.95


def instrument(source: str) -> str:
    """Return the instrument of a source: guitar of guitar2."""
    return source.rstrip("12")


class Stems:
    """The stems of some instruments in folders of songs; of data sets in parts the one named.

    `origins` has what tells the songs of each folder from any others.

    Raises
    ------
    StemsteerError : an instrument has not as many stems as sources want at once.
    """

    def __init__(
        self, folders: Sequence[Path], sources: Sequence[str], *, part: Part = "train"
    ) -> None:
        wanted = [instrument(name) for name in sources]
        self.sources = tuple(sources)
        self._of: dict[str, list[Source]] = {name: [] for name in wanted}
        self.origins: list[str] = []
        for folder in folders:
            songs = open_collection(folder, part=part)
            self.origins.append(songs.origin)
            self._add(songs)
        for name, found in self._of.items():
            if len(found) < wanted.count(name):
                raise StemsteerError(
                    f"{', '.join(map(str, folders))}: {len(found)} stems of {name}, expected at "
                    f"least {wanted.count(name)} (classes {', '.join(sorted(CLASSES[name]))})"
                )

    def _add(self, songs: Collection) -> None:
        for index in range(len(songs)):
            for source in songs.sources(index):
                for name, found in self._of.items():
                    if source.label.name in CLASSES[name]:
                        found.append(source)

    def draw(self, rng: np.random.Generator, seconds: float) -> EvaluationScene:
        """Draw a scene; directions are uniform, and in order among sources of one instrument."""
        samples = round(seconds * RATE_HZ)
        azimuths = rng.uniform(-45.0, 45.0, len(self.sources))
        mono = []
        for name in dict.fromkeys(map(instrument, self.sources)):
            of = [k for k, s in enumerate(self.sources) if instrument(s) == name]
            azimuths[of] = np.sort(azimuths[of])
            chosen = rng.choice(len(self._of[name]), len(of), replace=False)
            mono += [_cut(rng, self._of[name][int(i)], samples) for i in chosen]
        gains = np.array([pan_gains(azimuth) for azimuth in azimuths], np.float32)
        dry = np.stack(mono) * rng.uniform(*GAIN, (len(mono), 1)).astype(np.float32)
        images = gains[:, :, None] * dry[:, None]
        images *= min(1.0, PEAK / max(float(np.abs(images.sum(0)).max()), 1e-9))
        return EvaluationScene(images.sum(0), images, azimuths.astype(np.float32), self.sources)


def _cut(rng: np.random.Generator, source: Source, samples: int) -> np.ndarray:
    """Cut the direct sound of a stem (samples,) where it is heard, if a few tries find that."""
    out = np.zeros(samples, np.float32)
    count = min(samples, source.samples)
    for _ in range(TRIES):
        start = int(rng.integers(0, source.samples - count + 1))
        out[:count] = source.read(start, count)[0]
        if np.sqrt(np.mean(np.square(out))) > HEARD_RMS:
            break
    return out


def as_batch(scenes: Sequence[EvaluationScene], noise_deg: np.ndarray | float = 0.0) -> Batch:
    """Return scenes as a batch; `noise_deg` (scenes, sources) is by how much directions are off."""
    true = np.stack([scene.azimuth_deg for scene in scenes])
    told = np.clip(true + noise_deg, -45, 45).astype(np.float32)
    azimuth = torch.from_numpy(told)
    return Batch(
        torch.from_numpy(np.stack([scene.mixture for scene in scenes])),
        torch.from_numpy(np.stack([scene.images for scene in scenes])),
        {"direction": torch.stack([azimuth, torch.full_like(azimuth, 20.0)], -1)},
        torch.ones(len(scenes)),
    )


def training_batches(
    stems: Stems, seed: int, scenes: int, seconds: float, *, noise: bool
) -> Callable[[int], Batch]:
    """Return batch k as a function of k; with `noise` the directions are wrong by U(−8°, +8°).

    The sound is the same with and without noise, and for every way of telling the network.
    """

    def batch(step: int) -> Batch:
        rng = np.random.default_rng([seed, step])
        drawn = [stems.draw(rng, seconds) for _ in range(scenes)]
        wrong = rng.uniform(-NOISE_DEG, NOISE_DEG, (scenes, len(stems.sources)))
        return as_batch(drawn, wrong if noise else 0.0)

    return batch


def evaluation_scenes(
    stems: Stems, count: int, seconds: float, seed: int = 0
) -> Iterator[EvaluationScene]:
    """Draw `count` scenes, always the same ones for a seed."""
    for number in range(count):
        yield stems.draw(np.random.default_rng([seed, number]), seconds)
