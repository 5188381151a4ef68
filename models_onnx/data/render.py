"""Rendering of many songs into a folder of shards, in parallel and resumable."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models_onnx.data.recordings import Recordings
from models_onnx.data.shards import INDEX
from models_onnx.data.soundfonts import HELD_OUT, TRAINING, Player
from models_onnx.data.stems import RATE_HZ
from models_onnx.data.studio import Studio
from realtime.spec import StemsteerError

HELD_OUT_SEED = 10_000_000
"""First seed of held-out songs: no training song has one of these."""

_studio: Studio | None = None


def render(
    out: Path,
    hours: float,
    *,
    first_seed: int = 0,
    held_out: bool = False,
    recordings: Path | None = None,
    workers: int = 2,
) -> Iterator[float]:
    """Render songs into ``out`` until it holds the given hours, yielding the hours so far.

    Songs already in the index of ``out`` count and are not rendered again. Each song is written
    under a temporary name, renamed when complete, and only then entered in the index.

    Raises
    ------
    StemsteerError : recordings are to be held out, or their folder is not one of recordings.
    """
    if recordings and held_out:
        raise StemsteerError("recordings are for training: leave out --recordings or --held-out")
    if recordings:
        Recordings(recordings)
    out.mkdir(parents=True, exist_ok=True)
    index = out / INDEX
    done = _finished(index)
    held = sum(entry["samples"] for entry in done) / RATE_HZ / 3600
    base = first_seed + (HELD_OUT_SEED if held_out else 0)
    seeds = _missing_seeds(base, {entry["seed"] for entry in done})
    yield held
    if held >= hours:
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _start, (held_out, recordings)) as pool, index.open("a") as lines:
        for entry in pool.imap(partial(_write_song, out), seeds):
            lines.write(json.dumps(entry) + "\n")
            lines.flush()
            held += entry["samples"] / RATE_HZ / 3600
            yield held
            if held >= hours:
                return


def _finished(index: Path) -> list[dict[str, Any]]:
    """Return the songs in an index; a last line that was cut off in writing is removed from it."""
    if not index.exists():
        return []
    whole, _, cut_off = index.read_text().rpartition("\n")
    if cut_off:
        index.write_text(whole + "\n" if whole else "")
    return [json.loads(line) for line in whole.splitlines()]


def _missing_seeds(base: int, done: set[int]) -> Iterator[int]:
    for seed in range(base, base + HELD_OUT_SEED):
        if seed not in done:
            yield seed


def _start(held_out: bool, recordings: Path | None) -> None:
    global _studio
    player = Player(HELD_OUT if held_out else TRAINING)
    _studio = Studio(player, Recordings(recordings) if recordings else None)


def _write_song(out: Path, seed: int) -> dict[str, Any]:
    assert _studio is not None
    stems, info = _studio.render_song(seed)
    name = f"{seed:08d}.npy"
    partial_path = out / (name + ".part")
    with partial_path.open("wb") as file:
        np.save(file, stems)
    os.replace(partial_path, out / name)
    return {"file": name, **info}
