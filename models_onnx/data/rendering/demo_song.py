"""The bundled song, written out note by note: ``python -m models_onnx demo-song --out DIR``.

Eight bars in D major for guitar, bass, drums, piano and strings. Each stem is a mono file; panned
by the constant-power law to the direction that song.json names, the stems sum to the mix.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from pedalboard import HighpassFilter, LadderFilter, Pedalboard, Reverb

from models_onnx.data.songs.parts import Note
from models_onnx.data.sounds.soundfonts import Player, SoundFont
from models_onnx.data.stems import RATE_HZ, pan_gains
from realtime.atomic import atomic_write

FLUID = SoundFont("FluidR3_GM.sf2", "fluid-soundfont-gm", 1)
BEAT_S = 60.0 / 138.0
BARS, TAIL_S = 8, 1.3
GUITAR = ((50, 57, 62, 66), (49, 57, 61, 64), (47, 57, 62, 66), (43, 59, 62, 66),
          (42, 57, 62, 66), (43, 59, 62, 67), (40, 59, 62, 67), (50, 57, 62, 66))  # fmt: skip
PICKING = (0, 1, 2, 3, 2, 1, 3, 2)
TURN = (45, 57, 62, 64)
"""The A chord in the second half of the seventh bar."""
BASS = (38, 37, 35, 31, 30, 31, 28, 38)
MELODY = (
    (2, 0, 1.5, 78), (2, 1.5, 0.5, 76), (2, 2, 1, 74), (2, 3, 1, 69),
    (3, 0, 1.5, 71), (3, 1.5, 0.5, 74), (3, 2, 2, 78),
    (4, 0, 1, 81), (4, 1, 0.5, 78), (4, 1.5, 0.5, 76), (4, 2, 1.5, 74), (4, 3.5, 0.5, 76),
    (5, 0, 1.5, 79), (5, 1.5, 0.5, 78), (5, 2, 1, 74), (5, 3, 1, 71),
    (6, 0, 1, 76), (6, 1, 0.5, 78), (6, 1.5, 0.5, 79), (6, 2, 1.5, 76), (6, 3.5, 0.5, 73),
    (7, 0, 4.5, 74),
)  # fmt: skip
"""Bar, beat, beats, MIDI note."""
LEFT_HAND = ((2, 0, 4, (62, 66)), (3, 0, 4, (62, 66)), (4, 0, 4, (62, 69)), (5, 0, 4, (62, 67)),
             (6, 0, 2, (64, 67)), (6, 2, 2, (61, 64)), (7, 0, 4.5, (62, 66, 69)))  # fmt: skip
STRINGS = ((4, 0, 4, (57, 62, 66)), (5, 0, 4, (59, 62, 67)), (6, 0, 2, (59, 64, 67)),
           (6, 2, 2, (57, 61, 64)), (7, 0, 4.6, (57, 62, 66, 74)))  # fmt: skip


@dataclass(frozen=True)
class StemPlan:
    """Which program plays a stem, where it stands, and how it sounds.

    Parameters
    ----------
    program : of General MIDI; −1 is the drum kit.
    reverb : gain of the reverb against the dry sound.
    peak_db : the highest peak against full scale.
    """

    name: str
    program: int
    azimuth_deg: float
    reverb: float
    peak_db: float
    low_hz: float
    high_hz: float


STEM_PLANS = (
    StemPlan("guitar", 24, -30.0, 0.04, -10.5, 70.0, 7000.0),
    StemPlan("bass", 33, 0.0, 0.0, -10.5, 30.0, 4000.0),
    StemPlan("drums", -1, 0.0, 0.0, -10.5, 40.0, 7500.0),
    StemPlan("piano", 0, 22.0, 0.05, -9.5, 90.0, 7000.0),
    StemPlan("strings", 48, 42.0, 0.06, -16.5, 150.0, 7000.0),
)


def notes_of(name: str) -> list[Note]:
    """Return the notes of one of the five stems, in order of their start."""
    rng = np.random.default_rng(sum(name.encode()))
    written = _WRITTEN[name]()
    loose = rng.normal(0.0, 0.004, len(written))
    touch = rng.normal(0.0, 4.0, len(written))
    return sorted(
        Note(max(0.0, n.start_s + d), n.end_s + d, n.pitch, int(np.clip(n.velocity + v, 1, 127)))
        for n, d, v in zip(written, loose, touch, strict=True)
    )


def _at(bar: float, beat: float, beats: float, pitch: int, velocity: int) -> Note:
    start = (bar * 4 + beat) * BEAT_S
    return Note(start, start + beats * BEAT_S, pitch, velocity)


def _guitar() -> list[Note]:
    notes = []
    for bar, chord in enumerate(GUITAR[:-1]):
        for eighth, string in enumerate(PICKING):
            strings = TURN if bar == 6 and eighth >= 4 else chord
            string = 0 if bar == 6 and eighth == 4 else string
            ring = 2.0 if string == 0 else 1.2
            notes.append(_at(bar, eighth / 2, ring, strings[string], 92 if string == 0 else 74))
    return notes + [_at(7, 0.06 * k, 4.5, p, 88) for k, p in enumerate(GUITAR[-1])]


def _bass() -> list[Note]:
    notes = []
    for bar, root in enumerate(BASS[1:7], start=1):
        late = 33 if bar == 6 else root
        into = BASS[bar + 1]
        step = into + (2 if into < late else -1)
        notes += [_at(bar, 0, 1.4, root, 96), _at(bar, 1.5, 0.45, root, 78)]
        notes += [
            _at(bar, 2, 1.3, late if bar == 6 else root + 12, 88),
            _at(bar, 3.5, 0.45, step, 76),
        ]
    return [*notes, _at(7, 0, 4.4, BASS[7], 92)]


def _drums() -> list[Note]:
    kick, stick, snare, hat, open_hat = 36, 37, 38, 42, 46
    strokes = []
    for bar in range(1, 7):
        for eighth in range(8):
            strokes.append((bar, eighth / 2, hat, 62 if eighth % 2 == 0 else 44))
        if bar >= 2:
            backbeat = stick if bar < 4 else snare
            strokes += [(bar, 0, kick, 92), (bar, 1.5, kick, 70), (bar, 2.5, kick, 84)]
            strokes += [(bar, 1, backbeat, 84), (bar, 3, backbeat, 88)]
    strokes += [(1, 3.5, open_hat, 60), (3, 3.5, open_hat, 64), (5, 3.5, open_hat, 58)]
    strokes += [(6, 3.25, snare, 50), (6, 3.5, 45, 84), (6, 3.75, 43, 88)]
    strokes += [(7, 0, open_hat, 70), (7, 0, kick, 92)]
    return [_at(bar, beat, 0.5, pitch, velocity) for bar, beat, pitch, velocity in strokes]


def _piano() -> list[Note]:
    low = [_at(bar, beat, n, p, 58) for bar, beat, n, chord in LEFT_HAND for p in chord]
    return [_at(bar, beat, n, pitch, 86) for bar, beat, n, pitch in MELODY] + low


def _strings() -> list[Note]:
    return [_at(bar, beat, n, p, 70) for bar, beat, n, chord in STRINGS for p in chord]


_WRITTEN = {
    "guitar": _guitar, "bass": _bass, "drums": _drums, "piano": _piano, "strings": _strings,
}  # fmt: skip


def render_stem(player: Player, plan: StemPlan) -> np.ndarray:
    """Return the sound of one stem, (samples,) int16, before panning."""
    samples = round((BARS * 4 * BEAT_S + TAIL_S) * RATE_HZ)
    voice = (FLUID, 128 if plan.program < 0 else 0, max(0, plan.program))
    sound = player.render(voice, notes_of(plan.name), samples).mean(0)
    tone = [HighpassFilter(plan.low_hz), LadderFilter(LadderFilter.LPF24, plan.high_hz)]
    dry = Pedalboard(tone)(sound, RATE_HZ, reset=True)
    hall = Reverb(room_size=0.45, damping=0.7, wet_level=plan.reverb, dry_level=0.0, width=0.0)
    stem = dry + hall(dry, RATE_HZ, reset=True)
    stem *= np.float32(10 ** (plan.peak_db / 20) / np.abs(stem).max())
    fade = round(0.4 * RATE_HZ)
    stem[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32) ** 2
    return np.rint(stem * 32767.0).astype(np.int16)


def files_of(out: Path) -> list[Path]:
    """Return the files that `write_song` writes into a folder."""
    return [
        out / name for name in ("mix.flac", *(f"{p.name}.flac" for p in STEM_PLANS), "song.json")
    ]


def write_song(out: Path) -> dict[str, Any]:
    """Render the song into a folder: mix.flac, a FLAC a stem and song.json, which is returned."""
    out.mkdir(parents=True, exist_ok=True)
    player = Player((FLUID,))
    stems = {plan: render_stem(player, plan) for plan in STEM_PLANS}
    images = [np.outer(pan_gains(plan.azimuth_deg), stem) for plan, stem in stems.items()]
    mix = np.rint(np.sum(images, axis=0))
    assert np.abs(mix).max() <= 32767
    song = {
        "title": "Eight bars for Stemsteer",
        "licence": "CC0-1.0; played with the soundfont Fluid (R3) General MIDI, MIT licence",
        "sample_rate": RATE_HZ,
        "frames": mix.shape[1],
        "mix": "mix.flac",
        "stems": [_entry(plan) for plan in STEM_PLANS],
    }
    _write_flac(out / "mix.flac", mix.T.astype(np.int16))
    for plan, stem in stems.items():
        _write_flac(out / f"{plan.name}.flac", stem)
    with atomic_write(out / "song.json") as part:
        part.write_text(json.dumps(song, indent=2) + "\n")
    return song


def _entry(plan: StemPlan) -> dict[str, Any]:
    return {
        "name": plan.name,
        "file": f"{plan.name}.flac",
        "azimuth_deg": plan.azimuth_deg,
        "width_deg": 0.0,
    }


def _write_flac(path: Path, audio: np.ndarray) -> None:
    with atomic_write(path) as part:
        soundfile.write(
            part, audio, RATE_HZ, subtype="PCM_16", format="FLAC", compression_level=1.0
        )
