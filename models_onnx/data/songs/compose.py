"""The composer: a seed becomes a song of parts that share tempo, key and chords."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models_onnx.data.classes import INSTRUMENTS, ORCHESTRA_13, Instrument
from models_onnx.data.songs.harmony import Plan, plan_song
from models_onnx.data.songs.parts import Note, play

TAIL_S = 1.2
ROLE_CHANCE = {
    "bass": 0.75, "chords": 0.75, "lead": 0.8, "arpeggio": 0.45,
    "pad": 0.45, "voice": 0.3, "drums": 0.6, "percussion": 0.3,
}  # fmt: skip
TWIN_CHANCE = 0.5
CHAMBER_CHANCE = 0.3
CHAMBER_ROLES = ("lead", "lead", "lead", "pad", "bass")
MIN_PARTS, MAX_PARTS = 3, 7


@dataclass(frozen=True)
class Part:
    """One part of a song: who plays what."""

    role: str
    instrument: Instrument
    program: int
    notes: list[Note]


@dataclass(frozen=True)
class Song:
    """A composed song, ``seconds`` long with the tail in which the last notes ring out."""

    plan: Plan
    parts: list[Part]

    @property
    def seconds(self) -> float:
        """Return the duration with the tail, s."""
        return self.plan.seconds + TAIL_S


def compose(rng: np.random.Generator) -> Song:
    """Compose a song of 20 to 30 s with 3 to 7 parts, all choices drawn from ``rng``."""
    plan = plan_song(rng, float(rng.uniform(20.0, 28.0)))
    cast = _chamber(rng) if rng.random() < CHAMBER_CHANCE else _band(rng)
    parts = [_part(rng, plan, role, instrument) for role, instrument in cast]
    return Song(plan, [part for part in parts if part.notes])


def _part(rng: np.random.Generator, plan: Plan, role: str, instrument: Instrument) -> Part:
    program = int(rng.choice(instrument.programs))
    return Part(role, instrument, program, play(rng, plan, role, instrument))


def _band(rng: np.random.Generator) -> list[tuple[str, Instrument]]:
    """Draw roles and who plays them; often two instruments of one family."""
    roles = [role for role, chance in ROLE_CHANCE.items() if rng.random() < chance]
    cast = [(role, _choose(rng, role)) for role in roles]
    while len(cast) < MIN_PARTS or (len(cast) < MAX_PARTS and rng.random() < 0.25):
        role = str(rng.choice(("lead", "chords", "arpeggio", "pad")))
        cast.append((role, _choose(rng, role)))
    if rng.random() < TWIN_CHANCE:
        cast = _with_twin(rng, cast)
    order = rng.permutation(len(cast))[:MAX_PARTS]
    return [cast[i] for i in order]


def _chamber(rng: np.random.Generator) -> list[tuple[str, Instrument]]:
    """Draw two to seven players of orchestral instruments, each class as likely as the others."""
    cast = []
    for name in rng.choice(ORCHESTRA_13, int(rng.integers(2, 7))):
        instrument = next(i for i in INSTRUMENTS if i.name == name)
        able = [role for role in CHAMBER_ROLES if role in instrument.roles]
        cast.append((able[int(rng.integers(len(able)))], instrument))
    if rng.random() < 0.4:
        cast.append(("chords", _choose(rng, "chords")))
    return cast


def _choose(rng: np.random.Generator, role: str, family: str = "") -> Instrument:
    able = [i for i in INSTRUMENTS if role in i.roles and family in ("", i.family)]
    weights = np.array([i.weight for i in able])
    return able[int(rng.choice(len(able), p=weights / weights.sum()))]


def _with_twin(
    rng: np.random.Generator, cast: list[tuple[str, Instrument]]
) -> list[tuple[str, Instrument]]:
    """Add an instrument of a family that is already there, in the same role or another."""
    role, model = cast[int(rng.integers(len(cast)))]
    other = role if rng.random() < 0.4 else str(rng.choice(model.roles))
    return [(other, _choose(rng, other, model.family)), *cast]
