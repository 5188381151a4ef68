"""Decoders of audio files: libsndfile, and for what it does not know, pedalboard in a process."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from plugin_bridge.files.containers import Segment
from plugin_bridge.launch import ending_signals, own_process
from realtime.errors import StemsteerError

_PLAIN = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""Subtypes in which libsndfile finds any sample, also in FLAC."""
OPEN_S = 30.0  # for a process to start and to open a file, and between two of its answers
_MOST_HEADER_BYTES = 4096


class DecodingError(Exception):
    """The sound ends before the length that was told, or is damaged."""


@contextlib.contextmanager
def _deferred_signals() -> Iterator[None]:
    """Let Ctrl-C, and what else asks this process to end, act behind this block.

    libsndfile reads by calling back into Python, and an exception that a signal raises in such a
    call is lost there: the file would seem to end.
    """
    if threading.current_thread() is not threading.main_thread():  # signals never come here
        yield
        return
    noted: list[int] = []
    kinds = [s for s in ending_signals() if callable(signal.getsignal(s))]
    before = {s: signal.signal(s, lambda number, _: noted.append(number)) for s in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
        for number in noted:
            signal.raise_signal(number)


class Decoder(Protocol):
    """A segment of a file being decoded; `subtype` is in libsndfile's words."""

    sample_rate: int
    channels: int
    n_samples: int
    format: str
    subtype: str

    def read(self, size: int, dtype: str) -> NDArray[Any]:
        """Return the next samples (n, channels), fewer only at the end.

        Raises DecodingError.
        """

    def seek(self, sample: int) -> bool:
        """Go to a sample before the first one is read; False if none is found without reading.

        Raises DecodingError.
        """

    def close(self) -> None:
        """Let go of the file."""


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file of libsndfile that stays where it is when it is told to go there.

    soundfile does so behind every read, and a FLAC decoder searches and decodes again for it, which
    takes longer than the reading.
    """

    def seek(self, frames: int, whence: int = soundfile.SEEK_SET) -> int:
        here: int = super().seek(0, soundfile.SEEK_CUR)
        is_there = whence == soundfile.SEEK_SET and frames == here
        return here if is_there else super().seek(frames, whence)


class LibsndfileDecoder:
    """A segment decoded by libsndfile. Raises ValueError if it is nothing that libsndfile knows."""

    def __init__(self, segment: Segment) -> None:
        segment.view.seek(0)  # libsndfile takes the file to begin where it stands
        try:
            with _deferred_signals():
                self._file = _SoundFile(segment.view)
            self.format, self.subtype = str(self._file.format), str(self._file.subtype)
        except (soundfile.LibsndfileError, KeyError, TypeError) as error:  # KeyError: odd bits
            raise ValueError(str(error)) from error
        self.sample_rate, self.channels = int(self._file.samplerate), int(self._file.channels)
        told = int(self._file.frames)
        self.n_samples = told if segment.n_samples is None else segment.n_samples
        self._to_skip = max(0, told - self.n_samples) if segment.has_lead_in else 0

    def read(self, size: int, dtype: str) -> NDArray[Any]:
        try:
            with _deferred_signals():
                if self._to_skip:
                    self._file.read(self._to_skip, dtype=dtype)
                    self._to_skip = 0
                return np.asarray(self._file.read(size, dtype=dtype, always_2d=True))
        except soundfile.LibsndfileError as error:
            raise DecodingError(str(error)) from error

    def seek(self, sample: int) -> bool:
        # of Ogg it goes wrong in the last page, and of some others it knows the beginning alone
        if self.subtype not in _PLAIN and self.format != "MP3":
            return False
        try:
            with _deferred_signals():
                self._file.seek(self._to_skip + sample)
        except soundfile.LibsndfileError as error:
            raise DecodingError(str(error)) from error
        self._to_skip = 0
        return True

    @property
    def extra_info(self) -> str:
        """Return what libsndfile noted when it read the header."""
        return str(self._file.extra_info)

    def close(self) -> None:
        self._file.close()


class ProcessDecoder:
    """A file decoded by pedalboard in a process of its own, which a hostile file may crash.

    pedalboard knows the formats of the operating system (M4A on macOS). Raises ValueError if it
    does not know the file either, or crashes, or does not answer within `OPEN_S`.
    """

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            own_process("plugin_bridge.files.decoder_process", path.absolute()),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        try:
            header = json.loads(self._line())
            self.sample_rate, self.channels = int(header["sample_rate"]), int(header["channels"])
            self.n_samples = int(header["n_samples"])
            self.format, self.subtype = path.suffix[1:].upper(), str(header["subtype"])
        except (ValueError, KeyError, TypeError, DecodingError) as error:
            self.close()
            raise ValueError(f"{path} is nothing that pedalboard knows") from error

    def read(self, size: int, dtype: str) -> NDArray[Any]:
        width = 4 * self.channels
        data = self._bytes(size * width)
        whole = len(data) // width * width
        samples = np.frombuffer(data[:whole], np.float32).reshape(-1, self.channels)
        return samples.astype(dtype)

    def seek(self, sample: int) -> bool:
        return False

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _line(self) -> bytes:
        """Return the first line of the process."""
        line = b""
        while not line.endswith(b"\n"):
            byte = self._bytes(1)
            if not byte or len(line) > _MOST_HEADER_BYTES:
                raise DecodingError("no header")
            line += byte
        return line

    def _bytes(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end, which comes if the process does not answer."""
        assert self._process.stdout is not None
        watchdog = threading.Timer(OPEN_S, self._process.kill)
        watchdog.start()
        try:
            return self._process.stdout.read(size)
        finally:
            watchdog.cancel()


def open_decoder(segment: Segment, path: Path) -> Decoder:
    """Return a decoder of a segment of the file `path`. Raises StemsteerError if there is none."""
    try:
        return LibsndfileDecoder(segment)
    except ValueError as error:
        if segment.is_foreign:
            with contextlib.suppress(ValueError):
                return ProcessDecoder(path)
        raise StemsteerError(
            f"{path} is not audio that can be read here; expected WAV, FLAC, AIFF, Ogg or MP3; "
            "convert it first, for example: ffmpeg -i IN OUT.wav"
        ) from error
