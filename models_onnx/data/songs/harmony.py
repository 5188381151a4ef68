"""The plan of a song that all of its parts share: tempo, metre, key and chords."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
}
PROGRESSIONS: tuple[tuple[int, ...], ...] = (
    (0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 4, 0), (1, 4, 0, 0), (0, 3, 0, 4),
    (0, 6, 3, 0), (0, 5, 1, 4), (0, 2, 3, 4), (3, 4, 2, 5), (0, 6, 5, 4), (0, 3, 1, 4),
)  # fmt: skip
METRES: tuple[tuple[int, float], ...] = ((4, 0.78), (3, 0.14), (5, 0.03), (6, 0.05))
"""Beats a bar, and how often."""


@dataclass(frozen=True)
class Plan:
    """What the parts of a song agree on.

    Parameters
    ----------
    chords : one tuple of scale degrees a bar: root, third, fifth, and sometimes the seventh.
    swing : fraction of a beat by which every second eighth is late, 0 … 0.17.
    """

    seconds: float
    tempo_bpm: float
    beats_per_bar: int
    tonic: int
    scale: tuple[int, ...]
    chords: tuple[tuple[int, ...], ...]
    swing: float

    @property
    def beat_s(self) -> float:
        """Return the duration of one beat, s."""
        return 60.0 / self.tempo_bpm

    @property
    def bars(self) -> int:
        """Return the number of bars."""
        return len(self.chords)

    def pitch(self, degree: int) -> int:
        """Return the MIDI note of a scale degree counted from the tonic near note 60."""
        octave, step = divmod(degree, len(self.scale))
        return 60 + self.tonic + 12 * octave + self.scale[step]

    def time_s(self, bar: int, beat: float) -> float:
        """Return when a position in beats is due, s, with the swing of off-beat eighths."""
        late = self.swing if abs(beat % 1.0 - 0.5) < 1e-6 else 0.0
        return (bar * self.beats_per_bar + beat + late) * self.beat_s

    def tones(self, bar: int, low: int, high: int) -> list[int]:
        """Return every MIDI note of the bar's chord from low to high, ascending."""
        classes = {self.pitch(degree) % 12 for degree in self.chords[bar]}
        return [note for note in range(low, high + 1) if note % 12 in classes]


def plan_song(rng: np.random.Generator, seconds: float) -> Plan:
    """Draw the plan of a song whose bars fill about the given time, s."""
    tempo = float(np.clip(rng.normal(108.0, 26.0), 58.0, 180.0))
    beats = int(rng.choice([m for m, _ in METRES], p=[p for _, p in METRES]))
    bars = max(2, round(seconds * tempo / 60.0 / beats))
    names = list(SCALES)
    scale = SCALES[names[int(rng.choice(len(names), p=(0.4, 0.28, 0.12, 0.12, 0.08)))]]
    return Plan(
        seconds=bars * beats * 60.0 / tempo,
        tempo_bpm=tempo,
        beats_per_bar=beats,
        tonic=int(rng.integers(-6, 6)),
        scale=scale,
        chords=_chords(rng, bars),
        swing=float(rng.choice((0.0, 0.08, 0.16), p=(0.7, 0.12, 0.18))),
    )


def _chords(rng: np.random.Generator, bars: int) -> tuple[tuple[int, ...], ...]:
    roots = PROGRESSIONS[int(rng.integers(len(PROGRESSIONS)))]
    other = PROGRESSIONS[int(rng.integers(len(PROGRESSIONS)))]
    sevenths = float(rng.choice((0.0, 0.3, 0.9), p=(0.5, 0.3, 0.2)))
    chords = []
    for bar in range(bars):
        root = (other if bar // 4 % 4 == 3 else roots)[bar % 4]
        seventh = (root + 6,) if rng.random() < sevenths else ()
        chords.append((root, root + 2, root + 4, *seventh))
    return tuple(chords)
