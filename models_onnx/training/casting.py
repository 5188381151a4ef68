"""What is drawn of scenes that a device mixes: which sounds, how, and what is asked.

A processor draws numbers alone, by the rules of `timbre_drawing` and `timbre_batches` for casts and
questions, and of `production` for seats, room, compressor and limiter. Where a rule has to hear a
sound, to find where it plays or whether it is loud enough to be asked for, it looks at its energy
in blocks (`Sounds.energy`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models_onnx.data import production
from models_onnx.data.classes import CLASSES, FAMILIES, FAMILY_OF
from models_onnx.data.mixer import Mixing
from models_onnx.data.stems import RATE_HZ
from models_onnx.data.variation import POINTS_HZ, TONE_DB, draw_speed
from models_onnx.training.casts import Cast, empty_cast
from models_onnx.training.device_sounds import BLOCK, Sounds
from models_onnx.training.timbre_drawing import MOST_SOURCES, drawn_classes
from models_onnx.training.timbre_questions import (
    FREE,
    KINDS,
    NUMBER,
    PRESENT_DB,
    Asking,
    deniable,
    drawn_class,
    drawn_kind,
)

MIXING = Mixing()


class Casting:
    """Draws casts of `Sounds`; a cast is a function of (seed, step) and the sounds there are.

    Parameters
    ----------
    weights : how often a song of each kind is drawn.
    """

    def __init__(
        self,
        sounds: Sounds,
        weights: Sequence[float],
        asking: Asking,
        scenes: int,
        targets: int,
        seconds: float,
        clips: int,
    ) -> None:
        self.sounds, self.weights, self.asking = sounds, weights, asking
        self.scenes, self.targets, self.clips = scenes, targets, clips
        self.needed = int(np.ceil(seconds * RATE_HZ)) + 8
        self.clip_samples = round(asking.clip_s * RATE_HZ)
        self.refresh()

    def refresh(self) -> None:
        """Look at all sounds again, of which there may be more."""
        sounds, kinds = self.sounds, np.array(self.sounds.kinds)
        count = np.bincount(kinds, minlength=len(self.weights))
        share = np.array(self.weights) * (count > 0)
        self._songs = (share / np.maximum(count, 1))[kinds]
        self._songs /= self._songs.sum()
        of_stem = np.zeros(len(sounds.first))
        for song, chance in zip(sounds.songs, self._songs, strict=True):
            of_stem[song] = chance
        self._places = {
            name: [k for k, n in enumerate(sounds.classes) if n == name] for name in CLASSES
        }
        self._places = {n: p for n, p in self._places.items() if of_stem[p].sum() > 0}
        self._chances = {n: of_stem[p] / of_stem[p].sum() for n, p in self._places.items()}
        self.names = tuple(self._places)

    def draw(self, seed: int, step: int) -> Cast:
        """Draw cast number `step`."""
        rng = np.random.default_rng([seed, step])
        s, m, q, c = self.scenes, MOST_SOURCES, self.targets, self.clips
        cast = empty_cast(s, m, q, c, int(rng.integers(2**31)))
        self._rng, self._cast, self._used = rng, cast, 0
        for scene in range(s):
            names, power = self._stage(scene)
            for question in range(q):
                self._ask(scene, question, names, power)
        return cast

    def _stage(self, scene: int) -> tuple[list[str], NDArray[np.float64]]:
        """Draw the sources of a scene; return their classes and their mean powers in it."""
        rng, cast, sounds = self._rng, self._cast, self.sounds
        song = sounds.songs[int(rng.choice(len(self._songs), p=self._songs))]
        if len(song) < 2 or rng.random() < self.asking.remix:
            stems = [self._stem(name) for name in drawn_classes(self._rng, self.names)]
            speeds = [draw_speed(rng) for _ in stems]
            starts = [self._start([k], speed) for k, speed in zip(stems, speeds, strict=True)]
        else:
            count = int(rng.integers(2, min(MOST_SOURCES, len(song)) + 1))
            stems = [song[i] for i in rng.permutation(len(song))[:count]]
            speed = float(rng.uniform(1 - MIXING.rate, 1 + MIXING.rate))
            speeds = [speed if rng.random() < 0.5 else 1.0] * len(stems)
            starts = [self._start(stems, speeds[0])] * len(stems)
        stems, speeds, starts = stems[:MOST_SOURCES], speeds[:MOST_SOURCES], starts[:MOST_SOURCES]
        used = slice(0, len(stems))
        cast.stem[scene, used], cast.start[scene, used] = stems, starts
        cast.speed[scene, used] = speeds
        names = [sounds.classes[k] for k in stems]
        produced = rng.random() < self.asking.produced
        self._seat(scene, names, produced=produced)
        for k in range(len(stems)):
            if rng.random() < self.asking.toned:
                cast.tone_db[scene, k] = self._tone()
        if produced:
            self._finish(scene, len(stems))
        power = np.array([self._power(*about) for about in zip(stems, starts, speeds, strict=True)])
        return names, power * np.square(cast.gain[scene, used])

    def _seat(self, scene: int, names: list[str], *, produced: bool) -> None:
        rng, cast = self._rng, self._cast
        together = rng.random() < production.ALL_CENTRED
        for k, name in enumerate(names):
            if produced:
                seat = production.seat(rng, name, together=together)
                azimuth_deg, gain_db, wet = dataclasses.astuple(seat)
            else:
                azimuth_deg = float(rng.uniform(-45, 45))
                if rng.random() < MIXING.centre:
                    azimuth_deg = 0.0
                elif k and rng.random() < MIXING.near:
                    near = float(cast.azimuth_deg[scene, rng.integers(k)])
                    azimuth_deg = float(np.clip(near + rng.uniform(-15, 15), -45, 45))
                gain_db = float(rng.uniform(*MIXING.gain_db))
                wet = 0.0 if rng.random() < MIXING.dry else float(rng.uniform(*MIXING.wet))
            silent = not produced and rng.random() < MIXING.silent
            cast.azimuth_deg[scene, k], cast.wet[scene, k] = azimuth_deg, wet
            cast.gain[scene, k] = (
                0.0 if silent else 10 ** (gain_db / 20) * (1 if rng.random() < 0.5 else -1)
            )
            cast.mirrored[scene, k] = 1 if rng.random() < 0.5 else -1

    def _finish(self, scene: int, sources: int) -> None:
        rng, cast = self._rng, self._cast
        if rng.random() < production.REVERBERANT:
            cast.rooms[scene] = (
                rng.uniform(0.15, 0.9), rng.uniform(0.2, 0.8), rng.uniform(0.002, 0.02), 0.7,
            )  # fmt: skip
            cast.sends[scene, :sources] = 10 ** (rng.uniform(-24.0, -9.0, sources) / 20)
        if rng.random() < production.COMPRESSED:
            cast.squeeze[scene, :3] = (
                rng.uniform(0.005, 0.08), rng.uniform(-6.0, 6.0), 1 - 1 / rng.uniform(1.5, 5.0),
            )  # fmt: skip
        if rng.random() < production.LIMITED:
            cast.squeeze[scene, 3] = rng.uniform(0.0, 6.0)

    def _tone(self) -> NDArray[np.float64]:
        gains = self._rng.normal(0.0, TONE_DB, len(POINTS_HZ)).clip(-2.5 * TONE_DB, 2.5 * TONE_DB)
        return np.asarray(gains - gains.mean())

    def _stem(self, name: str) -> int:
        return int(self._rng.choice(self._places[name], p=self._chances[name]))

    def _start(self, stems: Sequence[int], speed: float) -> int:
        """Draw where to begin: of two places that in which more sounds."""
        needed = int(self.needed * speed) + 8
        spare = max(self.sounds.length[k] for k in stems) - needed
        if spare <= 0:
            return 0
        tries = self._rng.integers(0, spare + 1, 2)
        loud = [sum(min(self._power(k, int(at), speed), 2.5e-3) for k in stems) for at in tries]
        return int(tries[int(np.argmax(loud))])

    def _power(self, stem: int, start: int, speed: float, needed: int = 0) -> float:
        """Return the mean power of a stretch, silence behind the end of a stem counted."""
        count = int((needed or self.needed) * speed) // BLOCK
        blocks = self.sounds.energy[stem][start // BLOCK : start // BLOCK + count]
        return float(blocks.sum()) / max(1, count)

    def _ask(self, scene: int, question: int, names: list[str], power: NDArray[np.float64]) -> None:
        cast, found = self._cast, drawn_kind(self._rng, self.asking)
        self._at, self._row = (scene, question), np.zeros(len(names))
        cast.direction[scene, question] = FREE
        if getattr(self, f"_by_{found}")(names, power) is False:
            found = "name"
            self._by_name(names, power)
        cast.kinds[scene, question] = KINDS.index(found)
        cast.meant[scene, question, : len(names)] = self._row

    def _present(self, names: list[str], power: NDArray[np.float64]) -> str:
        floor = 10 ** (PRESENT_DB / 10) * power.sum()
        there = sorted({n for n, p in zip(names, power, strict=True) if p > floor}) or sorted(
            set(names)
        )
        return drawn_class(self._rng, there, even=self.asking.even)

    def _tell(self, name: str, clip: int | None = None, *, negative: bool = False) -> None:
        rows = self._cast.negative if negative else self._cast.positive
        rows[self._at][self.clips + NUMBER[name] if clip is None else clip] += 1.0
        if not negative:
            self._cast.asked[self._at] = NUMBER[name]

    def _by_name(self, names: list[str], power: NDArray[np.float64]) -> None:
        name = self._present(names, power)
        self._row = np.array([n == name for n in names], float)
        self._tell(name)

    def _by_query(self, names: list[str], power: NDArray[np.float64]) -> None:
        name = self._present(names, power)
        self._row = np.array([n == name for n in names], float)
        count = int(self._rng.integers(2, 6)) if self._rng.random() < self.asking.examples else 1
        own = self._rng.random() < 0.6
        for _ in range(count):
            self._tell(name, self._clip(name, names, own=own))

    def _by_both(self, names: list[str], power: NDArray[np.float64]) -> None:
        rng, name = self._rng, self._present(names, power)
        azimuths = self._cast.azimuth_deg[self._at[0], : len(names)]
        source = int(rng.choice([k for k, n in enumerate(names) if n == name]))
        width_deg = float(rng.uniform(8.0, 45.0))
        azimuth_deg = self._beside(azimuths[source], width_deg, 0.15)
        inside = np.abs(azimuths - azimuth_deg) <= width_deg / 2
        self._row = np.array(
            [n == name and (inside[k] or k == source) for k, n in enumerate(names)], float
        )
        self._cast.direction[self._at] = azimuth_deg, width_deg
        clip = None
        if rng.random() < 0.35:
            clip = self._clip(name, names, own=rng.random() < 0.6)
        self._tell(name, clip)

    def _beside(self, azimuth_deg: float, width_deg: float, spread: float) -> float:
        shift = float(np.clip(self._rng.normal(0.0, spread), -0.4, 0.4)) * width_deg
        return float(np.clip(azimuth_deg + shift, -45, 45))

    def _by_direction(self, names: list[str], power: NDArray[np.float64]) -> None:
        azimuths = self._cast.azimuth_deg[self._at[0], : len(names)]
        source = int(self._rng.integers(len(names)))
        width_deg = float(self._rng.uniform(8.0, 45.0))
        azimuth_deg = self._beside(azimuths[source], width_deg, 0.15)
        self._row = (np.abs(azimuths - azimuth_deg) <= width_deg / 2).astype(float)
        self._row[source] = 1.0
        self._cast.direction[self._at] = azimuth_deg, width_deg

    def _by_against(self, names: list[str], power: NDArray[np.float64]) -> bool:
        """Ask for a class, but not that source of it; or for one class, and not another."""
        rng, name = self._rng, self._present(names, power)
        own = [k for k, n in enumerate(names) if n == name]
        if len(own) > 1:
            other = int(rng.choice(own))
            meant = int(rng.choice([k for k in own if k != other]))
            self._row = np.array([n == name and k != other for k, n in enumerate(names)], float)
            clips = self._clip_of(meant), self._clip_of(other)
            if None in clips:  # one name for both would say nothing
                return False
            self._tell(name, clips[0])
            self._tell(name, clips[1], negative=True)
            return True
        self._by_name(names, power) if rng.random() < 0.5 else self._by_query(names, power)
        others = sorted(set(names) - {CLASSES[self._cast.asked[self._at]]})
        if others:
            unwanted = str(rng.choice(others))
            clip = None
            if rng.random() < 0.7:
                clip = self._clip(unwanted, names, own=True)
            self._tell(unwanted, clip, negative=True)
        return True

    def _by_family(self, names: list[str], power: NDArray[np.float64]) -> None:
        family = FAMILIES[FAMILY_OF[self._present(names, power)]]
        self._row = np.array([n in family for n in names], float)
        for name in family:
            self._tell(name)
        self._cast.asked[self._at] = -1

    def _by_absent(self, names: list[str], power: NDArray[np.float64]) -> bool:
        free = deniable(self.names, set(names))
        if not free:
            return False
        name = drawn_class(self._rng, free, even=self.asking.even)
        self._tell(name, self._clip(name, names, own=False) if self._rng.random() < 0.35 else None)
        return True

    def _clip(self, name: str, names: list[str], *, own: bool) -> int | None:
        """Draw a clip of a class: of a source of the scene where it does not play, or another."""
        sources = [k for k, n in enumerate(names) if n == name]
        if own and sources:
            return self._clip_of(int(self._rng.choice(sources)))
        return self._heard(self._stem(name), None)

    def _clip_of(self, source: int) -> int | None:
        scene = self._at[0]
        stem = int(self._cast.stem[scene, source])
        return self._heard(stem, (int(self._cast.start[scene, source]), self.needed * 5 // 4))

    def _heard(self, stem: int, apart: tuple[int, int] | None) -> int | None:
        """Take a clip, and return its number; None, so that a name is told, if there is no more."""
        rng, cast, length = self._rng, self._cast, self.sounds.length[stem]
        if self._used == self.clips:
            return None
        spans = [(0, length)]
        if apart is not None:
            spans = [(0, apart[0]), (apart[0] + apart[1], length)]
            spans = [(a, b) for a, b in spans if b - a > max(RATE_HZ, self.clip_samples)]
            if not spans:
                stem = self._stem(self.sounds.classes[stem])
                spans = [(0, self.sounds.length[stem])]
        tries = []
        for _ in range(3):
            first, last = spans[int(rng.integers(len(spans)))]
            tries.append(int(rng.integers(first, max(first, last - self.clip_samples) + 1)))
        start = max(tries, key=lambda at: self._power(stem, at, 1.0, self.clip_samples))
        clip, self._used = self._used, self._used + 1
        cast.clip_stem[clip], cast.clip_start[clip] = stem, start
        cast.clip_azimuth_deg[clip], cast.clip_wet[clip] = rng.uniform(-45, 45), rng.random()
        if rng.random() < self.asking.toned:
            cast.clip_tone_db[clip] = self._tone()
        leaks = rng.random() < 0.3
        cast.clip_leak[clip] = self._at[0], rng.uniform(-28.0, -10.0) if leaks else -200.0
        return clip
