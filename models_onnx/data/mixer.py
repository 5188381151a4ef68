"""The mixer: sources of one song become a stereo scene with known images and directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models_onnx.data.production import Seat
from models_onnx.data.sources import Source
from models_onnx.data.stems import (
    RATE_HZ,
    Label,
    frame_energy,
    image,
    pan_gains,
    resample,
    width_deg,
)

ACTIVE_RMS = 1e-3
"""A stem sounds in a hop when its RMS is above this: 40 dB below the level stems are stored at."""


@dataclass(frozen=True)
class Mixing:
    """What the mixer may do: ranges are uniform, chances are per scene or per source.

    Parameters
    ----------
    sources : fewest and most sources in a scene.
    gain_db : gain of each source.
    wet : gain of each source's wide and reverberant part; 1 keeps it as it was rendered.
    dry : chance that a source loses that part, becoming a point.
    rate : playing speed is 1 ± this, in half of the scenes, the same for all sources.
    silent : chance that a source is silent throughout.
    near : chance that a source stands within 15° of another.
    balance : chance that the wide part goes with the source to its side, as a stereo track does
        under a balance control, instead of staying in the whole image, as a reverb does.
    centre : chance that a source stands in the centre.
    peak : peaks of the mixture are below this.
    """

    sources: tuple[int, int] = (2, 6)
    gain_db: tuple[float, float] = (-14.0, 2.0)
    wet: tuple[float, float] = (0.6, 1.0)
    dry: float = 0.3
    rate: float = 0.09
    silent: float = 0.03
    near: float = 0.25
    balance: float = 0.4
    centre: float = 0.1
    peak: float = 0.95


@dataclass(frozen=True)
class Scene:
    """A mixture and what it is made of; S sources, n samples, F hops.

    Parameters
    ----------
    mixture : (2, n) float32, the sum of the images.
    images : (S, 2, n) float32.
    azimuth_deg : (S,) float32, −45 … +45.
    width_deg : (S,) float32, 0 … 90: the opening that the energy across a source's direction
        fills, 2·atan(RMS across / RMS along); 0 is a point, 90 is diffuse.
    activity : (S, F) bool, whether a source sounds in each hop.
    """

    mixture: np.ndarray
    images: np.ndarray
    azimuth_deg: np.ndarray
    width_deg: np.ndarray
    labels: tuple[Label, ...]
    activity: np.ndarray

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class of each source."""
        return tuple(label.name for label in self.labels)


