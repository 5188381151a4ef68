"""Rendering of many songs into a folder of shards, in parallel and resumable."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from models_onnx.data.json_lines import whole_lines
from models_onnx.data.rendering.song_renderer import SongRenderer
from models_onnx.data.sets.shards import INDEX, entries
from models_onnx.data.songs.scores import Scores
from models_onnx.data.sounds.recordings import Recordings
from models_onnx.data.sounds.soundfonts import HELD_OUT, TRAINING, Player, SoundFont
from models_onnx.data.stems import RATE_HZ
from realtime.errors import StemsteerError

HELD_OUT_SEED = 10_000_000
"""First seed of held-out songs: no training song has one of these."""

PART = ".part"

_renderer: SongRenderer | None = None  # of a worker process, with its soundfonts loaded once


def render(
    out: Path,
    hours: float,
    *,
    first_seed: int = 0,
    held_out: bool = False,
    recordings: Sequence[Path] = (),
    soundfonts: Sequence[Path] = (),
    scores: Path | None = None,
    kinds: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0),
    workers: int = 2,
) -> Iterator[float]:
    """Render songs into ``out`` until it holds the given hours, yielding the hours so far.

    Songs already in the index of ``out`` count and are not rendered again. Each song is written
    under a temporary name, renamed when complete, and only then entered in the index.

    Raises
    ------
    StemsteerError : recordings are to be held out, a folder is not one of recordings or scores,
        ``out`` has songs for training that held-out ones would mix with, or the reverse, a
        soundfont is not installed, or there are no more seeds for as many hours.
    """
    if (recordings or soundfonts) and held_out:
        raise StemsteerError(
            "recordings and soundfonts are for training: leave them out, or --held-out"
        )
    if recordings:
        Recordings(*recordings)
    written = Scores(scores, held_out=held_out) if scores else None
    if (kinds[2] or kinds[3]) and not scores:
        raise StemsteerError("scores and bands need a folder of scores: give --scores")
    if not (min(kinds) >= 0 and abs(sum(kinds) - 1) <= 1e-6):
        raise StemsteerError(
            f"the chances of songs (composed, real, score, band) are {kinds}, expected to sum to "
            "1, none below 0"
        )
    out.mkdir(parents=True, exist_ok=True)
    done = _songs_in(out, held_out)
    held = sum(entry["samples"] for entry in done) / RATE_HZ / 3600
    seeds = _missing_seeds(first_seed, held_out, {entry["seed"] for entry in done})
    yield held
    if held >= hours:
        return
    fonts = HELD_OUT if held_out else (*TRAINING, *map(SoundFont.of_file, soundfonts))
    for font in fonts:
        _ = font.path  # what is not installed is said here, not by every worker
    try:
        with (
            _pool(workers, fonts, recordings, written, kinds) as pool,
            (out / INDEX).open("a") as lines,
        ):
            for entry in pool.imap(partial(_write_song, out), seeds):
                _enter(entry, out, lines)
                held += entry["samples"] / RATE_HZ / 3600
                yield held
                if held >= hours:
                    return
        raise StemsteerError(
            f"all seeds from {first_seed} on are used up after {held:.3f} of {hours:g} hours: "
            "give a smaller --first-seed"
        )
    finally:  # songs that were begun ahead
        for left in out.glob(f"*{PART}"):
            left.unlink()


def _songs_in(out: Path, held_out: bool) -> list[dict[str, Any]]:
    """Return the entries of the songs that a folder has.

    Raises StemsteerError if songs like these must not be among them.
    """
    index = out / INDEX
    done = entries(index, whole_lines(index))
    if any("seed" not in entry for entry in done):
        raise StemsteerError(f"{out} has songs taken out of finished mixes: give another --out")
    if any((entry["seed"] >= HELD_OUT_SEED) != held_out for entry in done):
        kind = "training" if held_out else "held-out"
        raise StemsteerError(f"{out} has {kind} songs, which must not mix: give another --out")
    return done


def _enter(entry: Mapping[str, Any], out: Path, lines: TextIO) -> None:
    """Give a song that is written its name, then enter it in the index."""
    os.replace(out / (entry["file"] + PART), out / entry["file"])
    lines.write(json.dumps(entry) + "\n")
    lines.flush()
    os.fsync(lines.fileno())


def _pool(workers: int, *about: object) -> Pool:
    before = signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # workers inherit it: Ctrl-C is not theirs
    try:
        return multiprocessing.get_context("spawn").Pool(workers, _start, about)
    finally:
        signal.signal(signal.SIGINT, before)


def _missing_seeds(first_seed: int, held_out: bool, done: set[int]) -> Iterator[int]:
    """Yield the seeds from the first on that have no song yet, and are all of one kind."""
    base = HELD_OUT_SEED if held_out else 0
    for seed in range(base + first_seed, base + HELD_OUT_SEED):
        if seed not in done:
            yield seed


def _start(
    fonts: Sequence[SoundFont],
    recordings: Sequence[Path],
    scores: Scores | None,
    kinds: tuple[float, float, float, float],
) -> None:
    global _renderer
    _renderer = SongRenderer(
        Player(fonts),
        Recordings(*recordings) if recordings else None,
        scores,
        kinds,
    )


def _write_song(out: Path, seed: int) -> dict[str, Any]:
    assert _renderer is not None
    stems, info = _renderer.render_song(seed)
    name = f"{seed:08d}.npy"
    with (out / (name + PART)).open("wb") as file:
        np.save(file, stems)
        file.flush()
        os.fsync(file.fileno())  # before the index names it
    return {"file": name, **info}
