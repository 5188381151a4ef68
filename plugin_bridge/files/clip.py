"""A stretch of an audio file at a given rate: what an example of a sound is."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plugin_bridge.files.audio_reader import AudioReader
from realtime.arrays import Audio
from realtime.errors import StemsteerError

BLOCK = 1 << 16
_STRETCH = re.compile(r"(?P<file>.+)@(?P<start>\d+(?:\.\d+)?)-(?P<end>\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Clip:
    """A stretch of a file, from `start_s` to `end_s`; to the end of the file if that is None.

    Raises
    ------
    ValueError if it ends before it begins.
    """

    path: Path
    start_s: float = 0.0
    end_s: float | None = None

    def __post_init__(self) -> None:
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(
                f"the stretch {self.start_s:g}-{self.end_s:g} of {self.path} is empty: expected "
                "FILE@START-END in seconds, with the end after the start"
            )

    @classmethod
    def parse(cls, text: str) -> Clip:
        """Read FILE or FILE@START-END, seconds.

        Raises ValueError if the stretch is empty, or is none though FILE exists.
        """
        if os.path.exists(text):  # of what is no path, as of too long a name, it raises nothing
            return cls(Path(text))
        found = _STRETCH.fullmatch(text)
        if found is None:
            file, sign, stretch = text.rpartition("@")
            if sign and os.path.exists(file):
                raise ValueError(
                    f"{stretch!r} is no stretch of {file}: expected FILE@START-END in seconds, as "
                    f"{file}@12.5-15"
                )
            return cls(Path(text))
        return cls(Path(found["file"]), float(found["start"]), float(found["end"]))

    def __str__(self) -> str:
        stretch = "" if self.end_s is None else f"@{self.start_s:g}-{self.end_s:g}"
        return f"{self.path}{stretch}"

    def read(self, sample_rate: int, longest_s: float) -> Audio:
        """Return its samples (channels, n) float32 at `sample_rate`.

        Raises
        ------
        StemsteerError if the file cannot be read, ends before the stretch does, or the stretch is
        longer than `longest_s`.
        """
        with AudioReader(self.path) as source:
            duration_s = source.n_samples / source.sample_rate
            end_s = duration_s if self.end_s is None else self.end_s
            if end_s > duration_s + 1e-3:
                raise StemsteerError(
                    f"{self}: the file ends at {duration_s:.2f} s; give a stretch within it"
                )
            if end_s - self.start_s > longest_s:
                raise StemsteerError(
                    f"{self} is {end_s - self.start_s:.1f} s long, expected at most {longest_s:g}: "
                    f"say which stretch of it, as {self.path}@10-12"
                )
            samples = _stretch(source, self.start_s, end_s)
            return resampled(samples, source.sample_rate, sample_rate)


def _stretch(source: AudioReader, start_s: float, end_s: float) -> Audio:
    first, last = round(start_s * source.sample_rate), round(end_s * source.sample_rate)
    pieces, missing = [np.zeros((source.channels, 0), np.float32)], last - first
    for block in source.blocks(BLOCK, start=first):
        pieces.append(block[:, :missing])
        missing -= pieces[-1].shape[1]
        if not missing:
            break
    return np.concatenate(pieces, axis=1)


def resampled(audio: Audio, from_hz: int, to_hz: int) -> Audio:
    """Return audio (channels, n) at another rate, as long as before within a sample."""
    if from_hz == to_hz or not audio.shape[1]:
        return audio
    from pedalboard.io import StreamResampler  # slow to import

    resampler = StreamResampler(from_hz, to_hz, audio.shape[0])
    pieces = [resampler.process(audio), resampler.process(None)]
    out = np.concatenate([piece.reshape(audio.shape[0], -1) for piece in pieces], axis=1)
    return np.ascontiguousarray(out[:, : round(audio.shape[1] * to_hz / from_hz)], np.float32)
