"""A sampler: notes played with recordings of real instruments and kits."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from models_onnx.data.classes import FAMILY_OF
from models_onnx.data.songs.parts import Note
from models_onnx.data.sounds.recordings import Library, Recording, sound_of
from models_onnx.data.stems import RATE_HZ, pan_gains, resample

SUSTAINED = ("bowed", "brass", "woodwind", "voice", "synth")
NEAR_SEMITONES = 1.5
FARTHEST_SEMITONES = 7
CROSSFADE = 2048
PIECES = (
    ("kick", (35, 36), r"kick|^bd|bass drum|drum_bass"),
    ("stick", (37,), r"sidestick|^rim"),
    ("snare", (38, 40), r"snare|^sd|^sn_"),
    ("open", (46,), r"hihat.(open|loose|half)|^oh$|cymbal_open"),
    ("closed", (42, 44), r"hihat|^hh|^hat_|cymbal_(closed|pedal)"),
    ("ride", (51, 53, 59), r"ride|^rd$"),
    ("crash", (49, 52, 55, 57), r"crash|china|^cr$|splash|cymbal"),
    ("tom", (41, 43, 45, 47, 48, 50), r"tom|^[hml]t$"),
)
"""Piece of a kit, its General-MIDI strokes, and what recordings of it are called."""
KIT_AZIMUTH_DEG = {"kick": 0, "snare": 2, "stick": 3, "closed": -18, "open": -18, "ride": 22,
             "crash": -28, "tom": 15}  # fmt: skip


def play_library(
    rng: np.random.Generator, library: Library, notes: Sequence[Note], samples: int
) -> np.ndarray:
    """Play notes on an instrument's recordings: (2, samples) float32."""
    out = np.zeros((2, samples), np.float32)
    sustained = library.name == "organ" or (
        FAMILY_OF[library.name] in SUSTAINED and "pizz" not in library.title
    )
    release_s = float(rng.uniform(0.06, 0.25))
    for note in notes:
        recording, pitch = _nearest(rng, library, note.pitch)
        rate = 2 ** ((pitch - (recording.pitch or pitch)) / 12)
        length = round((note.end_s - note.start_s + release_s) * RATE_HZ)
        sound = _played(sound_of(recording), rate, length, sustained)
        _release(sound, round(release_s * RATE_HZ))
        _add(out, sound, note)
    return out


