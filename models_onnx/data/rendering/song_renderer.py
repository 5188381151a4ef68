"""A seed becomes a song of stems, each with its stereo image, ready to be stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models_onnx.data.classes import FAMILY_OF
from models_onnx.data.songs.compose import Part, Song, compose
from models_onnx.data.songs.parts import Note
from models_onnx.data.songs.scores import SINGER, Scores
from models_onnx.data.sounds.effects import (
    AMPLIFIED,
    amplify,
    chorus,
    echo,
    haas,
    insert,
    reverberant,
)
from models_onnx.data.sounds.recordings import Library, Recording, Recordings, sound_of
from models_onnx.data.sounds.sampler import play_kit, play_library, play_recording
from models_onnx.data.sounds.songstems import draw_stretch
from models_onnx.data.sounds.soundfonts import Player
from models_onnx.data.stems import RATE_HZ, normalise, recentred, split

IMAGES = ("mono", "wide", "double", "chorus", "haas")
IMAGE_CHANCE = {"drums": (0.45, 0.55, 0, 0, 0), "bass": (0.8, 0.1, 0, 0.1, 0)}
OTHERS_CHANCE = (0.4, 0.25, 0.2, 0.09, 0.06)
REVERB_CHANCE, ECHO_CHANCE = 0.6, 0.12
RECORDED_CHANCE = 0.55
LOOP_CHANCE = 0.08
REAL_VOICE_CHANCE = 0.5
REAL_SONG_CHANCE = 0.14
PHRASE_CHANCE = 0.15
MANY_SINGERS, NOTES_SUNG_CHANCE = 6, 0.5
"""So many recorded singers of notes sing half of the melodies; fewer sing none of them."""
KINDS = ("composed", "real", "score", "band")
FADE_S = 0.05


@dataclass(frozen=True)
class SongRenderer:
    """Renders songs by what it is given; without recordings, soundfonts play everything.

    Parameters
    ----------
    kinds : chances of songs that are composed (or, now and then, real), of stretches of real
        songs, of scores, and of bands with a human drummer; the latter two need scores.
    """

    player: Player
    recordings: Recordings | None = None
    scores: Scores | None = None
    kinds: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)

    def render_song(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Render the song of a seed.

        Returns
        -------
        stems (stems, 3, samples) int16 as ``stems.split`` has them, and their line of the index.
        """
        rng = np.random.default_rng(seed)
        kind = KINDS[int(rng.choice(len(KINDS), p=self.kinds))] if self.kinds[0] < 1 else KINDS[0]
        tempo, rendered, added = 0.0, [], {} if kind == "composed" else {"kind": kind}
        if (
            self.recordings
            and self.recordings.songs
            and (kind == "real" or (kind == "composed" and rng.random() < REAL_SONG_CHANCE))
        ):
            rendered = _sounding(self._real_song(rng, self.recordings))
        while not rendered:
            song, title = self._written(rng, kind)
            added |= {"score": title} if title else {}
            tempo = song.plan.tempo_bpm
            rendered = _sounding([self._part(rng, song, part) for part in song.parts])
        stems = np.stack([np.rint(stem * 32767.0).astype(np.int16) for stem, _ in rendered])
        labels = [label for _, label in rendered]
        info = {"seed": seed, "samples": stems.shape[2], "tempo_bpm": tempo, "stems": labels}
        return stems, info | added

    def _written(self, rng: np.random.Generator, kind: str) -> tuple[Song, str]:
        """Return a song to be played, and the title of a score."""
        if kind == "score" and self.scores:
            return self.scores.song(rng)
        if kind == "band" and self.scores:
            return self.scores.band(rng), ""
        return compose(rng), ""

    def _real_song(
        self, rng: np.random.Generator, recordings: Recordings
    ) -> list[tuple[np.ndarray, dict[str, Any]]]:
        stems = []
        for group, audio in draw_stretch(rng, recordings, float(rng.uniform(18.0, 26.0))):
            label = _label(group[0].name, "stem", "wide", source=group[0].path.stem)
            stem = split(recentred(audio))
            stems.append((_faded(normalise(stem)), label))
        return stems

    def _part(
        self, rng: np.random.Generator, song: Song, part: Part
    ) -> tuple[np.ndarray, dict[str, Any]]:
        family = part.instrument.family
        kind = str(rng.choice(IMAGES, p=IMAGE_CHANCE.get(family, OTHERS_CHANCE)))
        take, label = self._take(rng, song, part, doubled=kind == "double")
        take, label["effects"] = insert(rng, take, part.instrument.name)
        if kind in ("mono", "chorus", "haas"):
            take = _one_channel(take, family)
            widen = {"chorus": chorus, "haas": haas}.get(kind)
            take = widen(rng, take) if widen else np.stack([take, take])
        stem = split(take)
        sends, label["wet_db"] = _sends(rng, stem[0], song.plan.beat_s)
        stem[1:] += sends[0]
        label["image"] = kind if kind in ("mono", "double") else "wide"
        label["effects"] += [kind] * (kind in ("chorus", "haas")) + sends[1]
        return _faded(normalise(stem)), label

    def _take(
        self, rng: np.random.Generator, song: Song, part: Part, *, doubled: bool
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Return one take (2, samples) of a part, or two takes left and right, and its label."""
        samples = round(song.seconds * RATE_HZ)
        name = part.instrument.name
        recordings = self.recordings
        if (
            recordings
            and part.role in ("voice", SINGER)
            and len(singers := recordings.instruments.get("vocals", ())) >= MANY_SINGERS
            and rng.random() < NOTES_SUNG_CHANCE
        ):
            return _played(rng, part, singers, samples, doubled=doubled)
        if (
            recordings
            and part.role in ("voice", SINGER)
            and (part.role == SINGER or rng.random() < REAL_VOICE_CHANCE)
            and (voices := _voices(recordings))
        ):
            return _sung(rng, voices, samples)
        if (
            recordings
            and part.role == "drums"
            and rng.random() < LOOP_CHANCE
            and (loops := [r for r in recordings.loops if r.name == "drums"])
        ):
            return _looped(rng, loops, song, samples)
        if (
            recordings
            and recordings.phrases.get(name)
            and FAMILY_OF[name] not in ("drums", "voice")
            and rng.random() < PHRASE_CHANCE
        ):
            return _phrases(rng, recordings.phrases[name], samples), _label(
                name, part.role, "", source=f"phrases of {name}"
            )
        shelf = (recordings.kits | recordings.instruments) if recordings else {}
        if name in shelf and rng.random() < RECORDED_CHANCE:
            return _played(rng, part, shelf[name], samples, doubled=doubled)
        voice = self.player.choose(rng, part.program)
        controls = [(1, int(rng.integers(0, 60)) if part.role in ("lead", "voice") else 0)]
        cents = [0.0, float(rng.uniform(-12, 12))]
        takes = [
            self.player.render(voice, notes, samples, cents=detune, controls=controls)
            for notes, detune in zip(_takes(rng, part, doubled), cents, strict=False)
        ]
        label = _label(
            name, part.role, "", soundfont=Path(voice[0].file).name, program=part.program
        )
        return _sides(takes), label


def _played(
    rng: np.random.Generator,
    part: Part,
    libraries: Sequence[Library],
    samples: int,
    *,
    doubled: bool,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a part played with recorded notes of one of the libraries, and its label."""
    name = part.instrument.name
    library = libraries[int(rng.integers(len(libraries)))]
    play = play_kit if FAMILY_OF[name] == "drums" else play_library
    takes = [play(rng, library, notes, samples) for notes in _takes(rng, part, doubled)]
    take = _sides(takes)
    if rng.random() < AMPLIFIED.get(name, 0.0):
        take = amplify(rng, take)
    return take, _label(name, part.role, "", source=library.title)


def _sounding(
    rendered: list[tuple[np.ndarray, dict[str, Any]]],
) -> list[tuple[np.ndarray, dict[str, Any]]]:
    return [(stem, label) for stem, label in rendered if stem.any()]


def _label(name: str, role: str, image: str, **origin: Any) -> dict[str, Any]:
    label = {"class": name, "family": FAMILY_OF[name], "role": role, **origin}
    return {"program": None, **label, "image": image, "wet_db": None, "effects": []}


def _takes(rng: np.random.Generator, part: Part, doubled: bool) -> list[list[Note]]:
    return [part.notes, _played_again(rng, part.notes)] if doubled else [part.notes]


def _played_again(rng: np.random.Generator, notes: list[Note]) -> list[Note]:
    """Return a second take of the same notes: other timing and touch."""
    late = rng.normal(0.004, 0.008, len(notes))
    touch = rng.normal(0.0, 6.0, len(notes))
    return [
        Note(max(0.0, n.start_s + d), n.end_s + d, n.pitch, int(np.clip(n.velocity + v, 15, 127)))
        for n, d, v in zip(notes, late, touch, strict=True)
    ]


def _sides(takes: list[np.ndarray]) -> np.ndarray:
    return takes[0] if len(takes) == 1 else np.stack([take.mean(0) for take in takes])


def _one_channel(take: np.ndarray, family: str) -> np.ndarray:
    """Return (samples,): the mean of a kit spread over both channels, else the louder channel.

    The sum of a stereo recording of one instrument would comb-filter it.
    """
    if family == "drums":
        return take.mean(0)
    return take[int(take[1] @ take[1] > 2.0 * (take[0] @ take[0]))]


def _voices(recordings: Recordings) -> list[Recording]:
    stems = [r for song in recordings.songs.values() for r in song]
    phrases = recordings.phrases.get("vocals", [])
    return [r for r in [*stems, *recordings.voices, *phrases] if FAMILY_OF.get(r.name) == "voice"]


def _phrases(rng: np.random.Generator, recordings: list[Recording], samples: int) -> np.ndarray:
    """Play phrases one after another, with rests: (2, samples)."""
    out = np.zeros((2, samples), np.float32)
    at = int(rng.integers(1 + samples // 10))
    while at < samples:
        sound = sound_of(recordings[int(rng.integers(len(recordings)))])
        count = min(sound.shape[1], samples - at)
        out[:, at : at + count] = sound[:, :count]
        at += count + int(rng.exponential(0.4) * RATE_HZ)
    return out


def _sung(
    rng: np.random.Generator, voices: list[Recording], samples: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return real singing, in no relation to the song but that it sounds at the same time."""
    chances = np.array([min(r.seconds, 20.0) for r in voices])
    recording = voices[int(rng.choice(len(voices), p=chances / chances.sum()))]
    take = recentred(play_recording(rng, recording, samples))
    return take, _label(recording.name, "voice", "", source=recording.path.stem)


def _looped(
    rng: np.random.Generator, loops: list[Recording], song: Song, samples: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a recorded drum loop, again and again, each time as long as whole beats."""
    recording = loops[int(rng.integers(len(loops)))]
    beats = max(1, round(recording.seconds / song.plan.beat_s))
    take = play_recording(rng, recording, samples, every_s=beats * song.plan.beat_s)
    return take, _label("drums", "drums", "", source=recording.path.stem)


def _sends(
    rng: np.random.Generator, direct: np.ndarray, beat_s: float
) -> tuple[tuple[np.ndarray, list[str]], float | None]:
    """Return the stereo reverb and echo of a direct sound, their names, and the reverb's level."""
    wet, names, wet_db = np.zeros((2, direct.size), np.float32), [], None
    if rng.random() < REVERB_CHANCE:
        wet_db = float(rng.uniform(-26.0, -3.0))
        reverb, kind = reverberant(rng, direct)
        wet += _at_level(reverb, direct, wet_db)
        names.append(kind)
    if rng.random() < ECHO_CHANCE:
        wet += _at_level(echo(rng, direct, beat_s), direct, float(rng.uniform(-22.0, -8.0)))
        names.append("echo")
    return (wet, names), wet_db


def _at_level(wet: np.ndarray, direct: np.ndarray, level_db: float) -> np.ndarray:
    """Scale a stereo send to a level against the direct sound, dB."""
    energy = max(float((wet**2).mean()) * 2, 1e-12)
    return wet * np.float32(np.sqrt((direct**2).mean() / energy) * 10 ** (level_db / 20))


def _faded(stem: np.ndarray) -> np.ndarray:
    count = round(FADE_S * RATE_HZ)
    stem[:, -count:] *= np.linspace(1.0, 0.0, count, dtype=np.float32)
    return stem
