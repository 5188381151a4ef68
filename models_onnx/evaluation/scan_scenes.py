"""Scenes to judge `scan` on: long ones of which it is known who is where, and when.

Made scenes are played by *players*: one class, one direction, the stems of that class from many
songs one after the other. Some play for a few seconds only, some are weak, some are wide. Songs of
recorded stems are taken as they are long, every stem moved to a direction of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models_onnx.data import production
from models_onnx.data.sources import Collection, Source
from models_onnx.data.stems import RATE_HZ, image, recentred, split, width_deg
from realtime.arrays import Floats

Stretch = tuple[float, float]
"""Start and end, seconds."""
KINDS = ("steady", "weak", "brief", "wide")
CHANCES = (0.4, 0.2, 0.2, 0.2)
PLAYERS = (2, 6)
WEAK_DB, BRIEF_S, SPREAD_DEG = (-18.0, -10.0), (7.0, 20.0), (20.0, 50.0)
APART_DEG = 8.0
"""Players stand so far from each other; those that were drawn nearer are left out."""
POINT_DEG = 4.0
"""Sources nearer to each other are one direction."""
FRAME_S, PAUSE_S, LEAST_S = 0.5, 4.0, 5.0
HEARD_DB, SOUNDING_DB = -22.0, -30.0
"""A source is heard where its power over 2 s is above the one against the mixture's, and above the
other against its own in the mean."""
WIDE_DEG, FAINT_DB = 36.0, -12.0  # a source is called wide above the one, weak below the other
BANDS = 24
RAMP_S = 0.3


@dataclass(frozen=True)
class Placed:
    """One direction of a scene, and what is known of it.

    Parameters
    ----------
    stretches : where it is heard.
    level_db : its level where it is heard, against the mixture's there.
    classes : of what stands there.
    """

    azimuth_deg: float
    width_deg: float
    kind: str
    level_db: float
    stretches: tuple[Stretch, ...]
    classes: tuple[str, ...]

    @property
    def group(self) -> str:
        """Return among what it is counted: by what is measured of it, not by what was drawn."""
        if self.width_deg > WIDE_DEG:
            return "wide"
        if self.kind == "brief":
            return "brief"
        return "weak" if self.level_db < FAINT_DB else "loud"


@dataclass(frozen=True)
class ScanScene:
    """A mixture (2, samples), its directions, and where each class of instruments is heard."""

    name: str
    mixture: Floats
    placed: tuple[Placed, ...]
    instruments: dict[str, tuple[Stretch, ...]]

    @property
    def seconds(self) -> float:
        """Return the length of the scene."""
        return self.mixture.shape[1] / RATE_HZ


@dataclass(frozen=True)
class _Player:
    name: str
    azimuth_deg: float
    kind: str
    image: Floats


def made_scenes(
    collections: Sequence[Collection], count: int, seconds: float, seed: int = 0
) -> Iterator[ScanScene]:
    """Yield scenes of players in the middle and around it; the same seed, the same scenes."""
    songs = [collection.sources(k) for collection in collections for k in range(len(collection))]
    by_class: dict[str, list[Source]] = {}
    for source in (source for song in songs for source in song):
        if production.real_voice(source.label):
            by_class.setdefault(source.label.name, []).append(source)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        players = _players(rng, by_class, seconds)
        images = np.stack([player.image for player in players])
        images = production.finish(rng, images)
        yield _scene(
            f"made {number}", [replace(p, image=i) for p, i in zip(players, images, strict=True)]
        )


def stem_scenes(
    songs: Collection, count: int, seconds: float, seed: int = 0
) -> Iterator[ScanScene]:
    """Yield songs of recorded stems, each stem with its own width around a new direction."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        sources = songs.sources(number % len(songs))
        longest = max(source.samples for source in sources)
        samples = min(longest, round(seconds * RATE_HZ))
        start = int(rng.integers(0, longest - samples + 1))
        players = []
        for source in sources:
            middle = source.label.name in production.CENTRED and rng.random() < 0.7
            azimuth_deg = 0.0 if middle else float(rng.uniform(-45, 45))
            audio = np.zeros((3, samples), np.float32)
            there = max(0, min(samples, source.samples - start))
            if there:
                audio[:, :there] = source.read(start, there)
            players.append(
                _Player(source.label.name, azimuth_deg, "steady", image(audio, azimuth_deg))
            )
        yield _scene(f"stems {number}", players)


