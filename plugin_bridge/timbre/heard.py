"""The instruments that are heard in a mix, when, and how surely.

The encoder of timbres hears pieces of the mix; a linear classifier on its unit vector gives the
chance that each instrument is among what sounds (`python -m models_onnx fit-heard` fits it).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.files.clip import resampled
from plugin_bridge.small_files import read_small_file
from plugin_bridge.timbre.encoders import Encoder
from realtime.arrays import Audio, Floats
from realtime.encoder import FOLDER, EncoderSpec
from realtime.errors import StemsteerError
from realtime.json_reader import read_json
from realtime.model import weights_folders

FORMAT = "stemsteer-heard-1"
SUFFIX = ".heard.json"
MAX_BYTES = 1 << 20
PIECE_S, STEP_S = 4.0, 2.0
MOST_PIECES = 600  # of a long file; they are then further apart
HEARD, SURELY = 0.3, 0.5  # chance from which a piece counts, and the best one has to reach
PAUSE_S, LEAST_S = 8.0, 4.0


@dataclass(frozen=True)
class Classifier:
    """Chances of instruments: 1 / (1 + exp(−(w · z + b))) of the vector z of an encoder.

    Parameters
    ----------
    encoder : identity of the encoder that it was fitted to.
    weights : (instruments, size + 1), the bias last.
    """

    encoder: str
    instruments: tuple[str, ...]
    weights: Floats

    def chances(self, vectors: Floats) -> Floats:
        """Return the chances (pieces, instruments) of vectors (pieces, size)."""
        logits = vectors @ self.weights[:, :-1].T + self.weights[:, -1]
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)

    def save(self, path: Path) -> None:
        """Write the file that `load_classifier` reads."""
        rows = zip(self.instruments, self.weights.round(4).tolist(), strict=True)
        content = {"format": FORMAT, "encoder": self.encoder, "instruments": dict(rows)}
        path.write_text(json.dumps(content) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Heard:
    """An instrument that is heard: when, and the chance that it is there, at its surest."""

    instrument: str
    sure: float
    stretches_s: tuple[tuple[float, float], ...]


def load_classifier(encoder: EncoderSpec) -> Classifier:
    """Load the classifier of an encoder, from the folders of encoders.

    Raises
    ------
    StemsteerError if there is none, or its file is none.
    """
    for path in (p for f in weights_folders() for p in sorted((f / FOLDER).glob(f"*{SUFFIX}"))):
        found = read_classifier(path)
        if found.encoder == encoder.encoder and found.weights.shape[1] == encoder.size + 1:
            return found
    raise StemsteerError(
        f"no classifier of instruments is here for the encoder {encoder.encoder}: "
        "`python -m models_onnx fit-heard` makes one; --no-instruments leaves them out"
    )


def read_classifier(path: Path) -> Classifier:
    """Read a classifier's file. Raises StemsteerError that says what is wrong with it."""
    try:
        content = read_json(read_small_file(path, max_bytes=MAX_BYTES), max_bytes=MAX_BYTES)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        rows = content["instruments"]
        weights = np.array(list(rows.values()), np.float32)
        if weights.ndim != 2 or not np.isfinite(weights).all():
            raise ValueError("its weights are not rows of numbers")
        return Classifier(str(content["encoder"]), tuple(rows), weights)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StemsteerError(f"{path} is no classifier of instruments: {error}") from error


def instruments_heard(
    blocks: Iterable[Audio],
    duration_s: float,
    sample_rate: int,
    encoder: Encoder,
    classifier: Classifier,
) -> list[Heard]:
    """Return the instruments of a file in blocks (channels, n), the surest first."""
    step_s = max(STEP_S, duration_s / MOST_PIECES)
    times_s, vectors = [], []
    for start_s, piece in _pieces(blocks, step_s, sample_rate):
        try:
            vectors.append(encoder.encode(resampled(piece, sample_rate, encoder.spec.sample_rate)))
            times_s.append(start_s)
        except ValueError:  # silent, or the short rest of a file
            continue
    if not vectors:
        return []
    chances = classifier.chances(np.stack(vectors))
    found = [
        _heard(name, chances[:, k], np.array(times_s), step_s, duration_s)
        for k, name in enumerate(classifier.instruments)
    ]
    return sorted((h for h in found if h.stretches_s), key=lambda heard: -heard.sure)


def _pieces(
    blocks: Iterable[Audio], step_s: float, sample_rate: int
) -> Iterator[tuple[float, Audio]]:
    """Yield pieces of `PIECE_S`, `step_s` apart, with their starts; the last may be shorter."""
    size, step = round(PIECE_S * sample_rate), round(step_s * sample_rate)
    held, position, at = np.zeros((0, 0), np.float32), 0, 0
    for block in blocks:
        held = np.concatenate([held, block], axis=1) if held.size else block
        while position + held.shape[1] >= at + size:
            yield at / sample_rate, held[:, at - position : at - position + size]
            at += step
        drop = min(max(0, at - position), held.shape[1])
        held, position = held[:, drop:], position + drop
    if held.shape[1] and position == at:
        yield at / sample_rate, held


def _heard(
    name: str, chances: Floats, times_s: NDArray[np.float64], step_s: float, duration_s: float
) -> Heard:
    """Return where one instrument is heard; each piece speaks for the time around its middle."""
    stretches: list[list[float]] = []
    best: list[float] = []
    for time_s, chance in zip(times_s.tolist(), chances.tolist(), strict=True):
        if chance < HEARD:
            continue
        end_s = min(time_s + PIECE_S, duration_s)
        if stretches and time_s - stretches[-1][1] < PAUSE_S - PIECE_S + step_s:
            stretches[-1][1] = end_s
            best[-1] = max(best[-1], chance)
        else:
            stretches.append([time_s, end_s])
            best.append(chance)
    kept = tuple(
        (round(start, 1), round(end, 1))
        for (start, end), sure in zip(stretches, best, strict=True)
        if sure >= SURELY and end - start >= min(LEAST_S, duration_s)
    )
    return Heard(name, round(float(max(best, default=0.0)), 2), kept)
