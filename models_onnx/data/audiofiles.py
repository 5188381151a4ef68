"""Reading of audio files, whole or in pieces, at 44.1 kHz: soundfile, and PyAV for AAC."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from scipy.signal import resample_poly

from models_onnx.data.stems import RATE_HZ
from realtime.errors import StemsteerError

AAC_SUFFIXES = (".m4a", ".mp4", ".aac")
WARM_UP_S = 0.1
"""An AAC decoder needs a few packets before its output is right."""


def length(path: Path, stream: int = 0) -> int:
    """Return how many samples a file (or one audio stream of it) has at 44.1 kHz.

    Raises
    ------
    StemsteerError : the file is missing, empty, not audio, or has no such stream.
    """
    if path.suffix.lower() in AAC_SUFFIXES:
        with _container(path) as container:
            audio = _stream(container, path, stream)
            if audio.duration is None:
                raise StemsteerError(f"{path} does not say how long it is: save it as WAV or FLAC")
            return round(float(audio.duration * _time_base(audio)) * RATE_HZ)
    info = _info(path)
    return int(Fraction(RATE_HZ, info.samplerate) * info.frames)


def read(path: Path, start: int = 0, count: int | None = None, *, stream: int = 0) -> np.ndarray:
    """Read (2, count) float32 at 44.1 kHz from sample ``start``; a mono file fills both channels.

    Any two pieces of a file fit together without a seam. After the file's end come zeros.

    Raises
    ------
    StemsteerError : the file is missing, empty, not audio, has more than two channels, or samples
        that are no numbers.
    """
    if count is None:
        count = max(0, length(path, stream) - start)
    audio = _read(path, start, count, stream)
    if not np.isfinite(audio).all():
        raise StemsteerError(f"{path} has samples that are no numbers (NaN): make it again")
    return audio


def _read(path: Path, start: int, count: int, stream: int) -> np.ndarray:
    if path.suffix.lower() in AAC_SUFFIXES:
        return _read_aac(path, start, count, stream)
    info = _info(path)
    if info.channels > 2:
        raise StemsteerError(
            f"{path} has {info.channels} channels; stems are mono or stereo: mix it down first"
        )
    if info.samplerate == RATE_HZ:
        return _fitted(_read_frames(path, start, count), count)
    return _read_resampled(path, info.samplerate, start, count)


def _info(path: Path) -> soundfile._SoundFileInfo:
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise StemsteerError(
            f"cannot read {path}: {error}; expected a WAV, FLAC, AIFF or OGG file"
        ) from error
    if info.frames < 1:
        raise StemsteerError(f"{path} is empty: remove it or make it again")
    return info


def _read_frames(path: Path, start: int, count: int) -> np.ndarray:
    with soundfile.SoundFile(path) as file:
        file.seek(min(max(0, start), file.frames))
        audio = file.read(count, dtype="float32", always_2d=True).T
    return np.ascontiguousarray(audio)


def _read_resampled(path: Path, rate_hz: int, start: int, count: int) -> np.ndarray:
    """Resample a piece cut on the common grid of both rates, with a margin for the filter."""
    ratio = Fraction(RATE_HZ, rate_hz)
    margin = 32  # grid periods, longer than the resampling filter
    first = max(0, start // ratio.numerator - margin)
    last = (start + count) // ratio.numerator + margin + 1
    audio = _read_frames(path, first * ratio.denominator, (last - first) * ratio.denominator)
    audio = resample_poly(audio, ratio.numerator, ratio.denominator, axis=1)
    return _fitted(audio[:, start - first * ratio.numerator :], count)


def _fitted(audio: np.ndarray, count: int) -> np.ndarray:
    """Cut or zero-pad to (2, count) float32."""
    out = np.zeros((2, count), np.float32)
    there = min(count, audio.shape[1])
    out[:, :there] = audio[:, :there]
    return out


def _container(path: Path) -> av.container.InputContainer:
    try:
        return av.open(str(path))
    except (OSError, av.error.FFmpegError) as error:
        raise StemsteerError(f"cannot read {path}: {error}; expected AAC audio") from error


def _stream(
    container: av.container.InputContainer, path: Path, stream: int
) -> av.audio.stream.AudioStream:
    streams = container.streams.audio
    if stream >= len(streams):
        raise StemsteerError(f"{path} has {len(streams)} audio streams, stream {stream} is wanted")
    return streams[stream]


def _time_base(audio: av.audio.stream.AudioStream) -> Fraction:
    """Return the unit of a stream's time stamps, s."""
    return audio.time_base or Fraction(1, audio.codec_context.sample_rate)


def _read_aac(path: Path, start: int, count: int, stream: int) -> np.ndarray:
    out = np.zeros((2, count), np.float32)
    with _container(path) as container:
        audio = _stream(container, path, stream)
        rate_hz = audio.codec_context.sample_rate
        ratio = Fraction(RATE_HZ, rate_hz)
        margin = 32 if ratio != 1 else 0
        first = max(0, start // ratio.numerator - margin) * ratio.denominator
        last = ((start + count) // ratio.numerator + margin + 1) * ratio.denominator
        piece = _decode(container, audio, rate_hz, first, last)
    if ratio != 1:
        piece = resample_poly(piece, ratio.numerator, ratio.denominator, axis=1)
    offset = start - first * ratio.numerator // ratio.denominator
    there = min(count, piece.shape[1] - offset)
    out[:, :there] = piece[:, offset : offset + there]
    return out


def _decode(
    container: av.container.InputContainer,
    audio: av.audio.stream.AudioStream,
    rate_hz: int,
    first: int,
    last: int,
) -> np.ndarray:
    """Decode samples first … last − 1 of a stream at its own rate, placed by their time stamps."""
    out = np.zeros((2, last - first), np.float32)
    seek_s = max(0.0, first / rate_hz - WARM_UP_S)
    if seek_s > 0:
        container.seek(int(seek_s / _time_base(audio)), stream=audio)
    for frame in container.decode(audio):
        if frame.pts is None:  # without its time nobody knows where it belongs
            continue
        at = round(float(frame.pts * _time_base(audio)) * rate_hz) - first
        if at >= out.shape[1]:
            break
        sound = frame.to_ndarray()
        sound = (
            sound.reshape(-1, 2).T
            if sound.shape[0] == 1 and len(frame.layout.channels) == 2
            else sound
        )
        begin, end = max(0, at), min(out.shape[1], at + sound.shape[1])
        if end > begin:
            out[:, begin:end] = sound[:2, begin - at : end - at]
    return out