def _players(
    rng: np.random.Generator, by_class: dict[str, list[Source]], seconds: float
) -> list[_Player]:
    names = sorted(by_class)
    players = []
    for name in ("drums", "bass", "vocals"):
        if name in by_class and rng.random() < 0.85:
            stem = _line(rng, by_class[name], seconds)
            gain_db = production.LEVELS_DB[name] + rng.normal(0, 3)
            placed = image(stem, 0.0, float(rng.uniform(0.0, 1.0)))
            players.append(_Player(name, 0.0, "steady", _louder(placed, gain_db)))
    others = [name for name in names if name not in production.CENTRED]
    for _ in range(int(rng.integers(PLAYERS[0], PLAYERS[1] + 1))):
        name, azimuth_deg = str(rng.choice(others)), float(rng.uniform(-45, 45))
        if all(abs(azimuth_deg - player.azimuth_deg) >= APART_DEG for player in players):
            kind = str(rng.choice(KINDS, p=CHANCES))
            stem = _line(rng, by_class[name], seconds)
            players.append(_Player(name, azimuth_deg, kind, _image(rng, stem, azimuth_deg, kind)))
    if not players:
        stem = _line(rng, by_class[others[0]], seconds)
        players.append(_Player(others[0], 0.0, "steady", image(stem, 0.0)))
    return players


def _line(rng: np.random.Generator, sources: Sequence[Source], seconds: float) -> Floats:
    """Return stems of one class one after the other, (3, samples)."""
    samples = round(seconds * RATE_HZ)
    parts, there = [], 0
    while there < samples:
        source = sources[int(rng.integers(len(sources)))]
        parts.append(split(recentred(image(source.read(0, source.samples), 0.0))))
        there += source.samples
    return np.concatenate(parts, axis=1)[:, :samples]


def _image(rng: np.random.Generator, stem: Floats, azimuth_deg: float, kind: str) -> Floats:
    """Return a player's image (2, samples), its level as its kind has it."""
    gain_db = production.OTHERS_DB + rng.normal(0, production.SPREAD_DB)
    if kind == "weak":
        gain_db = float(rng.uniform(*WEAK_DB))
    if kind == "brief":
        start_s = float(rng.uniform(0, stem.shape[1] / RATE_HZ - BRIEF_S[1]))
        stem = stem * _gate(stem.shape[1], start_s, start_s + float(rng.uniform(*BRIEF_S)))
    if kind == "wide":
        return _louder(_spread(rng, stem, azimuth_deg, float(rng.uniform(*SPREAD_DEG))), gain_db)
    return _louder(image(stem, azimuth_deg, float(rng.uniform(0.0, 1.0))), gain_db)


def _spread(
    rng: np.random.Generator, stem: Floats, azimuth_deg: float, spread_deg: float
) -> Floats:
    """Return an image whose bands stand in directions of their own, as the notes of a piano do."""
    spectrum = np.fft.rfft(stem[0])
    hz = np.linspace(0, RATE_HZ / 2, spectrum.size)
    band = np.clip(BANDS * np.log2(np.maximum(hz, 60) / 60) / 8, 0, BANDS - 1).astype(int)
    azimuths = azimuth_deg + rng.permutation(np.linspace(-0.5, 0.5, BANDS)) * spread_deg
    angle = np.radians(np.clip(azimuths, -45, 45) + 45)[band]
    sides = [
        np.fft.irfft(spectrum * gain, stem.shape[1]) for gain in (np.cos(angle), np.sin(angle))
    ]
    return np.stack(sides).astype(np.float32) + stem[1:]


