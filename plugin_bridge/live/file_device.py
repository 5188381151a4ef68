"""A file in the place of a sound card: at its own pace, from disk and, if wanted, to disk."""

from __future__ import annotations

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

    Raises StemsteerError if `output_file` is there already and not to be replaced by `force`.
    """
    writer = None
    if output_file is not None:
        check_writable(output_file, source.path, force)
        writer = AudioWriter(
            output_file, source.sample_rate, 2, SampleFormat("wav", "FLOAT"), source.n_samples
        )
    begun_s, n_played = time.perf_counter(), 0
    try:
        blocks = None if seconds is None else math.ceil(seconds * source.sample_rate / block)
        for samples in _with_tail(source, blocks, session.processor.latency, block):
            due_s = begun_s + n_played / source.sample_rate
            time.sleep(max(0.0, due_s - time.perf_counter()))
            sound = session.process(samples)
            n_played += samples.shape[1]
            if writer:
                writer.write(sound)
    finally:
        if writer:
            writer.close()


def _with_tail(source: AudioReader, blocks: int | None, tail: int, block: int) -> Iterator[Audio]:
    for samples in itertools.islice(source.blocks(block), blocks):
        yield np.ascontiguousarray(np.broadcast_to(samples, (2, samples.shape[1])))
    for first in range(0, tail, block):
        yield np.zeros((2, min(block, tail - first)), np.float32)
