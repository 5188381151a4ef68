"""Audio files, read and written block by block, checked at the door.

Samples are float32 `(channels, samples)` with full scale at 1. Integer samples go through
unchanged: what was read as k / 2^(bits − 1) is written as k again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from plugin_bridge.files.decoders import ogg_ends, open_file
from realtime.errors import StemsteerError
from realtime.spec import MAX_RATE_HZ, MIN_RATE_HZ
from realtime.stft import Audio

MAX_SAMPLE = 2.0**20  # a sample further out than 120 dB above full scale is damage, not sound
FORMATS = ("wav", "flac")
BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
BITS |= {"ULAW": 16, "ALAW": 16, "IMA_ADPCM": 16, "MS_ADPCM": 16, "ALAC_16": 16, "ALAC_24": 24}
_RF64_BYTES = 2**32 - 2**16  # a WAV file holds less than 4 GiB; RF64 is WAV without that limit
_UNKNOWN_SIZES = (0, 2**31 - 1, 2**32 - 1)  # what programs write that do not know the size yet
_SHORT = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)


class AudioReader:
    """A mono or stereo audio file that is sound all through.

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
        self.frames = int(self._file.frames)
        self.format, self.subtype = str(self._file.format), str(self._file.subtype)
        try:
            self._check()
        except StemsteerError:
            self.close()
            raise

    def blocks(self, size: int) -> Iterator[Audio]:
        """Give the samples in order, `size` at a time, the last block shorter."""
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
        if not self.frames:
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
                raise self._broken_off(self.frames)
        if self.format == "OGG" and not ogg_ends(self.path):
            raise self._broken_off(self.frames)

    def _check_end(self, position: int) -> None:
        """Tell whether the samples ended where they should: an MP3 may only guess its length."""
        allowed = self.frames // 100 if self.format == "MP3" else 0
        if self.frames - position > allowed:
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


@dataclass(frozen=True)
class SampleFormat:
    """How samples are written: `container` wav or flac, `subtype` in libsndfile's words."""

    container: str
    subtype: str

    def __post_init__(self) -> None:
        if self.container not in FORMATS:
            raise ValueError(f"format is {self.container!r}, expected one of {', '.join(FORMATS)}")
        known = soundfile.available_subtypes(self.container.upper())
        plain = [name for name in known if name.startswith("PCM") or name in ("FLOAT", "DOUBLE")]
        if self.subtype not in plain:
            raise ValueError(
                f"subtype is {self.subtype!r}, expected for {self.container} one of "
                f"{', '.join(plain)}"
            )

    @property
    def bits(self) -> int | None:
        """Bits of an integer sample; None for floating point."""
        return BITS.get(self.subtype)

    @property
    def bytes_per_sample(self) -> int:
        return self.bits // 8 if self.bits else 8 if self.subtype == "DOUBLE" else 4


def format_like(
    reader: AudioReader, container: str | None = None, subtype: str | None = None
) -> SampleFormat:
    """The sample format that keeps what `reader` reads, unless told otherwise.

    FLAC stays FLAC and all else becomes WAV; the bit depth is the input's. Lossy files (MP3, Ogg)
    decode to floating point, beyond full scale even, and stay so in WAV. FLAC holds 24 bits at
    the most.
    """
    container = (container or ("flac" if reader.format == "FLAC" else "wav")).lower()
    if subtype is not None:
        return SampleFormat(container, subtype.upper())
    bits = BITS.get(reader.subtype)
    if container == "flac":
        return SampleFormat(container, {8: "PCM_S8", 16: "PCM_16"}.get(bits or 24, "PCM_24"))
    if bits is None:
        return SampleFormat(container, "DOUBLE" if reader.subtype == "DOUBLE" else "FLOAT")
    return SampleFormat(container, "PCM_U8" if bits == 8 else f"PCM_{bits}")


class AudioWriter:
    """An audio file being written, with what must be known of it in the end.

    Attributes
    ----------
    peak, power : greatest magnitude, and sum of squares, of all samples so far.
    clipped : how many of them were beyond full scale, where integers end.

    Raises
    ------
    StemsteerError if the file cannot be made, or not be written to the end.
    """

    def __init__(
        self, path: Path, sample_rate: int, channels: int, samples: SampleFormat, frames: int
    ) -> None:
        self.path, self.samples, self.channels = path, samples, channels
        self.peak, self.power, self.clipped, self.frames = 0.0, 0.0, 0, 0
        large = frames * channels * samples.bytes_per_sample > _RF64_BYTES
        container = "RF64" if large and samples.container == "wav" else samples.container.upper()
        try:
            self._file = soundfile.SoundFile(
                path, "w", sample_rate, channels, samples.subtype, format=container
            )
        except soundfile.LibsndfileError as error:
            raise StemsteerError(
                f"{path.parent} cannot be written to; choose another folder that is there"
            ) from error

    def write(self, block: NDArray[np.floating]) -> NDArray[np.float64]:
        """Append `block` (channels, n); give the samples as they stand in the file."""
        self.peak = max(self.peak, float(np.abs(block).max(initial=0)))
        self.power += float(np.square(block, dtype=np.float64).sum())
        self.frames += block.shape[1]
        bits = self.samples.bits
        if bits is None:
            exact = block.astype(np.float32)
            self._append(exact)
            return exact.astype(np.float64)
        scale = 2.0 ** (bits - 1)
        steps = np.rint(block.astype(np.float64) * scale)
        inside = np.clip(steps, -scale, scale - 1)
        self.clipped += int(np.count_nonzero(inside != steps))
        # libsndfile takes the upper bits of int32; of floats it would make k · 32767 / 32768
        self._append((inside * 2.0 ** (32 - bits)).astype(np.int32))
        return inside / scale

    def close(self) -> None:
        """Finish the file, see that its last sample can be read, and have it on the disk."""
        try:
            self._file.close()
            with soundfile.SoundFile(self.path) as written:
                written.seek(max(0, self.frames - 1))
                whole = written.frames == self.frames and len(written.read(1)) == 1
        except soundfile.LibsndfileError as error:
            raise self._failed() from error
        if not whole:
            raise self._failed()
        with open(self.path, "rb+") as file:
            os.fsync(file.fileno())

    def discard(self) -> None:
        """Remove what was written."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _append(self, block: NDArray[Any]) -> None:
        try:
            self._file.write(np.ascontiguousarray(block.T))
        except soundfile.LibsndfileError as error:
            raise self._failed() from error

    def _failed(self) -> StemsteerError:
        return StemsteerError(
            f"{self.path.parent}: writing broke off after {self.frames} samples; the disk may be "
            "full: make room, or choose another folder"
        )
