"""Audio files read block by block, every sample of them checked.

Samples are float32 `(channels, samples)` with full scale at 1.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from plugin_bridge.files.decoders import ogg_ends, open_file
from realtime.errors import StemsteerError
from realtime.spec import MAX_RATE_HZ, MIN_RATE_HZ
from realtime.stft import Audio

MAX_SAMPLE = 2.0**20  # a sample further out than 120 dB above full scale is damage, not sound
BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
BITS |= {"ULAW": 16, "ALAW": 16, "IMA_ADPCM": 16, "MS_ADPCM": 16, "ALAC_16": 16, "ALAC_24": 24}
_UNKNOWN_SIZES = (0, 2**31 - 1, 2**32 - 1)  # what programs write that do not know the size yet
_SHORT = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)


class AudioReader:
    """A mono or stereo audio file whose every sample is checked.

    soundfile reads WAV, FLAC, AIFF, Ogg, MP3 and more; what it cannot read is tried with
    pedalboard, which knows the formats of the operating system (M4A on macOS).

    Raises
    ------
    StemsteerError if the file is missing, empty, not audio, truncated, without a sample, has more
    than two channels or a rate out of range; from `blocks`, if it breaks off or a sample is not a
    finite number. An MP3 file that was cut and tells no length cannot be told from a whole one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = open_file(self.path)
        self.sample_rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.n_samples = int(self._file.frames)
        self.format, self.subtype = str(self._file.format), str(self._file.subtype)
        try:
            self._check()
        except StemsteerError:
            self.close()
            raise

    def blocks(self, size: int) -> Iterator[Audio]:
        """Yield the samples (channels, n) in order, `size` at a time, the last block shorter."""
        position = 0
        while True:
            block = self._read(size, position)
            position += block.shape[1]
            if block.shape[1]:
                yield block
            if block.shape[1] < size:
                return self._check_end(position)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, size: int, position: int) -> Audio:
        try:
            block: Audio = self._file.read(size, dtype="float32", always_2d=True).T
        except soundfile.LibsndfileError as error:
            raise self._broken_off(position) from error
        good = np.abs(block) <= MAX_SAMPLE  # false for NaN
        if not good.all():
            index = int(np.argmin(good.all(axis=0)))
            where = position + index
            raise StemsteerError(
                f"{self.path}: sample {where} ({where / self.sample_rate:.3f} s) is "
                f"{block[:, index].tolist()}, expected finite numbers; export the file again, "
                "or repair it in an audio editor"
            )
        return np.ascontiguousarray(block)

    def _check(self) -> None:
        if not self.n_samples:
            raise StemsteerError(f"{self.path} holds no samples; expected a recording")
        if self.channels > 2:
            raise StemsteerError(
                f"{self.path} has {self.channels} channels, expected stereo (2) or mono (1); "
                "fold it down first, for example: ffmpeg -i IN -ac 2 OUT.wav"
            )
        if not MIN_RATE_HZ <= self.sample_rate <= MAX_RATE_HZ:
            raise StemsteerError(
                f"{self.path} has a sample rate of {self.sample_rate} Hz, expected {MIN_RATE_HZ} "
                f"to {MAX_RATE_HZ}; resample it first, for example: ffmpeg -i IN -ar 44100 OUT.wav"
            )
        for given, there in ((int(a), int(b)) for a, b in _SHORT.findall(self._file.extra_info)):
            if there < given and given not in _UNKNOWN_SIZES:
                raise self._broken_off(self.n_samples)
        if self.format == "OGG" and not ogg_ends(self.path):
            raise self._broken_off(self.n_samples)

    def _check_end(self, position: int) -> None:
        """Raise StemsteerError if samples are missing; an MP3 may only have guessed its length."""
        allowed = self.n_samples // 100 if self.format == "MP3" else 0
        if self.n_samples - position > allowed:
            raise self._broken_off(position)
        if self.format == "MP3" and self._file.unread() > self.path.stat().st_size // 20:
            raise StemsteerError(
                f"{self.path} is an MP3 of variable bit rate that does not tell its length, and "
                "reading it would stop too soon; convert it: ffmpeg -i IN OUT.wav"
            )

    def _broken_off(self, position: int) -> StemsteerError:
        return StemsteerError(
            f"{self.path} breaks off after {position / self.sample_rate:.3f} s, expected a whole "
            "file; copy or download it again, or save what is left: ffmpeg -i IN OUT.wav"
        )