def draw(
    rng: np.random.Generator,
    sources: Sequence[Source],
    seconds: float,
    *,
    mixing: Mixing | None = None,
    hop: int = 512,
    seats: Callable[[np.random.Generator, Sequence[Source]], Sequence[Seat]] | None = None,
    finish: Callable[[np.random.Generator, np.ndarray], np.ndarray] | None = None,
) -> Scene:
    """Draw a scene from the sources of a song; the same rng state gives the same scene.

    Parameters
    ----------
    seconds : length of the scene; sources that end before it are followed by silence.
    hop : samples between the values of ``activity``.
    seats : where sources stand and how loud they are, instead of what ``mixing`` says.
    finish : what becomes of the images (sources, 2, samples) together; see ``production``.

    Raises
    ------
    ValueError : there are no sources.
    """
    if not sources:
        raise ValueError("cannot mix a scene from no sources: give the sources of a song")
    mixing = mixing or Mixing()
    chosen = _choose(rng, sources, mixing)
    samples = round(seconds * RATE_HZ)
    rate = rng.uniform(1 - mixing.rate, 1 + mixing.rate) if rng.random() < 0.5 else 1.0
    start = _start(rng, chosen, samples, rate)
    azimuths = _azimuths(rng, len(chosen), mixing)
    mixings = [mixing] * len(chosen)
    if seats is not None:
        seated = seats(rng, chosen)
        azimuths = np.array([seat.azimuth_deg for seat in seated], np.float32)
        mixings = [_seated(mixing, seat) for seat in seated]
    images = np.zeros((len(chosen), 2, samples), np.float32)
    activity = np.zeros((len(chosen), -(-samples // hop)), bool)
    for k, source in enumerate(chosen):
        images[k], activity[k] = _place(
            rng, source, start, samples, rate, float(azimuths[k]), mixings[k], hop
        )
    if finish is not None:
        images = finish(rng, images)
    mixture = images.sum(0)
    loud = float(np.abs(mixture).max(initial=0.0))
    scale = np.float32(mixing.peak / loud if loud > mixing.peak else 1.0)
    images *= scale
    widths = np.array([width_deg(i, a) for i, a in zip(images, azimuths, strict=True)], np.float32)
    labels = tuple(source.label for source in chosen)
    return Scene(mixture * scale, images, azimuths, widths, labels, activity)


def _seated(mixing: Mixing, seat: Seat) -> Mixing:
    gain_db, wet = (seat.gain_db, seat.gain_db), (seat.wet, seat.wet)
    return replace(mixing, gain_db=gain_db, wet=wet, dry=0.0)


def _choose(rng: np.random.Generator, sources: Sequence[Source], mixing: Mixing) -> list[Source]:
    low, high = mixing.sources
    count = int(rng.integers(min(low, len(sources)), min(high, len(sources)) + 1))
    return [sources[i] for i in rng.permutation(len(sources))[:count]]


def _start(rng: np.random.Generator, sources: list[Source], samples: int, rate: float) -> int:
    """Draw where to cut; of a few cuts, the one in which most sources sound."""
    spare = max(s.samples for s in sources) - _needed(samples, rate)
    if spare <= 0:
        return 0
    starts = rng.integers(0, spare + 1, 2)
    sounding = [sum(_peeks(s, int(start), samples) for s in sources) for start in starts]
    return int(starts[int(np.argmax(sounding))])


def _peeks(source: Source, start: int, samples: int) -> bool:
    """Tell from four short looks whether a source sounds in a stretch."""
    looks = (start + int(samples * part) for part in (0.1, 0.35, 0.6, 0.85))
    return any(np.abs(_read(source, at, 512)[0]).max() > 10 * ACTIVE_RMS for at in looks)


def _needed(samples: int, rate: float) -> int:
    return int(np.ceil(samples * rate)) + 3


def _azimuths(rng: np.random.Generator, count: int, mixing: Mixing) -> np.ndarray:
    azimuths = rng.uniform(-45.0, 45.0, count)
    for k in range(count):
        if rng.random() < mixing.centre:
            azimuths[k] = 0.0
        elif k and rng.random() < mixing.near:
            azimuths[k] = azimuths[rng.integers(k)] + rng.uniform(-15.0, 15.0)
    return np.clip(azimuths, -45.0, 45.0).astype(np.float32)


def _place(
    rng: np.random.Generator,
    source: Source,
    start: int,
    samples: int,
    rate: float,
    azimuth_deg: float,
    mixing: Mixing,
    hop: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a source's image (2, samples) in a scene, and its activity (hops,)."""
    wet = 0.0 if rng.random() < mixing.dry else float(rng.uniform(*mixing.wet))
    gain = 10 ** (rng.uniform(*mixing.gain_db) / 20) * rng.choice((-1.0, 1.0))
    mirrored, silent = rng.random() < 0.5, rng.random() < mixing.silent
    stem = _read(source, start, _needed(samples, rate))
    if mirrored:
        stem = stem[[0, 2, 1]]
    if mixing.balance and rng.random() < mixing.balance:
        stem = _balanced(stem, azimuth_deg)
    placed = image(stem, azimuth_deg, wet)
    placed = placed[:, :samples] if rate == 1.0 else resample(placed, samples, rate)
    if silent:
        placed = np.zeros_like(placed)
    activity = frame_energy(placed, hop) > ACTIVE_RMS**2 / 2
    return placed * np.float32(gain), activity


def _balanced(stem: np.ndarray, azimuth_deg: float) -> np.ndarray:
    """Turn the wide part down on the far side, in proportion to the gains of the direct sound."""
    left, right = pan_gains(azimuth_deg)
    loud = max(left, right)
    return stem * np.array([[1.0], [left / loud], [right / loud]], np.float32)


def _read(source: Source, start: int, count: int) -> np.ndarray:
    """Read (3, count), zeros after the end of the source."""
    there = max(0, min(count, source.samples - start))
    if there == count:
        return source.read(start, count)
    stem = np.zeros((3, count), np.float32)
    if there:
        stem[:, :there] = source.read(start, there)
    return stem
