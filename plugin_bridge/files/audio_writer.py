"""Audio files written block by block, their last samples read back before they count as whole.

Samples are `(channels, samples)` with full scale at 1. Integer samples go through unchanged: what
was read as k / 2^(bits − 1) is written as k again, of 32 bits if it comes in float64.
"""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from plugin_bridge.claim import unwritable
from plugin_bridge.files.audio_reader import BITS, AudioReader
from realtime.errors import StemsteerError

Samples = NDArray[np.floating]  # (channels, samples) of single or of double precision
FORMATS = ("wav", "flac")
_CHECKED = 2 * 4096
"""Samples at the end that are read back: a FLAC decoder searches long within the last 4096."""
_RF64_BYTES = 2**32 - 2**16  # a WAV file holds less than 4 GiB; RF64 is WAV without that limit


class NoRoomError(StemsteerError):
    """A disk that takes no more, now: there may be room later."""


@dataclass(frozen=True)
class SampleFormat:
    """How samples are written: `container` is wav or flac, `subtype` one of libsndfile's.

    Raises ValueError for another container, or a subtype that it does not hold.
    """

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
        """Return the bits of an integer sample; None for floating point."""
        return BITS.get(self.subtype)

    @property
    def bytes_per_sample(self) -> int:
        return self.bits // 8 if self.bits else 8 if self.subtype == "DOUBLE" else 4


def format_like(
    reader: AudioReader, container: str | None = None, subtype: str | None = None
) -> SampleFormat:
    """Return the sample format that keeps what `reader` reads, unless told otherwise.

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
    """An audio file being written, with its level and its clipped samples.

    Attributes
    ----------
    peak, power : greatest magnitude, and sum of squares, of all samples so far.
    clipped : how many of them were beyond full scale, where integers end.

    Raises
    ------
    StemsteerError if the file is there already, cannot be made, or not be written to the end.
    """

    def __init__(
        self,
        path: Path,
        sample_rate: int,
        channels: int,
        sample_format: SampleFormat,
        n_samples: int,
    ) -> None:
        self.path, self.sample_format, self.channels = path, sample_format, channels
        self.peak, self.power, self.clipped, self.n_samples = 0.0, 0.0, 0, 0
        large = n_samples * channels * sample_format.bytes_per_sample > _RF64_BYTES
        container = (
            "RF64"
            if large and sample_format.container == "wav"
            else sample_format.container.upper()
        )
        try:
            path.open("xb").close()  # which tells why, where libsndfile does not
            self._file = soundfile.SoundFile(
                _name(path), "w", sample_rate, channels, sample_format.subtype, format=container
            )
        except OSError as error:
            raise _not_begun(path, error) from error
        except soundfile.LibsndfileError as error:
            path.unlink(missing_ok=True)
            raise self._failed() from error

    def write(self, block: Samples) -> Samples:
        """Append `block` (channels, n), and return the samples as they stand in the file."""
        self.peak = max(self.peak, float(block.max(initial=0)), -float(block.min(initial=0)))
        self.power += float(np.square(block).sum(dtype=np.float64))
        bits = self.sample_format.bits
        if bits is None:
            double = self.sample_format.subtype == "DOUBLE"
            exact: Samples = block.astype(np.float64 if double else np.float32)
            self._append(exact.T)
            return exact
        # float32 holds integers of 24 bits: their arithmetic is exact in it, and twice as quick
        kind = np.float32 if block.dtype == np.float32 and bits <= 24 else np.float64
        scale = kind(2.0 ** (bits - 1))
        steps = np.rint(np.multiply(block.T, scale, dtype=kind))
        if self.peak * scale > scale - 1:
            inside = np.clip(steps, -scale, scale - 1)
            self.clipped += int(np.count_nonzero(inside != steps))
            steps = inside
        # libsndfile takes the upper bits of int32; of floats it would make k · 32767 / 32768
        self._append((steps * kind(2.0 ** (32 - bits))).astype(np.int32))
        standing: Samples = (steps / scale).T
        return standing

    def close(self) -> None:
        """Finish the file, see that its last samples can be read, and have it on the disk."""
        try:
            self._file.close()
            with soundfile.SoundFile(_name(self.path)) as written:
                first = max(0, self.n_samples - _CHECKED)
                written.seek(first)
                left = self.n_samples - first
                whole = written.frames == self.n_samples and len(written.read(left)) == left
                with open(self.path, "rb+") as file:
                    os.fsync(file.fileno())
        except (soundfile.LibsndfileError, OSError) as error:
            raise self._failed() from error
        if not whole:
            raise self._failed()

    def truncate(self, n_samples: int) -> None:
        """Cut the file after so many samples, also where a block was written in part."""
        with contextlib.suppress(soundfile.LibsndfileError):  # `close` sees what is there
            self._file.truncate(n_samples)
        self.n_samples = n_samples

    def discard(self) -> None:
        """Close and remove the file."""
        with contextlib.suppress(soundfile.LibsndfileError):  # a full disk takes no header either
            self._file.close()
        self.path.unlink(missing_ok=True)

    def _append(self, samples: NDArray[Any]) -> None:
        """Append samples (n, channels)."""
        try:
            self._file.write(np.ascontiguousarray(samples))
        except soundfile.LibsndfileError as error:
            raise self._failed() from error
        self.n_samples += samples.shape[0]

    def _failed(self) -> NoRoomError:
        return NoRoomError(
            f"{self.path.parent}: writing broke off after {self.n_samples} samples; the disk may "
            "be full, or files may be limited (`ulimit -f`): make room, or choose another folder"
        )


def _not_begun(path: Path, error: OSError) -> StemsteerError:
    """Return what is said of a file that cannot be made."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return StemsteerError(
            f"{path.parent}: too many files are open at once, one for each stem; ask for fewer "
            "targets, or allow more files (`ulimit -n`)"
        )
    if isinstance(error, FileExistsError):
        return StemsteerError(
            f"{path} is there already; remove it if no other program is writing it, or choose "
            "another place"
        )
    return unwritable(path, error)


def _name(path: Path) -> bytes | Path:
    """Return the name of a file for libsndfile, as bytes: it need not be UTF-8."""
    return os.fsencode(path) if os.name == "posix" else path
