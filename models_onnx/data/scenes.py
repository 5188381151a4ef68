"""Scenes to judge separation on: stems of songs, panned by a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from models_onnx.data.mixer import Mixing, draw
from models_onnx.data.sources import Collection
from realtime.arrays import Floats

AUDIBLE_DB = -20.0
"""A target is judged when it is louder than this against its mixture."""
ALONE_DB = -60.0
"""Where the rest is quieter than this there is nothing to take it from."""
MIXING = Mixing(
    sources=(2, 5), rate=0.0, silent=0.0, near=0.0, centre=0.0, balance=0.0, wet=(1.0, 1.0)
)
AS_MIXED_DB = (-3.0, 3.0)
"""Stems as they were recorded have about the levels of the real mix already."""


@dataclass(frozen=True)
class EvaluationScene:
    """A mixture, what it is made of, and what its sources are called.

    Parameters
    ----------
    mixture : (2, samples) float32.
    images : (sources, 2, samples) float32, whose sum is the mixture.
    azimuth_deg : (sources,) float32, −45 … +45.
    names : of the sources: the class of an instrument, or song and stem where files name them.
    classes : of the sources, as in `models_onnx.data.classes`; empty where nobody has told them.
    song : number of the song that it is of.
    """

    mixture: Floats
    images: Floats
    azimuth_deg: Floats
    names: tuple[str, ...]
    classes: tuple[str, ...] = ()
    song: int = 0

    def targets(self) -> list[int]:
        """Return the sources that are loud enough to be judged, and not alone."""
        power, mixture = np.square(self.images).sum((1, 2)), np.square(self.mixture).sum()
        rest = np.square(self.mixture - self.images).sum((1, 2))
        audible = power > 10 ** (AUDIBLE_DB / 10) * mixture
        return [int(k) for k in np.flatnonzero(audible & (rest > 10 ** (ALONE_DB / 10) * mixture))]

    def nearest_deg(self, source: int) -> float:
        """Return the angle between a source and the nearest other one; 90 where there is none."""
        others = np.delete(self.azimuth_deg, source)
        return float(np.abs(others - self.azimuth_deg[source]).min(initial=90.0))

    def only(self, name: str) -> int | None:
        """Return the one source of a class; None where there is none or several."""
        found = [k for k, own in enumerate(self.classes) if own == name]
        return found[0] if len(found) == 1 else None


def evaluation_scenes(
    songs: Collection, count: int, seconds: float, *, keep_width: bool, seed: int = 0
) -> Iterator[EvaluationScene]:
    """Draw scenes of 2 to 5 sources of one song, in directions uniform over ±45°.

    Parameters
    ----------
    songs : opened as they were recorded, see `models_onnx.data.collections.open_collection`.
    count : number of scenes; the songs take turns.
    keep_width : whether a stem keeps what differs between its two sides, reverberation for
        instance, around its new direction; otherwise it is a point.
    seed : the same seed gives the same scenes.
    """
    mixing = replace(MIXING, dry=0.0 if keep_width else 1.0)
    if not songs.normalised:
        mixing = replace(mixing, gain_db=AS_MIXED_DB)
    for number in range(count):
        rng, song = np.random.default_rng([seed, number]), number % len(songs)
        scene = draw(rng, songs.sources(song), seconds, mixing=mixing)
        names = tuple(label.title or label.name for label in scene.labels)
        yield EvaluationScene(
            scene.mixture, scene.images, scene.azimuth_deg, names, scene.classes, song
        )
