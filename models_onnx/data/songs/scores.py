"""Songs from a folder of scores: stretches of real compositions, and bands with human drumming.

The folder holds midi/INDEX.csv, whose column ``path`` names the scores, and perhaps midi/groove,
performances of drummers named <drummer>_<session>_<n>_<style>_<bpm>_<beat or fill>_<metre>.mid.
"""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import mido
import numpy as np

from models_onnx.data.classes import DRUM_KIT, INSTRUMENTS, ORCHESTRA_13, Instrument
from models_onnx.data.naming import label_of_program
from models_onnx.data.songs.compose import Part, Song
from models_onnx.data.songs.harmony import Plan, plan_song
from models_onnx.data.songs.parts import Note, play
from realtime.errors import StemsteerError

MOST_PARTS = 7
FEWEST_NOTES = 4
STRETCH_S = (18.0, 26.0)
TRIES = 20
HELD_OUT_ONE_IN = 10
DRUM_CHANNEL = 9
STROKES = {22: 42, 26: 46, 58: 43, 40: 38, 37: 37, 55: 49, 59: 51, 53: 51, 39: 38}
"""Strokes of the drummers' kit that General MIDI has under another number."""
SINGER = "singer"
"""Role of a part that real singing takes the place of, in no relation to the song."""
BAND: tuple[tuple[str, str, float], ...] = (
    ("bass", "bass", 0.95), ("guitar", "chords", 0.8), ("guitar", "lead", 0.4),
    ("guitar", "arpeggio", 0.35), ("vocals", SINGER, 0.9), ("vocals", SINGER, 0.25),
)  # fmt: skip
GUESTS: tuple[tuple[str, str], ...] = (
    ("piano", "chords"), ("keys", "chords"), ("organ", "pad"), ("synth", "pad"), ("synth", "lead"),
    ("saxophone", "lead"), ("trumpet", "lead"), ("strings", "pad"), ("brass", "chords"),
    ("percussion", "percussion"), ("trombone", "lead"),
)  # fmt: skip


