"""Stems of real songs: stretches of a song in which several of its recorded stems sound."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from models_onnx.data import audiofiles
from models_onnx.data.sounds.recordings import Recording, Recordings
from models_onnx.data.stems import RATE_HZ

MOST_STEMS = 7
LEAST_OVERLAP_S = 3.0


def draw_stretch(
    rng: np.random.Generator, recordings: Recordings, seconds: float
) -> list[tuple[list[Recording], np.ndarray]]:
    """Draw a stretch of a song: groups of recordings of one class, and each group's sum.

    Sums are (2, samples) float32. Recordings of one class are one stem in half of the stretches,
    else each is a stem of its own. A stretch begins where a recording does, or a little later.
    """
    song = recordings.songs[str(rng.choice(sorted(recordings.songs)))]
    anchor = song[int(rng.integers(len(song)))]
    start_s = anchor.offset_s + float(rng.uniform(0.0, max(0.0, anchor.seconds - 8.0)))
    heard = [r for r in song if _overlap_s(r, start_s, seconds) > LEAST_OVERLAP_S]
    groups = _grouped(heard, together=rng.random() < 0.5)
    chosen = [groups[i] for i in rng.permutation(len(groups))[:MOST_STEMS]]
    return [(group, _sum(group, start_s, seconds)) for group in chosen]


def _overlap_s(recording: Recording, start_s: float, seconds: float) -> float:
    end_s = min(recording.offset_s + recording.seconds, start_s + seconds)
    return end_s - max(recording.offset_s, start_s)


def _grouped(recordings: list[Recording], *, together: bool) -> list[list[Recording]]:
    """Group by class, or by what the file is called before its part number."""
    groups: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        stem = recording.path.stem.split("_p")[0]
        groups[recording.name if together else f"{recording.name} {stem}"].append(recording)
    return list(groups.values())


def _sum(group: list[Recording], start_s: float, seconds: float) -> np.ndarray:
    out = np.zeros((2, round(seconds * RATE_HZ)), np.float32)
    for recording in group:
        at = round((recording.offset_s - start_s) * RATE_HZ)
        piece = audiofiles.read(recording.path, max(0, -at), out.shape[1])
        out[:, max(0, at) :] += piece[:, : out.shape[1] - max(0, at)]
    return out
