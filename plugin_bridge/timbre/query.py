"""Timbres out of sounds: examples of what is wanted, and how good an example is."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plugin_bridge.files.clip import Clip
from plugin_bridge.timbre.encoders import Encoder
from plugin_bridge.timbre.timbre_library import TimbreLibrary
from plugin_bridge.timbre.vector import Timbre, mean
from realtime.arrays import Audio
from realtime.encoder import LONGEST_S, SHORTEST_S
from realtime.errors import StemsteerError

GOOD_S = 2.0
"""Length of a good example; the encoder hears little more in a longer one."""
PIECE_S = 1.0
SILENT_DB = -50.0
QUIET_DB = -40.0
TIED = 0.03
"""How far the likest class is ahead, below which an example may be of the second as well."""
MIXED = 0.2
"""Spread of the pieces of an example from which on it holds several sounds."""


def timbre_of(examples: Sequence[str], encoder: Encoder, library: TimbreLibrary) -> Timbre:
    """Return the timbre in the middle of examples.

    Parameters
    ----------
    examples : FILE, FILE@START-END in seconds, or the name of a timbre of the library.

    Raises
    ------
    StemsteerError if an example cannot be read, is silent, too short or too long, or a timbre of
    the library is of another encoder; ValueError if the examples contradict each other.
    """
    return mean([_one(example, encoder, library) for example in examples], examples)


def _one(example: str, encoder: Encoder, library: TimbreLibrary) -> Timbre:
    clip = Clip.parse(example)
    is_there = os.path.exists(clip.path)
    if not is_there and example in library.names():
        return _of_library(example, encoder, library)
    if not is_there and not clip.path.suffix:
        there = ", ".join(library.names()) or "none yet"
        raise StemsteerError(
            f"{example!r} is neither a file nor a timbre of the library; there are {there}"
        )
    audio = clip.read(encoder.spec.sample_rate, LONGEST_S)
    try:
        return Timbre(encoder.encode(audio), encoder.spec.encoder, sources=(str(clip),))
    except ValueError as error:
        raise StemsteerError(f"{clip} is no example of a sound: {error}") from error


def _of_library(name: str, encoder: Encoder, library: TimbreLibrary) -> Timbre:
    timbre = library.load(name)
    if timbre.encoder != encoder.spec.encoder:
        raise StemsteerError(
            f"the timbre {name!r} was made by the encoder {timbre.encoder}, the model needs one of "
            f"{encoder.spec.encoder}: make it anew with `stemsteer timbres add "
            f"{shlex.quote(name)} FILE --force`, with the model as --model"
        )
    return timbre


@dataclass(frozen=True)
class ExampleReport:
    """How good an example is.

    Parameters
    ----------
    silent : share of it that is silent, 0 … 1.
    level_db : RMS where it sounds, dB of full scale.
    spread : how far its pieces lie apart, 0 … 1; much where it holds several sounds.
    nearest : the classes most like it and their likeness, −1 … 1, the nearest first.
    sure : how much nearer the first class is than the second, 0 … 1.
    problems : what is wrong with it, in words; none if it is good.
    """

    example: str
    seconds: float
    silent: float
    level_db: float
    spread: float
    nearest: tuple[tuple[str, float], ...]
    sure: float
    problems: tuple[str, ...]


def check_example(
    example: str, encoder: Encoder, classes: Mapping[str, Sequence[float]]
) -> ExampleReport:
    """Examine an example of a sound.

    Parameters
    ----------
    classes : unit vectors of the encoder by class, of a model's spec.

    Raises
    ------
    StemsteerError if it cannot be read, is silent, or is too short or too long.
    """
    clip = Clip.parse(example)
    rate = encoder.spec.sample_rate
    audio = clip.read(rate, LONGEST_S)
    seconds = audio.shape[1] / rate
    try:
        whole = Timbre(encoder.encode(audio), encoder.spec.encoder)
    except ValueError as error:
        raise StemsteerError(f"{clip} is no example of a sound: {error}") from error
    levels = [_level_db(piece) for piece in _pieces(audio, round(0.1 * rate))]
    silent = float(np.mean([level < SILENT_DB for level in levels]))
    spread = _spread(audio, encoder)
    nearest = nearest_classes(whole, classes)
    likeness = [value for _, value in nearest] + [0.0, 0.0]
    report = ExampleReport(
        example=str(clip),
        seconds=round(seconds, 3),
        silent=round(silent, 3),
        level_db=round(_level_db(audio), 1),
        spread=round(spread, 3),
        nearest=tuple((name, round(value, 3)) for name, value in nearest),
        sure=round(max(0.0, min(1.0, likeness[0] - likeness[1])), 3),
        problems=(),
    )
    return ExampleReport(**{**vars(report), "problems": tuple(_problems(report))})


def _problems(report: ExampleReport) -> Iterator[str]:
    if report.seconds < GOOD_S / 2:
        yield f"it is {report.seconds:.2f} s long; {GOOD_S:g} s are better"
    if report.silent > 0.5:
        yield f"{report.silent:.0%} of it is silent; cut to where the sound is heard"
    if report.level_db < QUIET_DB:
        yield f"it is quiet ({report.level_db:.0f} dB); noise may be heard as its timbre"
    if report.spread > MIXED:
        yield "its pieces differ much: it seems to hold several sounds, one after the other"
    if len(report.nearest) > 1 and report.sure < TIED:
        first, second = (name for name, _ in report.nearest[:2])
        yield f"{second} is as likely as {first}; is there a place where it plays alone?"


def _pieces(audio: Audio, size: int) -> list[Audio]:
    whole = audio.shape[1] // size * size
    return [audio[:, k : k + size] for k in range(0, whole, size)] or [audio]


def _level_db(audio: Audio) -> float:
    power = float(np.mean(np.square(audio, dtype=np.float64))) if audio.size else 0.0
    return 10 * math.log10(power) if power > 1e-12 else -120.0


def _spread(audio: Audio, encoder: Encoder) -> float:
    """Return how far the timbres of the sounding pieces lie apart, 0 for fewer than two."""
    size = round(max(PIECE_S, SHORTEST_S) * encoder.spec.sample_rate)
    sounding = [piece for piece in _pieces(audio, size) if _level_db(piece) > SILENT_DB]
    if len(sounding) < 2:
        return 0.0
    vectors = np.array([encoder.encode(piece) for piece in sounding], np.float64)
    return float(1 - np.linalg.norm(vectors.mean(0)))


def nearest_classes(
    timbre: Timbre, classes: Mapping[str, Sequence[float]], count: int = 3
) -> list[tuple[str, float]]:
    """Return the classes most like a timbre with their likeness, −1 … 1, the nearest first."""
    likeness = {
        name: float(np.dot(timbre.vector, np.asarray(vector, np.float32)))
        for name, vector in classes.items()
        if len(vector) == timbre.vector.size
    }
    return sorted(likeness.items(), key=lambda item: -item[1])[:count]
