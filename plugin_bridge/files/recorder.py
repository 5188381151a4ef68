"""What was played, onto disk, by a thread of its own."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.files.audio_reader import AudioWriter, SampleFormat
from realtime.errors import StemsteerError
from realtime.stft import Audio

WAITING_HOPS = 4096  # about ten seconds: more than a busy disk takes
INPUT = "input"  # the file of what came in
LANES = "lanes.csv"  # what the hands did, beside the sound
UNKNOWN_LENGTH = 1 << 40  # frames, so that a file may outgrow 4 GB


class StemRecorder:
    """Writes the input and every stem as 32-bit float WAV files, from `start` to `close`.

    The stems lag behind the input by what `start` is told, and are written without that lag: files
    begin together, the stems sum to the input, and end that much earlier than it.
    Hops that the disk is too slow for are left out and counted in `lost`. Until it is complete a
    file is called ``.wav.part``; one that a crash or a full disk has left can be renamed.

    Raises StemsteerError if a file or its part is there already, or a stem is called ``input``;
    from `start`, if the folder cannot be written to; from `close`, if the disk is full.
    """

    def __init__(
        self, folder: Path, stems: Sequence[str], sample_rate: float, channels: int, force: bool
    ) -> None:
        if any(stem.casefold() == INPUT for stem in stems):
            raise StemsteerError(
                f"a target is called {INPUT!r}, as the recording of what comes in is; rename it"
            )
        self._paths = [folder / f"{name}.wav" for name in (INPUT, *stems)]
        for path in (*self._paths, *map(_part, self._paths), folder / LANES):
            if path.exists() and not force:
                raise StemsteerError(f"{path} is there already; replace it with --force")
        self._folder, self._rate, self._channels = folder, int(sample_rate), channels
        self._writers: list[AudioWriter] = []
        self.lost = 0
        self._early = 0  # samples of the stems that are still to be skipped
        self._queue: queue.Queue[list[Audio] | None] = queue.Queue(WAITING_HOPS)
        self._thread = threading.Thread(target=self._write, name="stemsteer-tape", daemon=True)

    def start(self, latency: int) -> None:
        """Make the files of an input, and of stems that come `latency` samples later."""
        self._early = latency
        self._folder.mkdir(parents=True, exist_ok=True)
        samples = SampleFormat("wav", "FLOAT")
        try:
            for path in self._paths:
                self._writers.append(
                    AudioWriter(_part(path), self._rate, self._channels, samples, UNKNOWN_LENGTH)
                )
        except StemsteerError:
            self._discard()
            raise
        self._thread.start()

    def take(self, mixture: Audio, stems: NDArray[np.float32]) -> None:
        """Keep a hop; never waits."""
        try:
            self._queue.put_nowait([mixture.copy(), *stems.copy()])
        except queue.Full:
            self.lost += 1

    @property
    def frames(self) -> int:
        """Samples that every file has; 0 also while there are none."""
        return min((writer.frames for writer in self._writers), default=0)

    def close(self) -> None:
        """Finish the files; without a sample in them, leave none."""
        self._queue.put(None)
        self._thread.join()
        if not self.frames:
            self._discard()
        with contextlib.ExitStack() as stack:  # each of them, whatever becomes of the others
            for path, writer in zip(self._paths, self._writers, strict=False):
                stack.callback(_complete, writer, path)

    def _discard(self) -> None:
        for writer in self._writers:
            writer.discard()
        self._writers = []

    def _write(self) -> None:
        while (sounds := self._queue.get()) is not None:
            mixture, *stems = sounds
            skipped = min(self._early, mixture.shape[1])
            self._early -= skipped
            ready = [mixture, *(stem[:, skipped:] for stem in stems)]
            try:
                for writer, sound in zip(self._writers, ready, strict=True):
                    writer.write(sound)
            except StemsteerError:  # the disk is full
                self.lost += 1


def _part(path: Path) -> Path:
    """The file while it is being written."""
    return path.with_name(f"{path.name}.part")


def _complete(writer: AudioWriter, path: Path) -> None:
    writer.close()
    os.replace(writer.path, path)
