"""What each role plays: notes for bass, chords, lead, arpeggio, pad, voice, drums, percussion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from models_onnx.data.classes import Instrument
from models_onnx.data.songs.harmony import Plan


class Note(NamedTuple):
    """One note or stroke: times in s, MIDI note number, velocity 1 … 127."""

    start_s: float
    end_s: float
    pitch: int
    velocity: int


Bars = Iterator[tuple[int, list[Note]]]
"""What a writer yields: the number of a bar and its notes."""
KICK, SNARE, STICK, CLOSED, PEDAL, OPEN, RIDE, CRASH = 36, 38, 37, 42, 44, 46, 51, 49
TOMS = (50, 47, 45, 43, 41)
HAND_PERCUSSION = ((60, 61), (62, 63, 64), (54,), (70,), (56,), (39,), (69,), (75,), (76, 77),
                   (81, 80), (67, 68), (65, 66), (82,))  # fmt: skip
"""General-MIDI strokes that belong together: bongos, congas, tambourine, maracas, cowbell, …"""
BASS_CELLS = (
    (0,), (0, 2), (0, 1, 2, 3), (0, 1.5, 2, 3.5), (0, 0.5, 1.5, 2, 3),
    (0, 0.75, 1.5, 2.5, 3.25), (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5), (0.5, 1.5, 2.5, 3.5),
)  # fmt: skip
CHORD_CELLS = ((0,), (0, 2), (1, 3), (0, 1, 2, 3), (0, 1.5, 3), (0.5, 1.5, 2.5, 3.5),
               (0, 0.5, 1.5, 2, 2.5, 3.5), (0, 0.75, 1.5, 2.25, 3), (0, 1.5, 2.5))  # fmt: skip
LEAD_CELLS = ((0, 1, 2), (0, 0.5, 1, 2), (0, 1.5, 2, 3), (0, 0.5, 1, 1.5, 2, 3), (0.5, 1, 1.5, 2.5),
              (0, 2), (0, 0.25, 0.5, 1, 2, 2.5), (0, 0.75, 1, 1.75, 2, 3))  # fmt: skip


def play(rng: np.random.Generator, plan: Plan, role: str, instrument: Instrument) -> list[Note]:
    """Return the notes of one part, in order of their start.

    The part rests in some stretches of the song; notes are not exactly in time.

    Raises
    ------
    KeyError : role is not one of ``classes.ROLES``.
    """
    writer = _WRITERS[role]
    rests = _rests(rng, plan.bars)
    notes = [n for bar, ns in writer(rng, plan, instrument) if bar not in rests for n in ns]
    loose_s = rng.uniform(0.001, 0.012)
    gap = 0.02
    played = []
    for note in notes:
        start = max(0.0, note.start_s + rng.normal(0.0, loose_s))
        velocity = int(np.clip(note.velocity + rng.normal(0, 6), 20, 127))
        end = max(start + 0.04, note.end_s - gap)
        played.append(Note(start, end, note.pitch, velocity))
    return sorted(played)


def _rests(rng: np.random.Generator, bars: int) -> set[int]:
    """Return the bars in which a part is silent: one stretch in half of the parts."""
    if bars < 4 or rng.random() < 0.5:
        return set()
    length = int(rng.integers(1, max(2, bars // 2)))
    first = int(rng.choice((0, int(rng.integers(bars)), bars - length)))
    return set(range(first, first + length))


def _cell(rng: np.random.Generator, cells: Sequence[Sequence[float]], beats: int) -> list[float]:
    """Return the onsets in beats of one bar, cut or repeated to the metre."""
    cell = cells[int(rng.integers(len(cells)))]
    onsets = [b for b in cell if b < beats]
    return onsets + [b + 4 for b in cell if 4 <= b + 4 < beats]


def _spans(onsets: Sequence[float], beats: float, hold: float) -> list[tuple[float, float]]:
    """Pair each onset with its end: a fraction ``hold`` of the way to the next one, in beats."""
    ends = [*onsets[1:], beats]
    return [(a, a + (b - a) * hold) for a, b in zip(onsets, ends, strict=True)]


def _bass(rng: np.random.Generator, plan: Plan, instrument: Instrument) -> Bars:
    cell = _cell(rng, BASS_CELLS, plan.beats_per_bar)
    hold = rng.uniform(0.4, 1.0)
    restless = rng.uniform(0.0, 0.6)
    for bar in range(plan.bars):
        root = plan.pitch(plan.chords[bar][0]) % 12
        low = instrument.low + (root - instrument.low) % 12
        tones = plan.tones(bar, low, min(low + 12, instrument.high))
        notes = []
        for index, (a, b) in enumerate(_spans(cell, plan.beats_per_bar, hold)):
            pitch = low if index == 0 or rng.random() > restless else int(rng.choice(tones))
            notes.append(_note(plan, bar, a, b, pitch, 92))
        yield bar, notes


def _voicing(
    plan: Plan, bar: int, centre: int, voices: int, previous: list[int], instrument: Instrument
) -> list[int]:
    """Choose the chord tones nearest to the previous voicing, or to the centre at first."""
    low, high = max(instrument.low, centre - 10), min(instrument.high, centre + 12)
    tones = plan.tones(bar, low, high)
    start = int(np.argmin([abs(t - (previous[0] if previous else centre - 5)) for t in tones]))
    start = min(start, max(0, len(tones) - voices))
    return tones[start : start + voices]


def _centre(rng: np.random.Generator, instrument: Instrument) -> int:
    low, high = instrument.low + 8, max(instrument.low + 9, instrument.high - 10)
    return int(np.clip(rng.normal((low + high) / 2, 6), low, high))


def _chords(rng: np.random.Generator, plan: Plan, instrument: Instrument) -> Bars:
    cell = _cell(rng, CHORD_CELLS, plan.beats_per_bar)
    hold, voices = rng.uniform(0.3, 1.0), int(rng.integers(3, 6))
    strum_s = rng.uniform(0.005, 0.03) if instrument.family == "plucked" else rng.uniform(0, 0.006)
    centre = _centre(rng, instrument)
    chosen: list[int] = []
    for bar in range(plan.bars):
        chosen = _voicing(plan, bar, centre, voices, chosen, instrument)
        notes = []
        for stroke, (a, b) in enumerate(_spans(cell, plan.beats_per_bar, hold)):
            order = chosen if stroke % 2 == 0 else chosen[::-1]
            for string, pitch in enumerate(order):
                note = _note(plan, bar, a, b, pitch, 80 + (8 if stroke == 0 else 0))
                notes.append(note._replace(start_s=note.start_s + string * strum_s))
        yield bar, notes


def _pad(rng: np.random.Generator, plan: Plan, instrument: Instrument) -> Bars:
    voices = 1 if instrument.name in ("violin", "viola", "cello", "trombone", "horn") else 3
    centre = _centre(rng, instrument)
    chosen: list[int] = []
    length = int(rng.choice((1, 2)))
    for bar in range(0, plan.bars, length):
        chosen = _voicing(plan, bar, centre, voices, chosen, instrument)
        beats = plan.beats_per_bar * min(length, plan.bars - bar)
        yield bar, [_note(plan, bar, 0, beats, pitch, 76) for pitch in chosen]


def _arpeggio(rng: np.random.Generator, plan: Plan, instrument: Instrument) -> Bars:
    step = float(rng.choice((0.25, 0.5, 1 / 3), p=(0.3, 0.55, 0.15)))
    shape = rng.choice(("up", "down", "both", "random"))
    centre, span, hold = _centre(rng, instrument), int(rng.integers(3, 8)), rng.uniform(0.5, 2.5)
    for bar in range(plan.bars):
        tones = _voicing(plan, bar, centre, span, [], instrument)
        order = _order(rng, tones, shape)
        notes = []
        for k in range(round(plan.beats_per_bar / step)):
            accent = 10 if k % 4 == 0 else 0
            beat = k * step
            notes.append(
                _note(plan, bar, beat, beat + step * hold, order[k % len(order)], 76 + accent)
            )
        yield bar, notes


def _order(rng: np.random.Generator, tones: list[int], shape: str) -> list[int]:
    if shape == "random":
        return [int(t) for t in rng.permutation(tones)]
    if shape == "both":
        return tones + tones[-2:0:-1]
    return tones if shape == "up" else tones[::-1]


def _lead(rng: np.random.Generator, plan: Plan, instrument: Instrument) -> Bars:
    motifs = [_cell(rng, LEAD_CELLS, plan.beats_per_bar) for _ in range(2)]
    size = len(plan.scale)
    degree = size * round((_centre(rng, instrument) - 60) / 12)
    hold, leap = rng.uniform(0.6, 1.02), rng.uniform(0.05, 0.4)
    breath = rng.uniform(0.0, 0.35)
    for bar in range(plan.bars):
        notes: list[Note] = []
        if bar % 4 == 3 and rng.random() < breath * 2:
            yield bar, notes
            continue
        for index, (a, b) in enumerate(_spans(motifs[bar % 2], plan.beats_per_bar, hold)):
            degree = _walk(rng, plan, bar, degree, strong=index == 0, leap=leap)
            pitch = plan.pitch(degree)
            while pitch > instrument.high:
                pitch, degree = pitch - 12, degree - size
            while pitch < instrument.low:
                pitch, degree = pitch + 12, degree + size
            if rng.random() > breath / 2:
                notes.append(_note(plan, bar, a, b, pitch, 90))
        yield bar, notes


def _walk(
    rng: np.random.Generator, plan: Plan, bar: int, degree: int, *, strong: bool, leap: float
) -> int:
    """Move a melody by a step or a leap; on strong beats, on to the nearest chord tone."""
    move = int(rng.integers(-5, 6)) if rng.random() < leap else int(rng.choice((-2, -1, 1, 2)))
    degree += move
    size = len(plan.scale)
    if strong:
        tones = {d % size for d in plan.chords[bar]}
        while degree % size not in tones:
            degree += 1 if move < 0 else -1
    return degree


def _drums(rng: np.random.Generator, plan: Plan, _instrument: Instrument) -> Bars:
    beats = plan.beats_per_bar
    hat = int(rng.choice((CLOSED, RIDE, PEDAL), p=(0.7, 0.2, 0.1)))
    density = float(rng.choice((0.25, 0.5, 1.0), p=(0.3, 0.55, 0.15)))
    kicks = sorted({0.0, *(float(b) for b in rng.choice(np.arange(0, beats, 0.5), 2))})
    kicks = [float(b) for b in range(beats)] if rng.random() < 0.2 else kicks
    snare = SNARE if rng.random() < 0.8 else STICK
    backbeat = [float(b) for b in range(1, beats, 2)] if beats != 3 else [1.0, 2.0]
    for bar in range(plan.bars):
        strokes = [(b, KICK, 105) for b in kicks] + [(b, snare, 98) for b in backbeat]
        for k in range(int(beats / density)):
            open_hat = hat == CLOSED and rng.random() < 0.06
            strokes.append((k * density, OPEN if open_hat else hat, 64 + 18 * (k % 2 == 0)))
        if bar % 8 == 0:
            strokes.append((0.0, CRASH, 100))
        if bar % 4 == 3 and rng.random() < 0.5:
            strokes += [(beats - 1 + k / 4, int(rng.choice(TOMS)), 95) for k in range(4)]
        yield bar, [_note(plan, bar, b, b + 0.4, pitch, v) for b, pitch, v in strokes]


def _percussion(rng: np.random.Generator, plan: Plan, _instrument: Instrument) -> Bars:
    strokes = HAND_PERCUSSION[int(rng.integers(len(HAND_PERCUSSION)))]
    steps = plan.beats_per_bar * 4
    chance = rng.uniform(0.15, 0.7) * (1.0 if rng.random() < 0.8 else 0.2)
    pattern = [(0.0, strokes[0], 90)]
    for k in range(1, steps):
        if rng.random() < chance:
            pattern.append((k / 4, int(rng.choice(strokes)), int(rng.integers(60, 110))))
    for bar in range(plan.bars):
        yield bar, [_note(plan, bar, b, b + 0.3, pitch, v) for b, pitch, v in pattern]


def _note(plan: Plan, bar: int, start: float, end: float, pitch: int, velocity: int) -> Note:
    return Note(plan.time_s(bar, start), plan.time_s(bar, end), int(pitch), velocity)


_WRITERS: dict[str, Callable[[np.random.Generator, Plan, Instrument], Bars]] = {
    "bass": _bass,
    "chords": _chords,
    "lead": _lead,
    "voice": _lead,
    "arpeggio": _arpeggio,
    "pad": _pad,
    "drums": _drums,
    "percussion": _percussion,
}
