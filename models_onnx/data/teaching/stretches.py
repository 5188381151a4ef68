"""Stretches of a finished mix in which a teacher is sure of what it takes out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models_onnx.data import audiofiles
from models_onnx.data.classes import ACCOMPANIMENT, VOICE
from models_onnx.data.stems import RATE_HZ
from models_onnx.data.teaching.certainty import LOOK, SURE, Look, look_at
from plugin_bridge.offline.render import aligned_stems
from realtime import OnnxModel, Separator, load_model
from realtime.arrays import Floats
from realtime.errors import StemsteerError
from realtime.model import Model

FEWEST, MOST = 4, 20  # looks in a stretch
LEAST_WEIGHT = 0.05
SUM_ERROR = 1e-5
_BLOCK = 4 * LOOK


class Stretch:
    """Looks in a row that are sure of the same sounds.

    Parameters
    ----------
    start : of its first sample in the song.
    """

    def __init__(self, start: int, kind: frozenset[str]) -> None:
        self.start, self.kind = start, kind
        self._heard: list[tuple[Look, Floats, Floats]] = []

    def __len__(self) -> int:
        return len(self._heard)

    def add(self, look: Look, mixture: Floats, voice: Floats) -> None:
        """Append a look and its sounds (2, samples)."""
        self._heard.append((look, mixture, voice))

    def stems(self) -> list[tuple[str, float, Floats]]:
        """Return class, confidence and sound (2, samples) of what is sure.

        Where nobody sings the mixture itself is the accompaniment, untouched.
        """
        mixture, voice = (np.concatenate([heard[k] for heard in self._heard], 1) for k in (1, 2))
        if "mixture" in self.kind:
            unsung = 1 - float(np.mean([10 ** (look.voice_db / 10) for look, *_ in self._heard]))
            return [(ACCOMPANIMENT, unsung, mixture)]
        found = []
        if VOICE in self.kind:
            found.append((VOICE, self._mean("voice"), voice))
        if ACCOMPANIMENT in self.kind:
            found.append((ACCOMPANIMENT, self._mean("accompaniment"), mixture - voice))
        return found

    def _mean(self, name: str) -> float:
        return float(np.mean([getattr(look, name) for look, *_ in self._heard]))


def weight_of(confidence: float) -> float:
    """Return how often a sound is drawn: 1 where all is sure, little at the limit of what is."""
    return round(min(1.0, max(LEAST_WEIGHT, (confidence - SURE) / (1 - SURE))), 3)


def load_teacher(name: str) -> OnnxModel:
    """Load a model that takes the voice out of files. Raises StemsteerError if it does not."""
    model = load_model(name, "offline")
    if VOICE not in model.spec.targets or "offline" not in model.spec.tiers:
        raise StemsteerError(
            f"{name} does not take {VOICE} out of files: `stemsteer models add spleeter`, and give "
            "--model spleeter"
        )
    return model


def stretches_of(song: Path, teacher: Model) -> Iterator[Stretch]:
    """Yield the stretches of a song in which the teacher is sure, in order.

    Raises
    ------
    StemsteerError : the song cannot be read, or the teacher's stems do not sum to the mixture.
    """
    current: Stretch | None = None
    for number, (mixture, voice) in enumerate(_looks(song, teacher)):
        look = look_at(mixture, voice)
        if current is not None and (look.sure != current.kind or len(current) == MOST):
            if len(current) >= FEWEST:
                yield current
            current = None
        if look.sure:
            current = current or Stretch(number * LOOK, look.sure)
            current.add(look, mixture, voice)
    if current is not None and len(current) >= FEWEST:
        yield current


def _looks(song: Path, teacher: Model) -> Iterator[tuple[Floats, Floats]]:
    """Yield mixture and voice, `LOOK` samples at a time; what is left at the end is dropped."""
    separator = Separator(teacher, RATE_HZ, tier="offline")
    place = teacher.spec.targets.index(VOICE)
    kept = np.zeros((2, 2, 0), np.float32)
    for mixture, stems in aligned_stems(_blocks(song), separator):
        if np.abs(mixture - stems.sum(0)).max(initial=0.0) > SUM_ERROR:
            raise StemsteerError(f"{teacher.spec.name}: its stems do not sum to {song}")
        kept = np.concatenate([kept, np.stack([mixture, stems[place]])], axis=2)
        while kept.shape[2] >= LOOK:
            yield kept[0, :, :LOOK], kept[1, :, :LOOK]
            kept = kept[:, :, LOOK:]


def _blocks(song: Path) -> Iterator[Floats]:
    samples = audiofiles.length(song)
    for start in range(0, samples, _BLOCK):
        yield audiofiles.read(song, start, min(_BLOCK, samples - start))
