"""Audio files read block by block, every sample of them checked.

Samples are `(channels, samples)` with full scale at 1.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from plugin_bridge.files.containers import find_segments
from plugin_bridge.files.containers.sizes import is_unknown
from plugin_bridge.files.decoders import (
    Decoder,
    DecodingError,
    LibsndfileDecoder,
    open_decoder,
)
from realtime.arrays import Audio
from realtime.blocks import MAX_SAMPLE
from realtime.errors import StemsteerError
from realtime.spec import MAX_RATE_HZ, MIN_RATE_HZ

Dtype = Literal["float32", "float64"]
BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "DWVW_24": 24}
BITS |= {"ULAW": 16, "ALAW": 16, "IMA_ADPCM": 16, "MS_ADPCM": 16, "DWVW_12": 16, "DWVW_16": 16}
BITS |= {"ALAC_16": 16, "ALAC_20": 24, "ALAC_24": 24, "ALAC_32": 32}
_MOST_SEGMENTS = 10_000
_MOST_SAMPLES = 1 << 48  # a length beyond it stands for one that is not known
_GUESSED = {"MP3": 4 * 1152}  # samples by which a decoder may miss the length that it tells
_PIECE = 4096  # by so many samples the place of damage is known
_SKIPPED = 1 << 16  # samples that are read at once where they are not wanted
_SHORT = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)


class AudioReader:
    """A mono or stereo audio file whose every sample is checked.

    WAV, FLAC, AIFF, AU, Ogg and MP3 are read to their true end, also where the header does not tell
    it, and several that are joined in one file as one (`plugin_bridge.files.containers`). What
    libsndfile cannot read is tried with pedalboard, which knows the formats of the operating system
    (M4A on macOS).

    Raises
    ------
    StemsteerError if the file is missing, cannot be opened, is empty, not audio, truncated, without
    a sample, has more than two channels or a rate out of range; from `blocks`, if it breaks off, a
    sample is not a finite number, or the reader is closed. An MP3 file that was cut between two
    frames and tells no length cannot be told from a whole one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            _check_path(self.path)
            self._raw = open(self.path, "rb", buffering=1 << 16)  # noqa: SIM115
        except OSError as error:
            raise StemsteerError(f"{self.path} cannot be read: {error.strerror}") from error
        self._first: Decoder | None = None
        try:
            self._segments = find_segments(self._raw, self.path.stat().st_size)
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def time_reference(self) -> int:
        """Return the sample of a timeline at which a broadcast WAV file begins; 0 if none is told.

        A bext chunk behind the sound is not looked for.
        """
        return self._segments[0].time_reference

    @property
    def dtype(self) -> Dtype:
        """Return the least floating point that holds every sample of the file exactly."""
        return "float64" if self.subtype in ("PCM_32", "ALAC_32", "DOUBLE") else "float32"

    def blocks(
        self,
        size: int,
        dtype: Dtype = "float32",
        *,
        start: int = 0,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Iterator[Audio]:
        """Yield the samples (channels, n) in order, `size` at a time, the last block shorter.

        Parameters
        ----------
        start : sample to begin with. Those before it are not checked, nor read where the format
            tells where a sample is.
        wanted : asked while they are read; once it says no, nothing is yielded.
        """
        position, ready, parts = 0, 0, list[Audio]()
        for index in range(len(self._segments)):
            begin = position
            with self._decoding(index, begin) as decoder:
                position += _skip(decoder, start - begin, wanted)
                if not wanted():
                    return
                for part in self._segment_blocks(decoder, size, ready, position, dtype):
                    parts.append(part)
                    ready += part.shape[1]
                    position += part.shape[1]
                    if ready == size:
                        yield np.concatenate(parts, axis=1) if len(parts) > 1 else part
                        ready, parts = 0, []
                if decoder.n_samples - (position - begin) > _GUESSED.get(decoder.format, 0):
                    raise self._broken_off(position, "the rest cannot be decoded")
        if ready:
            yield np.concatenate(parts, axis=1)

    def close(self) -> None:
        """Let go of the file."""
        if self._first is not None:
            self._first.close()
            self._first = None
        self._raw.close()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        """Open every segment, and check what their headers tell."""
        if len(self._segments) > _MOST_SEGMENTS:
            raise StemsteerError(
                f"{self.path} is more than {_MOST_SEGMENTS} files in one; take them apart first"
            )
        self.n_samples = 0
        for index, segment in enumerate(self._segments):
            decoder = open_decoder(segment, self.path)
            if index == 0:
                self._first = decoder
                self.sample_rate, self.channels = decoder.sample_rate, decoder.channels
                self.format, self.subtype = decoder.format, decoder.subtype
                self._check()
            else:
                self._check_alike(decoder, index)
            missing = segment.missing or _missing(decoder)
            if index:
                decoder.close()
            there = decoder.n_samples if 0 <= decoder.n_samples < _MOST_SAMPLES else 0
            self.n_samples += there
            if missing:
                raise self._broken_off(self.n_samples, missing)
        if not self.n_samples:
            raise StemsteerError(f"{self.path} holds no samples; expected a recording")

    @contextlib.contextmanager
    def _decoding(self, index: int, begin: int) -> Iterator[Decoder]:
        """Give the decoder of a segment that begins at sample `begin`; say where it breaks off."""
        decoder = self._decoder(index)
        try:
            yield decoder
        except DecodingError as error:
            sound_until = begin + self._sound_of(index)
            raise self._broken_off(sound_until, "the rest cannot be decoded") from error
        finally:
            decoder.close()

    def _segment_blocks(
        self, decoder: Decoder, size: int, ready: int, position: int, dtype: str
    ) -> Iterator[Audio]:
        """Yield what fills a block of which `ready` samples are there, then whole ones."""
        while True:
            self._check_open()
            wanted = size - ready
            part = self._read(decoder, wanted, position, dtype)
            position += part.shape[1]
            if part.shape[1]:
                yield part
            if part.shape[1] < wanted:
                return
            ready = 0

    def _check_open(self) -> None:
        if self._raw.closed:
            raise StemsteerError(f"the reader of {self.path} is closed; open the file again")

    def _decoder(self, index: int) -> Decoder:
        self._check_open()
        if index == 0 and self._first is not None:
            first, self._first = self._first, None
            return first
        return open_decoder(self._segments[index], self.path)

    def _sound_of(self, index: int) -> int:
        """Return how many samples of a damaged segment are sound, by decoding it once more.

        A decoder gives nothing of a read that meets damage, and cannot be used after it.
        """
        decoder, n_samples = open_decoder(self._segments[index], self.path), 0
        try:
            while length := len(decoder.read(_PIECE, "float32")):
                n_samples += length
        except DecodingError:
            pass
        finally:
            decoder.close()
        return n_samples

    def _read(self, decoder: Decoder, size: int, position: int, dtype: str) -> Audio:
        block = np.ascontiguousarray(decoder.read(size, dtype).T)
        if block.min(initial=0) >= -MAX_SAMPLE and block.max(initial=0) <= MAX_SAMPLE:
            return block  # of NaN neither is true
        index = int(np.argmin((np.abs(block) <= MAX_SAMPLE).all(axis=0)))
        where = position + index
        raise StemsteerError(
            f"{self.path}: sample {where} ({where / self.sample_rate:.3f} s) is "
            f"{block[:, index].tolist()}, expected finite numbers up to {MAX_SAMPLE:.0f} (120 dB "
            "above full scale); export the file again, or repair it in an audio editor"
        )

    def _check(self) -> None:
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

    def _check_alike(self, decoder: Decoder, index: int) -> None:
        """Raise StemsteerError if a joined file has another format than the first one."""
        one, other = (self.sample_rate, self.channels), (decoder.sample_rate, decoder.channels)
        if one != other:
            raise StemsteerError(
                f"{self.path} is {len(self._segments)} files in one, the first of {one[0]} Hz and "
                f"{one[1]} channels, number {index + 1} of {other[0]} Hz and {other[1]}; take them "
                "apart, or convert them into one: ffmpeg -i IN OUT.wav"
            )
        if BITS.get(decoder.subtype, 64) > BITS.get(self.subtype, 64):
            self.subtype = decoder.subtype

    def _broken_off(self, position: int, why: str) -> StemsteerError:
        return StemsteerError(
            f"{self.path} breaks off after {position / self.sample_rate:.3f} s ({why}), expected a "
            "whole file; copy or download it again, or save what is left: ffmpeg -i IN OUT.wav"
        )


def _skip(decoder: Decoder, size: int, wanted: Callable[[], bool]) -> int:
    """Go on by `size` samples from the first one; return by how many: not beyond the end.

    Where they have to be read, that ends once they are not `wanted` any more. Raises DecodingError.
    """
    known = min(size, decoder.n_samples - _GUESSED.get(decoder.format, 0))
    skipped = known if known > 0 and decoder.seek(known) else 0
    while skipped < size and wanted():
        asked = min(_SKIPPED, size - skipped)
        there = len(decoder.read(asked, "float32"))
        skipped += there
        if there < asked:
            break
    return skipped


def _check_path(path: Path) -> None:
    if not path.exists():
        raise StemsteerError(f"{path} does not exist; expected an audio file")
    if not path.is_file():
        raise StemsteerError(f"{path} is not a file; expected an audio file")
    if not path.stat().st_size:
        raise StemsteerError(f"{path} is empty; expected an audio file")


def _missing(decoder: Decoder) -> str:
    """Return why a file of a container that is not known here is not whole."""
    if not 0 <= decoder.n_samples < _MOST_SAMPLES:
        return "it does not tell its length"
    noted = decoder.extra_info if isinstance(decoder, LibsndfileDecoder) else ""
    for told, there in ((int(a), int(b)) for a, b in _SHORT.findall(noted)):
        if there < told and not is_unknown(told, there):
            return f"its header tells of {told} bytes of sound, and there are {there}"
    return ""
