"""A file in the place of a sound card: at its own pace, from disk and, if wanted, to disk."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.files.audio_writer import AudioWriter, SampleFormat
from plugin_bridge.files.stem_files import check_writable
from plugin_bridge.live.session import LiveSession
from realtime.atomic import atomic_write
from realtime.stft import Audio


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

    Raises StemsteerError if `output_file` is there already and not to be replaced by `force`.
    """
    n_blocks = None if seconds is None else math.ceil(seconds * source.sample_rate / block)
    blocks = _with_tail(source, n_blocks, session.processor.latency, block)
    if output_file is None:
        for _ in _played(session, source.sample_rate, blocks):
            pass
        return
    check_writable(output_file, source.path, force)
    stopped: KeyboardInterrupt | None = None
    sample_format = SampleFormat("wav", "FLOAT")
    with (
        atomic_write(output_file) as hidden,
        contextlib.closing(
            AudioWriter(hidden, source.sample_rate, 2, sample_format, source.n_samples)
        ) as writer,
    ):
        try:
            for sound in _played(session, source.sample_rate, blocks):
                writer.write(sound)
        except KeyboardInterrupt as stop:  # Ctrl-C ends a session: what was played is whole
            stopped = stop
    if stopped:
        raise stopped


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
