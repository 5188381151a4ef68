"""The pitch of a sound, by autocorrelation (Boersma 1993) as Praat has it."""

from __future__ import annotations

import numpy as np
import parselmouth

from models_onnx.data.stems import RATE_HZ

STEP_S = 0.01
REACH = 2.3
"""How far above and below an expected frequency is listened: an octave and a tone."""


def pitch_curve(sound: parselmouth.Sound, lowest_hz: float, highest_hz: float) -> np.ndarray:
    """Return the pitch every `STEP_S` from the beginning on, Hz, 0 where there is none."""
    if sound.get_total_duration() < 4.0 / lowest_hz:  # Praat asks for three periods
        return np.zeros(0)
    found = sound.to_pitch_ac(STEP_S, lowest_hz, pitch_ceiling=highest_hz)
    return np.concatenate([np.zeros(round(found.t1 / STEP_S)), found.selected_array["frequency"]])


def median_pitch(sound: np.ndarray, lowest_hz: float, highest_hz: float) -> float | None:
    """Return the median pitch of (samples,), a MIDI note, None where there is none."""
    hz = pitch_curve(praat_sound(sound), lowest_hz, highest_hz)
    return float(69 + 12 * np.log2(np.median(hz[hz > 0]) / 440)) if hz.any() else None


def pitch_near(sound: np.ndarray, note: float) -> float | None:
    """Return the median pitch of (samples,) around a MIDI note, None where there is none."""
    hz = hz_of(note)
    return median_pitch(sound, hz / REACH, hz * REACH)


def praat_sound(sound: np.ndarray) -> parselmouth.Sound:
    """Return (samples,) at `RATE_HZ` as Praat takes it."""
    return parselmouth.Sound(sound.astype(np.float64), RATE_HZ)


def hz_of(note: float) -> float:
    """Return the frequency of a MIDI note, Hz."""
    return float(440 * 2 ** ((note - 69) / 12))
