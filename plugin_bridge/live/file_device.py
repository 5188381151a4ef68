"""A file in the place of a sound card: at its own pace, from disk and, if wanted, to disk."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from plugin_bridge.claim import Claim
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.files.audio_writer import AudioWriter, SampleFormat
from plugin_bridge.files.stem_files import check_writable
from plugin_bridge.live.session import LiveSession
from realtime.arrays import Audio
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError


def play_file(
    session: LiveSession,
    source: AudioReader,
    output_file: Path | None,
    *,
    block: int,
    seconds: float | None = None,
    force: bool = False,
) -> None:
    """Play a file into a session at its pace, and write what is played to disk if wanted.

    The output is `latency_s` late and that much longer than the file, as on a card, or than the
    first `seconds` of it.

    `output_file` appears when it is complete; until then one that is to be replaced stays.

    Raises StemsteerError if `output_file` is there already and not to be replaced by `force`, or
    if another process is writing it.
    """
    n_blocks = None if seconds is None else math.ceil(seconds * source.sample_rate / block)
    blocks = _with_tail(source, n_blocks, session.processor.latency, block)
    if output_file is None:
        for _ in _played(session, source.sample_rate, blocks):
            pass
        return
    with Claim(output_file):
        check_writable(output_file, source.path, force)
        _write(output_file, source, _played(session, source.sample_rate, blocks), force)


def _write(output_file: Path, source: AudioReader, sounds: Iterator[Audio], force: bool) -> None:
    """Write what is played; Ctrl-C ends the file as it ends the session."""
    stopped: KeyboardInterrupt | None = None
    sample_format = SampleFormat("wav", "FLOAT")
    with _told_if_taken(output_file), atomic_write(output_file, replace=force) as hidden:
        hidden.unlink(missing_ok=True)  # of a killed process that had our number
        writer = AudioWriter(hidden, source.sample_rate, 2, sample_format, source.n_samples)
        with contextlib.closing(writer):
            try:
                for sound in sounds:
                    writer.write(sound)
            except KeyboardInterrupt as stop:  # Ctrl-C ends a session: what was played is whole
                stopped = stop
    if stopped:
        raise stopped


@contextlib.contextmanager
def _told_if_taken(path: Path) -> Iterator[None]:
    """Say in a line that a file has been made meanwhile that is not to be replaced."""
    try:
        yield
    except FileExistsError as error:
        raise StemsteerError(
            f"{path} has been made by another program, so what was played is not kept; replace it "
            "with --force, or choose another place"
        ) from error


def _played(session: LiveSession, rate_hz: float, blocks: Iterator[Audio]) -> Iterator[Audio]:
    """Play blocks at their pace, and yield what is heard."""
    begun_s, n_played = time.perf_counter(), 0
    for samples in blocks:
        due_s = begun_s + n_played / rate_hz
        time.sleep(max(0.0, due_s - time.perf_counter()))
        n_played += samples.shape[1]
        yield session.process(samples)


def _with_tail(source: AudioReader, blocks: int | None, tail: int, block: int) -> Iterator[Audio]:
    for samples in itertools.islice(source.blocks(block), blocks):
        yield np.ascontiguousarray(np.broadcast_to(samples, (2, samples.shape[1])))
    for first in range(0, tail, block):
        yield np.zeros((2, min(block, tail - first)), np.float32)