def play_recording(
    rng: np.random.Generator, recording: Recording, samples: int, *, every_s: float | None = None
) -> np.ndarray:
    """Play one recording as it is: (2, samples) float32.

    Parameters
    ----------
    every_s : it is repeated this often, played at the speed that fills the time; without it a
        long recording starts anywhere, a short one is repeated after pauses.
    """
    sound = sound_of(recording)
    if every_s:
        count = round(every_s * RATE_HZ)
        once = resample(sound, count, (sound.shape[1] - 4) / count)
        return np.tile(once, -(-samples // count))[:, :samples]
    if sound.shape[1] > samples:
        start = int(rng.integers(sound.shape[1] - samples + 1))
        return sound[:, start : start + samples].copy()
    out = np.zeros((2, samples), np.float32)
    at = int(rng.integers(1 + samples // 8))
    while at < samples:
        count = min(sound.shape[1], samples - at)
        out[:, at : at + count] = sound[:, :count]
        at += sound.shape[1] + int(rng.uniform(0.1, 2.0) * RATE_HZ)
    return out


def play_kit(
    rng: np.random.Generator, library: Library, notes: Sequence[Note], samples: int
) -> np.ndarray:
    """Play strokes on a kit's recordings, its pieces spread over the stereo image."""
    out = np.zeros((2, samples), np.float32)
    kit = _assign(rng, library, sorted({note.pitch for note in notes}))
    tuning = 2 ** (rng.uniform(-2.5, 2.5) / 12)
    for note in notes:
        takes, azimuth_deg = kit[note.pitch]
        sound = sound_of(takes[int(rng.integers(len(takes)))])
        left, right = pan_gains(azimuth_deg)
        placed = sound * np.array([[left], [right]], np.float32) * np.float32(2**0.5)
        _add(out, resample(placed, int(sound.shape[1] / tuning) - 2, tuning), note)
    return out


def _nearest(rng: np.random.Generator, library: Library, pitch: int) -> tuple[Recording, float]:
    """Draw one of the nearest recordings, and the pitch brought within its reach by octaves."""
    pitches = np.array([r.pitch for r in library.recordings])
    wanted = float(pitch)
    while wanted > pitches[-1] + FARTHEST_SEMITONES:
        wanted -= 12
    while wanted < pitches[0] - FARTHEST_SEMITONES:
        wanted += 12
    distance = np.abs(pitches - wanted)
    near = np.flatnonzero(distance <= distance.min() + NEAR_SEMITONES)
    return library.recordings[int(rng.choice(near))], wanted


def _played(sound: np.ndarray, rate: float, length: int, sustained: bool) -> np.ndarray:
    """Play a recording at another pitch for at most ``length`` samples."""
    needed = int(length * rate) + 4
    if sustained and sound.shape[1] < needed and sound.shape[1] > 6 * CROSSFADE:
        sound = _looped(sound, needed)
    length = min(length, int((sound.shape[1] - 4) / rate))
    return resample(sound, max(0, length), rate)


def _looped(sound: np.ndarray, needed: int) -> np.ndarray:
    """Lengthen a sustained sound by repeating its middle with equal-power crossfades."""
    first, last = int(0.35 * sound.shape[1]), int(0.85 * sound.shape[1])
    fade = np.linspace(0.0, np.pi / 2, CROSSFADE, dtype=np.float32)
    pieces, total = [sound[:, :last]], last
    while total < needed:
        tail = pieces[-1][:, -CROSSFADE:] * np.cos(fade)
        joint = tail + sound[:, first : first + CROSSFADE] * np.sin(fade)
        pieces[-1] = pieces[-1][:, :-CROSSFADE]
        pieces += [joint, sound[:, first + CROSSFADE : last]]
        total += last - first - CROSSFADE
    return np.concatenate(pieces, axis=1)


def _release(sound: np.ndarray, count: int) -> None:
    count = min(count, sound.shape[1])
    if count:
        sound[:, -count:] *= np.linspace(1.0, 0.0, count, dtype=np.float32) ** 2


def _add(out: np.ndarray, sound: np.ndarray, note: Note) -> None:
    start = round(note.start_s * RATE_HZ)
    count = min(sound.shape[1], out.shape[1] - start)
    if count > 0:
        out[:, start : start + count] += sound[:, :count] * np.float32((note.velocity / 100) ** 1.5)


def _assign(
    rng: np.random.Generator, library: Library, strokes: list[int]
) -> dict[int, tuple[list[Recording], float]]:
    """Give each stroke the takes of one piece, and the direction it stands at in the kit."""
    pieces: dict[str, list[Recording]] = {}
    for recording in library.recordings:
        pieces.setdefault(recording.piece, []).append(recording)
    names = list(pieces)
    kit = {}
    for stroke in strokes:
        part, fitting = _fitting(stroke, names) if library.name == "drums" else ("", names)
        chosen = fitting[int(rng.integers(len(fitting)))]
        azimuth_deg = KIT_AZIMUTH_DEG.get(part, 0) + rng.uniform(-8, 8)
        kit[stroke] = pieces[chosen], float(np.clip(azimuth_deg, -45, 45))
    return kit


def _fitting(stroke: int, names: list[str]) -> tuple[str, list[str]]:
    """Return the piece a General-MIDI stroke is played on and its recordings' names, or any."""
    taken: set[str] = set()
    for part, strokes, pattern in PIECES:
        fitting = [n for n in names if n not in taken and re.search(pattern, n, re.IGNORECASE)]
        taken.update(fitting)
        if stroke in strokes:
            return part, fitting or names
    return "", names