class Scores:
    """The scores of a folder, and its drummers' performances.

    One file in `HELD_OUT_ONE_IN` is held out, told by its name, so it stays so whatever joins the
    folder.

    Parameters
    ----------
    held_out : whether those that are held out are drawn, or all others.

    Raises
    ------
    StemsteerError : there are none to draw.
    """

    def __init__(self, folder: Path | str, *, held_out: bool = False) -> None:
        index = Path(folder) / "midi" / "INDEX.csv"
        if not index.exists():
            raise StemsteerError(f"{folder} has no midi/INDEX.csv: give the folder of scores")
        with index.open(newline="", encoding="utf-8") as file:
            named = [index.parents[1] / row["path"] for row in csv.DictReader(file)]
        if not named:
            raise StemsteerError(f"{index} names no score: it needs a column path, and rows")
        self.scores = [path for path in named if is_held_out(path) == held_out]
        grooves = sorted((index.parent / "groove").glob("*_beat_4-4.mid"))
        self.grooves = [path for path in grooves if is_held_out(path) == held_out]
        if not self.scores:
            kind = "held out" if held_out else "to train on"
            raise StemsteerError(
                f"of the scores that {index} names none is {kind}: one in {HELD_OUT_ONE_IN} is "
                "held out, give more"
            )

    def song(self, rng: np.random.Generator) -> tuple[Song, str]:
        """Draw a stretch of a composition; return it with the name of its file."""
        for _ in range(TRIES):
            path = self.scores[int(rng.integers(len(self.scores)))]
            parts = _stretch(rng, read_parts(path), float(rng.uniform(*STRETCH_S)))
            if len(parts) > 1:
                end_s = max(note.end_s for part in parts for note in part.notes)
                return Song(_plain_plan(end_s), parts), path.stem
        raise StemsteerError(f"{path.parent}: of {TRIES} scores none has two parts that sound")

    def band(self, rng: np.random.Generator) -> Song:
        """Compose a song of a band: voice, drums, bass, guitars; its drummer is human."""
        plan = replace(plan_song(rng, float(rng.uniform(20.0, 28.0))), beats_per_bar=4)
        plan = replace(plan, seconds=plan.bars * 4 * plan.beat_s)
        cast = [(name, role) for name, role, chance in BAND if rng.random() < chance]
        cast += [GUESTS[i] for i in rng.choice(len(GUESTS), int(rng.integers(0, 3)), replace=False)]
        parts = [_composed(rng, plan, name, role) for name, role in cast[: MOST_PARTS - 1]]
        if rng.random() < 0.95:
            parts.append(Part("drums", _instrument("drums"), DRUM_KIT, self._drums(rng, plan)))
        return Song(plan, [part for part in parts if part.notes])

    def _drums(self, rng: np.random.Generator, plan: Plan) -> list[Note]:
        """Draw a human performance at the tempo of the song, from its start on."""
        if not self.grooves or rng.random() < 0.15:
            return play(rng, plan, "drums", _instrument("drums"))
        path = self.grooves[int(rng.integers(len(self.grooves)))]
        found = re.search(r"_(\d+)_beat_", path.name)
        rate = float(found[1]) / plan.tempo_bpm if found else 1.0
        while rate > 1.5:  # at half of the tempo, or double
            rate /= 2
        while rate < 0.67:
            rate *= 2
        notes = [note for notes in read_parts(path).values() for note in notes]
        notes = [
            Note(n.start_s * rate, n.end_s * rate, STROKES.get(n.pitch, n.pitch), n.velocity)
            for n in notes
        ]
        length_s = max((n.start_s for n in notes), default=0.0)
        shift_s = float(rng.uniform(0.0, max(0.0, length_s - plan.seconds)))
        shift_s -= shift_s % (4 * plan.beat_s)
        return _cut(notes, shift_s, plan.seconds)


def is_held_out(path: Path) -> bool:
    """Return whether a score or a performance is kept for songs that training never meets."""
    return zlib.crc32(path.name.encode()) % HELD_OUT_ONE_IN == 0


def _composed(rng: np.random.Generator, plan: Plan, name: str, role: str) -> Part:
    instrument = _instrument(name, role, rng)
    program = int(rng.choice(instrument.programs))
    written = "voice" if role == SINGER else role
    return Part(role, instrument, program, play(rng, plan, written, instrument))


def _instrument(name: str, role: str = "", rng: np.random.Generator | None = None) -> Instrument:
    """Return an instrument of a class that has the role; a voice has any."""
    able = [i for i in INSTRUMENTS if i.name == name]
    able = [i for i in able if role in ("", SINGER) or role in i.roles] or able
    if rng is None:
        return able[0]
    weights = np.array([i.weight for i in able])
    return able[int(rng.choice(len(able), p=weights / weights.sum()))]


def _plain_plan(seconds: float) -> Plan:
    """Return what rendering asks of a plan: its length and a tempo."""
    return Plan(seconds, 120.0, 4, 0, (0, 2, 4, 5, 7, 9, 11), ((0, 2, 4),), 0.0)


@lru_cache(maxsize=16)
def read_parts(path: Path) -> dict[tuple[int, int], list[Note]]:
    """Read the notes of a MIDI file by (track, program), DRUM_KIT on the drum channel; times in s.

    Raises StemsteerError if it is none.
    """
    try:
        file = mido.MidiFile(path, clip=True)
    except (OSError, ValueError, EOFError, KeyError, IndexError) as error:
        raise StemsteerError(f"cannot read {path}: {error!r}; remove it from the index") from error
    tempo_map = _tempo_map(file)
    parts: dict[tuple[int, int], list[Note]] = {}
    for number, track in enumerate(file.tracks):
        for program, note in _notes_of(track, *tempo_map):
            parts.setdefault((number, program), []).append(note)
    return parts


