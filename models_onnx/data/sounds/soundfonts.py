"""Soundfonts played by FluidSynth: notes in, dry stereo sound out.

FluidSynth is the Debian package libfluidsynth3, the soundfonts are the packages named below.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import fluidsynth
import numpy as np

from models_onnx.data.classes import DRUM_KIT
from models_onnx.data.songs.parts import Note
from models_onnx.data.stems import RATE_HZ
from realtime.errors import StemsteerError

BLOCK = 64
"""FluidSynth acts on events only every 64 samples; keeping to its grid makes renders repeatable."""
FOLDERS = (Path("/usr/share/sounds/sf2"), Path("/usr/share/sounds/sf3"))
BEND_CENTS = 200.0

_write_float = fluidsynth.cfunc(
    "fluid_synth_write_float",
    ctypes.c_int,
    ("synth", ctypes.c_void_p, 1),
    ("len", ctypes.c_int, 1),
    ("lout", ctypes.c_void_p, 1),
    ("loff", ctypes.c_int, 1),
    ("lincr", ctypes.c_int, 1),
    ("rout", ctypes.c_void_p, 1),
    ("roff", ctypes.c_int, 1),
    ("rincr", ctypes.c_int, 1),
)


@dataclass(frozen=True)
class SoundFont:
    """A soundfont file: its name, how often it is drawn, and the kits of a drum-only one.

    Parameters
    ----------
    file : its name in `FOLDERS`, or a path to it.
    package : of Debian, which holds the file.
    kits : (bank, program) of its drum kits; melodic soundfonts use the General-MIDI drum bank.
    """

    file: str
    package: str
    weight: float
    kits: tuple[tuple[int, int], ...] = ((128, 0),)
    melodic: bool = True

    @classmethod
    def of_file(cls, path: Path) -> SoundFont:
        """Return a General-MIDI soundfont that lies anywhere.

        Raises
        ------
        StemsteerError : it is not a soundfont.
        """
        try:
            with path.open("rb") as file:
                head = file.read(12)
        except OSError as error:
            raise StemsteerError(f"cannot read {path}: {error.strerror}") from error
        if head[:4] != b"RIFF" or head[8:] != b"sfbk":
            raise StemsteerError(f"{path} is not a soundfont: give an .sf2 or .sf3 file")
        return cls(str(path.resolve()), "", 1.5)

    @property
    def path(self) -> Path:
        """Return where the file is.

        Raises
        ------
        StemsteerError : it is not installed.
        """
        for folder in FOLDERS:
            if (folder / self.file).is_file():
                return folder / self.file
        raise StemsteerError(
            f"soundfont {self.file} not found in {' or '.join(map(str, FOLDERS))}: install the "
            f"Debian package that holds it: sudo apt-get install {self.package}"
        )


GM_KITS = tuple((128, kit) for kit in (0, 8, 16, 24, 25, 32, 40))
TRAINING = (
    SoundFont("FluidR3_GM.sf2", "fluid-soundfont-gm", 4, GM_KITS),
    SoundFont("TimGM6mb.sf2", "timgm6mb-soundfont", 2, GM_KITS),
    SoundFont("sf_GMbank.sf2", "csound-soundfont", 1.5),
    SoundFont("Black_Pearl_4_LV2.sf2", "avldrums.lv2-soundfont", 2, ((0, 0),), melodic=False),
    SoundFont("Red_Zeppelin_4_LV2.sf2", "avldrums.lv2-soundfont", 2, ((0, 0),), melodic=False),
)
HELD_OUT = (SoundFont("MuseScore_General.sf3", "musescore-general-soundfont", 1, GM_KITS),)


@dataclass
class Player:
    """FluidSynth with its soundfonts loaded once, playing one part at a time."""

    fonts: Sequence[SoundFont]
    _synths: dict[str, tuple[fluidsynth.Synth, int]] = field(default_factory=dict)

    def choose(self, rng: np.random.Generator, program: int) -> tuple[SoundFont, int, int]:
        """Draw a soundfont that has the program (or a drum kit): font, bank, preset."""
        able = [f for f in self.fonts if f.melodic or program == DRUM_KIT]
        weights = np.array([f.weight for f in able])
        for index in rng.choice(len(able), len(able), replace=False, p=weights / weights.sum()):
            font = able[index]
            kits = font.kits if program == DRUM_KIT else ((0, program),)
            for kit in rng.permutation(len(kits)):
                bank, preset = kits[kit]
                if self._has(font, bank, preset):
                    return font, bank, preset
        raise StemsteerError(f"no soundfont has program {program}: install fluid-soundfont-gm")

    def _has(self, font: SoundFont, bank: int, preset: int) -> bool:
        synth, sfid = self._open(font)
        return synth.program_select(0, sfid, bank, preset) == 0

    def _open(self, font: SoundFont) -> tuple[fluidsynth.Synth, int]:
        if font.file not in self._synths:
            self._synths[font.file] = _fresh(font)
        return self._synths[font.file]

    def render(
        self,
        voice: tuple[SoundFont, int, int],
        notes: Sequence[Note],
        samples: int,
        *,
        cents: float = 0.0,
        controls: Sequence[tuple[int, int]] = (),
    ) -> np.ndarray:
        """Play notes on a voice of ``choose``: (2, samples) float32, no effects.

        Parameters
        ----------
        cents : detuning of the whole part, at most ±200.
        controls : MIDI controllers and their values, set before the first note.
        """
        synth, sfid = _fresh(voice[0])
        synth.program_select(0, sfid, voice[1], voice[2])
        synth.pitch_bend(0, int(8191 * np.clip(cents / BEND_CENTS, -1, 1)))
        for controller, value in controls:
            synth.cc(0, controller, value)
        blocks = -(-samples // BLOCK)
        audio = np.zeros((2, blocks * BLOCK), np.float32)
        done = 0
        for block, on, pitch, velocity in _events(notes, blocks):
            self._write(synth, audio, done, block)
            done = max(done, block)
            if on:
                synth.noteon(0, pitch, velocity)
            else:
                synth.noteoff(0, pitch)
        self._write(synth, audio, done, blocks)
        synth.delete()
        return audio[:, :samples]

    @staticmethod
    def _write(synth: fluidsynth.Synth, audio: np.ndarray, first: int, last: int) -> None:
        if last > first:
            left, right = audio[0].ctypes.data, audio[1].ctypes.data
            start, count = first * BLOCK, (last - first) * BLOCK
            _write_float(synth.synth, count, left, start, 1, right, start, 1)


def _fresh(font: SoundFont) -> tuple[fluidsynth.Synth, int]:
    """Return a new synth with the soundfont: only a new one plays the same notes the same way."""
    options = {"synth.reverb.active": 0, "synth.chorus.active": 0}
    synth = fluidsynth.Synth(gain=0.3, samplerate=RATE_HZ, channels=16, **options)
    return synth, synth.sfload(str(font.path))


def _events(notes: Sequence[Note], blocks: int) -> list[tuple[int, int, int, int]]:
    """Return (block, on, pitch, velocity) in order, note-offs before note-ons of one block."""
    events = []
    for note in notes:
        start = round(note.start_s * RATE_HZ / BLOCK)
        stop = max(start + 1, round(note.end_s * RATE_HZ / BLOCK))
        if start < blocks:
            events.append((start, 1, note.pitch, note.velocity))
            events.append((min(stop, blocks), 0, note.pitch, 0))
    return sorted(events)
