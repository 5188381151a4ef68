"""Decoders of audio files: libsndfile, and where it gives up, pedalboard."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from realtime.errors import StemsteerError


class LibsndfileDecoder(soundfile.SoundFile):  # type: ignore[misc]
    """An audio file decoded by libsndfile, with the number of bytes it has left unread."""

    def __init__(self, path: Path) -> None:
        self._raw = open(path, "rb")  # noqa: SIM115
        try:
            by_number = os.name == "posix"  # elsewhere file numbers do not cross libraries
            super().__init__(self._raw.fileno() if by_number else path, closefd=False)
        except BaseException:
            self._raw.close()
            raise

    def unread(self) -> int:
        """Return the number of bytes behind the position that decoding has come to."""
        size = os.fstat(self._raw.fileno()).st_size
        return size - os.lseek(self._raw.fileno(), 0, os.SEEK_CUR) if os.name == "posix" else 0

    def close(self) -> None:
        super().close()
        self._raw.close()


class PedalboardDecoder:
    """An audio file decoded by pedalboard, with the attributes of soundfile's that are used."""

    extra_info = ""

    def __init__(self, path: Path) -> None:
        from pedalboard.io import ReadableAudioFile

        self._file = ReadableAudioFile(str(path))
        self.samplerate, self.channels = self._file.samplerate, self._file.num_channels
        self.frames, self.format = self._file.frames, path.suffix[1:].upper()
        bits = re.fullmatch(r"int(\d+)", self._file.file_dtype)
        self.subtype = f"PCM_{bits[1]}" if bits else "FLOAT"

    def read(self, size: int, **_: object) -> NDArray[np.float32]:
        return self._file.read(size).T

    def unread(self) -> int:
        return 0

    def close(self) -> None:
        self._file.close()


def open_file(path: Path) -> LibsndfileDecoder | PedalboardDecoder:
    """Open an audio file. Raises StemsteerError if it is missing, empty, or not audio."""
    _check_path(path)
    try:
        return LibsndfileDecoder(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a file named .raw
        try:
            return PedalboardDecoder(path)
        except ValueError:
            raise StemsteerError(
                f"{path} is not audio that can be read here; expected WAV, FLAC, AIFF, Ogg or MP3; "
                "convert it first, for example: ffmpeg -i IN OUT.wav"
            ) from error


def _check_path(path: Path) -> None:
    if not path.exists():
        raise StemsteerError(f"{path} does not exist; expected an audio file")
    if not path.is_file():
        raise StemsteerError(f"{path} is not a file; expected an audio file")
    if not path.stat().st_size:
        raise StemsteerError(f"{path} is empty; expected an audio file")


def ogg_ends(path: Path) -> bool:
    """Return whether the last page of an Ogg file is flagged as the last (RFC 3533, type 4)."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 2**16 - 512))  # a page is no longer
        tail = file.read()
    page = tail.rfind(b"OggS")
    return page >= 0 and bool(tail[page + 5] & 4)