def _notes_of(
    track: mido.MidiTrack, ticks: Sequence[float], seconds: Sequence[float]
) -> Iterator[tuple[int, Note]]:
    """Yield the notes of a track with their programs, in the order of their ends.

    Parameters
    ----------
    ticks, seconds : of `_tempo_map`.
    """
    now, programs = 0, dict[int, int]()
    held: dict[tuple[int, int], tuple[float, int, int]] = {}  # start_s, velocity, program
    for message in track:
        now += message.time
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type in ("note_on", "note_off"):
            key = message.channel, message.note
            at_s = float(np.interp(now, ticks, seconds))
            if key in held:
                start_s, velocity, program = held.pop(key)
                yield program, Note(start_s, max(at_s, start_s + 0.03), message.note, velocity)
            if message.type == "note_on" and message.velocity:
                drum = message.channel == DRUM_CHANNEL
                program = DRUM_KIT if drum else programs.get(message.channel, 0)
                held[key] = at_s, message.velocity, program


def _tempo_map(file: mido.MidiFile) -> tuple[list[float], list[float]]:
    """Return ticks at which the tempo changes and when they are, s; the last point is far off."""
    changes: list[tuple[int, int]] = []
    for track in file.tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type == "set_tempo":
                changes.append((now, message.tempo))
    ticks, seconds, tempo = [0.0], [0.0], 500_000
    for at, following in [*sorted(changes), (10**9, 500_000)]:
        seconds.append(seconds[-1] + (at - ticks[-1]) * tempo * 1e-6 / file.ticks_per_beat)
        ticks.append(float(at))
        tempo = following
    return ticks, seconds


def _stretch(
    rng: np.random.Generator, parts: dict[tuple[int, int], list[Note]], length_s: float
) -> list[Part]:
    """Cut a stretch out of a score, and say who plays it."""
    last_s = max((note.end_s for notes in parts.values() for note in notes), default=0.0)
    start_s = float(rng.uniform(0.0, max(0.0, last_s - length_s)))
    nameless = len({program for _, program in parts}) == 1 and len(parts) > 2
    found = []
    for (_, program), notes in parts.items():
        cut = _cut(notes, start_s, length_s)
        if len(cut) >= FEWEST_NOTES:
            found.append(_assigned(rng, program, cut, nameless=nameless))
    return [found[i] for i in rng.permutation(len(found))[:MOST_PARTS]]


def _cut(notes: Sequence[Note], start_s: float, length_s: float) -> list[Note]:
    end_s = start_s + length_s
    return sorted(
        Note(n.start_s - start_s, min(n.end_s, end_s) - start_s, n.pitch, n.velocity)
        for n in notes
        if start_s <= n.start_s < end_s - 0.1
    )


def _assigned(rng: np.random.Generator, program: int, notes: list[Note], *, nameless: bool) -> Part:
    """Give a part the class of its program, or one that has its range where programs say nothing.

    Singers take the place of choirs in half of the parts.
    """
    if program == DRUM_KIT:
        return Part("drums", _instrument("drums"), DRUM_KIT, notes)
    name = label_of_program(program).name
    if nameless:
        low, high = min(n.pitch for n in notes), max(n.pitch for n in notes)
        able = [
            i for i in INSTRUMENTS if i.name in ORCHESTRA_13 and i.low <= low and high <= i.high
        ]
        if able:
            chosen = able[int(rng.integers(len(able)))]
            return Part("lead", chosen, int(rng.choice(chosen.programs)), notes)
    if name == "choir" and rng.random() < 0.5:
        return Part(SINGER, _instrument("vocals"), 54, notes)
    instrument = _instrument(name) if any(i.name == name for i in INSTRUMENTS) else _fitting(name)
    return Part("lead", replace(instrument, programs=(program,)), program, notes)


def _fitting(name: str) -> Instrument:
    return Instrument(name, (0,), 0, 127, ("lead",))
