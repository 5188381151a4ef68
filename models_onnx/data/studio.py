"""The studio: a composed song becomes stems with a stereo image, ready to be stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from models_onnx.data.compose import Part, Song, compose
from models_onnx.data.effects import reverberant
from models_onnx.data.parts import Note
from models_onnx.data.soundfonts import Player
from models_onnx.data.stems import RATE_HZ, normalise, split

IMAGES = ("mono", "wide", "double")
DOUBLED_FAMILIES = ("plucked", "voice", "synth", "bowed")
REVERB_CHANCE = 0.55
FADE_S = 0.05


def render_song(seed: int, player: Player) -> tuple[np.ndarray, dict[str, Any]]:
    """Render the song of a seed.

    Returns
    -------
    stems (stems, 3, samples) int16 as ``stems.split`` has them, and their line of the index.
    """
    rng = np.random.default_rng(seed)
    song = compose(rng)
    samples = round(song.seconds * RATE_HZ)
    stems, labels = [], []
    for part in song.parts:
        stem, label = _render_part(rng, song, part, player, samples)
        if stem.any():
            stems.append(np.rint(stem * 32767.0).astype(np.int16))
            labels.append(label)
    info = {"seed": seed, "samples": samples, "tempo_bpm": song.plan.tempo_bpm, "stems": labels}
    return np.stack(stems), info


def _render_part(
    rng: np.random.Generator, song: Song, part: Part, player: Player, samples: int
) -> tuple[np.ndarray, dict[str, Any]]:
    voice = player.choose(rng, part.program)
    controls = [(1, int(rng.integers(0, 60)) if part.role in ("lead", "voice") else 0)]
    chance = (0.35, 0.3, 0.35) if part.instrument.family in DOUBLED_FAMILIES else (0.6, 0.4, 0.0)
    kind = str(rng.choice(IMAGES, p=chance))
    take = player.render(voice, part.notes, samples, controls=controls)
    if kind == "double":
        again = _played_again(rng, part.notes)
        cents = float(rng.uniform(-12, 12))
        other = player.render(voice, again, samples, cents=cents, controls=controls)
        take = np.stack([take.mean(0), other.mean(0)])
    elif kind == "mono":
        mono = take.mean(0) if part.instrument.family == "drums" else take[0]
        take = np.stack([mono, mono])
    stem, wet_db = _with_reverb(rng, split(take))
    label = {
        "class": part.instrument.name,
        "family": part.instrument.family,
        "role": part.role,
        "program": part.program,
        "soundfont": voice[0].file,
        "image": kind,
        "wet_db": wet_db,
    }
    return _faded(normalise(stem)), label


def _played_again(rng: np.random.Generator, notes: list[Note]) -> list[Note]:
    """Return a second take of the same notes: other timing and touch."""
    late = rng.normal(0.004, 0.008, len(notes))
    touch = rng.normal(0.0, 6.0, len(notes))
    return [
        Note(max(0.0, n.start_s + d), n.end_s + d, n.pitch, int(np.clip(n.velocity + v, 15, 127)))
        for n, d, v in zip(notes, late, touch, strict=True)
    ]


def _with_reverb(rng: np.random.Generator, stem: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Add reverb to the wide part of some stems, at a drawn level against the direct sound."""
    if rng.random() > REVERB_CHANCE or not stem[0].any():
        return stem, None
    wet = reverberant(rng, stem)
    wet_db = float(rng.uniform(-26.0, -4.0))
    ratio = np.sqrt((stem[0] ** 2).mean() / max(float((wet**2).mean()) * 2, 1e-12))
    stem[1:] += wet * np.float32(ratio * 10 ** (wet_db / 20))
    return stem, wet_db


def _faded(stem: np.ndarray) -> np.ndarray:
    count = round(FADE_S * RATE_HZ)
    stem[:, -count:] *= np.linspace(1.0, 0.0, count, dtype=np.float32)
    return stem
