"""Sung notes out of spoken syllables: many singers, where recordings of singing have a few.

A syllable keeps its consonants and its formants; its longest voiced stretch is lengthened and given
the pitch of a note, by PSOLA (Moulines & Charpentier 1990) as Praat has it.
"""

from __future__ import annotations

import numpy as np
import parselmouth
from parselmouth import praat
from parselmouth.praat import call

from models_onnx.data.sounds.pitch import STEP_S, hz_of, median_pitch, pitch_curve, praat_sound

FLOOR_HZ, CEILING_HZ = 75.0, 500.0
SHORTEST_S = 0.08
"""A voiced stretch that is shorter cannot be held."""
EDGE_S = 0.03
"""At both ends of the voiced stretch, which is not lengthened."""
LONGEST_STRETCH = 16.0
FORMANTS = 0.1
"""How much larger or smaller a singer's throat may become."""


def spoken_pitch(speech: np.ndarray) -> float | None:
    """Return the median pitch of spoken (samples,), a MIDI note, or None without a voice."""
    return median_pitch(speech, FLOOR_HZ, CEILING_HZ)


def sung(
    rng: np.random.Generator, speech: np.ndarray, pitch: float, seconds: float
) -> np.ndarray | None:
    """Return spoken (samples,) sung at a MIDI note for about so long; None without a long vowel.

    The note is slid into from below, and has a vibrato that begins late.
    """
    praat.run(f"random_initializeWithSeedUnsafelyButPredictably ({int(rng.integers(2**31))})")
    sound = _throat(rng, praat_sound(speech))
    start, end = _longest_run(pitch_curve(sound, FLOOR_HZ, CEILING_HZ) > 0)
    if end - start < SHORTEST_S:
        return None
    first, last = start + EDGE_S, end - EDGE_S
    stretch = float(np.clip(seconds / (last - first), 0.5, LONGEST_STRETCH))
    manipulation = call(sound, "To Manipulation", STEP_S, FLOOR_HZ, 600.0)
    total_s = sound.get_total_duration()
    contour = call("Create PitchTier", "note", 0.0, total_s)
    held_s = np.arange(0.0, stretch * (last - first), 0.01)
    for at, note in zip(first + held_s / stretch, _notes(rng, held_s) + pitch, strict=True):
        call(contour, "Add point", float(at), hz_of(note))
    call([contour, manipulation], "Replace pitch tier")
    lengths = call("Create DurationTier", "lengths", 0.0, total_s)
    for at, factor in ((first, 1.0), (first + 1e-3, stretch), (last - 1e-3, stretch), (last, 1.0)):
        call(lengths, "Add point", at, factor)
    call([lengths, manipulation], "Replace duration tier")
    note_sound = call(manipulation, "Get resynthesis (overlap-add)")
    return np.asarray(note_sound.values[0], np.float32)


def _longest_run(voiced: np.ndarray) -> tuple[float, float]:
    """Return where the longest stretch of True begins and ends, seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(int), [0]])))
    runs = edges.reshape(-1, 2)
    if not len(runs):
        return 0.0, 0.0
    start, end = runs[np.argmax(runs[:, 1] - runs[:, 0])]
    return float(start * STEP_S), float(end * STEP_S)


def _throat(rng: np.random.Generator, sound: parselmouth.Sound) -> parselmouth.Sound:
    """Return the sound with formants higher or lower, at the same pitch and speed."""
    ratio = float(np.exp(rng.uniform(-FORMANTS, FORMANTS)))
    if sound.get_total_duration() < 4.0 / FLOOR_HZ:
        return sound
    return call(sound, "Change gender", FLOOR_HZ, CEILING_HZ, ratio, 0.0, 1.0, 1.0)


def _notes(rng: np.random.Generator, time_s: np.ndarray) -> np.ndarray:
    """Return how far a voice is from its note, semitones, at times from the note's beginning."""
    slide = -rng.uniform(0.0, 2.0) * np.exp(-time_s / rng.uniform(0.02, 0.08))
    depth = rng.uniform(0.0, 0.6) * np.clip((time_s - rng.uniform(0.1, 0.5)) / 0.4, 0.0, 1.0)
    vibrato = depth * np.sin(2 * np.pi * rng.uniform(4.5, 6.8) * time_s + rng.uniform(0, 6.3))
    wander = np.cumsum(rng.normal(0.0, 0.02, time_s.size)) * 0.5
    return np.asarray(slide + vibrato + np.clip(wander, -0.3, 0.3))