def _gate(samples: int, start_s: float, end_s: float) -> Floats:
    time_s = np.arange(samples) / RATE_HZ
    edges = np.minimum(time_s - start_s, end_s - time_s) / RAMP_S
    return np.clip(edges, 0, 1).astype(np.float32)


def _louder(audio: Floats, gain_db: float) -> Floats:
    return audio * np.float32(10 ** (gain_db / 20))


def _scene(name: str, players: Sequence[_Player]) -> ScanScene:
    mixture = np.sum([player.image for player in players], axis=0)
    heard: dict[str, list[Floats]] = {}
    for player in players:
        heard.setdefault(player.name, []).append(player.image)
    instruments = {name: _stretches(np.sum(i, axis=0), mixture) for name, i in heard.items()}
    placed = [_placed(group, mixture) for group in _together(players)]
    peak = max(1.0, float(np.abs(mixture).max()) / 0.98)
    return ScanScene(
        name,
        mixture / np.float32(peak),
        tuple(p for p in placed if p.stretches),
        {name: stretches for name, stretches in instruments.items() if stretches},
    )


def _together(players: Sequence[_Player]) -> list[list[_Player]]:
    """Group players that stand so near to each other that they are one direction."""
    groups: list[list[_Player]] = []
    for player in sorted(players, key=lambda p: p.azimuth_deg):
        if groups and player.azimuth_deg - groups[-1][-1].azimuth_deg < POINT_DEG:
            groups[-1].append(player)
        else:
            groups.append([player])
    return groups


def _placed(group: Sequence[_Player], mixture: Floats) -> Placed:
    total = np.sum([player.image for player in group], axis=0)
    loudest = max(group, key=lambda player: float(np.square(player.image).sum()))
    stretches = _stretches(total, mixture)
    inside = np.zeros(mixture.shape[1], bool)
    for start_s, end_s in stretches:
        inside[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] = True
    own, whole = (float(np.square(audio[:, inside]).sum()) for audio in (total, mixture))
    return Placed(
        loudest.azimuth_deg,
        width_deg(total, loudest.azimuth_deg),
        loudest.kind,
        10 * float(np.log10(max(own, 1e-12) / max(whole, 1e-12))),
        stretches,
        tuple(dict.fromkeys(player.name for player in group)),
    )


def _stretches(own: Floats, mixture: Floats) -> tuple[Stretch, ...]:
    """Return where a source is heard, without short pauses, and without what is shorter still."""
    power, whole = _power(own), _power(mixture)
    mean = power[power > power.max(initial=0.0) * 1e-4].mean() if power.any() else 0.0
    heard = (power > whole * 10 ** (HEARD_DB / 10)) & (power > mean * 10 ** (SOUNDING_DB / 10))
    return joined(heard, FRAME_S, PAUSE_S, LEAST_S)


def _power(audio: Floats) -> NDArray[np.float64]:
    """Return the power of frames of `FRAME_S`, each the mean over 2 s around it."""
    size = round(FRAME_S * RATE_HZ)
    whole = audio.shape[1] // size * size
    frames = np.square(audio[:, :whole], dtype=np.float64).reshape(2, -1, size).sum((0, 2))
    return np.convolve(frames, np.ones(4) / 4, "same")


def joined(
    heard: NDArray[np.bool_], step_s: float, pause_s: float, least_s: float
) -> tuple[Stretch, ...]:
    """Return the stretches of true frames; short pauses are closed, short ones left out."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], heard, [False]])))
    stretches: list[list[float]] = []
    for start, end in zip(edges[::2] * step_s, edges[1::2] * step_s, strict=True):
        if stretches and start - stretches[-1][1] < pause_s:
            stretches[-1][1] = float(end)
        else:
            stretches.append([float(start), float(end)])
    return tuple((a, b) for a, b in stretches if b - a >= least_s)
