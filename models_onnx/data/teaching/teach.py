"""Sure stretches of finished mixes, written as shards that training reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models_onnx.data.json_lines import parsed, whole_lines
from models_onnx.data.sets.shards import FULL_SCALE, INDEX, entries
from models_onnx.data.stems import RATE_HZ, normalise, recentred, split
from models_onnx.data.teaching.stretches import Stretch, stretches_of, weight_of
from realtime.atomic import atomic_write, sha256_of
from realtime.errors import StemsteerError
from realtime.model import Model

DONE = "taught.jsonl"
"""A line for each song that was gone through, also where nothing of it was sure."""
KIND = "taught"


@dataclass(frozen=True)
class Taught:
    """What came of a song.

    Parameters
    ----------
    sha256 : of its file.
    vocals_s, accompaniment_s : seconds that were taken.
    """

    song: str
    sha256: str
    teacher: str
    vocals_s: float
    accompaniment_s: float


def teach(songs: list[Path], out: Path, teacher: Model) -> Iterator[Taught | StemsteerError]:
    """Take the voices and accompaniments out of songs; yield what came of each that is new.

    A song that cannot be read is told by its error and stops no other. One that was gone through
    before, also under another name, is not gone through again; a run that was stopped goes on.

    Raises
    ------
    StemsteerError : `out` has songs of another origin, or a line of its files is damaged.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = {entry["file"] for entry in _taught(out)}
    done = _gone_through(out / DONE)
    for song in songs:
        digest = sha256_of(song)
        if digest in done:
            continue
        done.add(digest)
        try:
            lines = [_write(out, song, digest, s, teacher) for s in stretches_of(song, teacher)]
        except StemsteerError as error:
            yield error
            continue
        _append(out / INDEX, [line for line in lines if line["file"] not in written])
        found = Taught(
            str(song), digest, teacher.spec.name, _seconds(lines, "vocals"),
            _seconds(lines, "accompaniment"),
        )  # fmt: skip
        _append(out / DONE, [asdict(found)])
        yield found


def _write(out: Path, song: Path, digest: str, stretch: Stretch, teacher: Model) -> dict[str, Any]:
    """Write the stems of a stretch; return its line of the index."""
    stems = stretch.stems()
    stored = np.stack([normalise(split(recentred(sound))) for _, _, sound in stems])
    name = f"{digest[:16]}-{stretch.start:09}.npy"
    with atomic_write(out / name) as part, part.open("wb") as file:
        np.save(file, np.rint(stored * FULL_SCALE).astype(np.int16))
    return {
        "file": name,
        "kind": KIND,
        "samples": stored.shape[2],
        "song": song.name,
        "start_s": round(stretch.start / RATE_HZ, 6),
        "stems": [
            {
                "class": kind,
                "role": "voice" if kind == "vocals" else "",
                "source": teacher.spec.name,
                "confidence": round(confidence, 4),
                "weight": weight_of(confidence),
            }
            for kind, confidence, _ in stems
        ],
    }


def _taught(out: Path) -> list[dict[str, Any]]:
    index = out / INDEX
    found = entries(index, whole_lines(index))
    if any(entry.get("kind") != KIND for entry in found):
        raise StemsteerError(f"{out} has songs of the renderer: give another --out")
    return found


def _gone_through(done: Path) -> set[str]:
    remedy = "delete the line, and its song is gone through again"
    return set(parsed(done, whole_lines(done), _hash, "is no song that was gone through", remedy))


def _hash(line: dict[str, Any]) -> str:
    return str(line["sha256"])


def _append(path: Path, lines: list[dict[str, Any]]) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())


def _seconds(lines: list[dict[str, Any]], kind: str) -> float:
    found = sum(line["samples"] for line in lines for s in line["stems"] if s["class"] == kind)
    return round(found / RATE_HZ, 1)
