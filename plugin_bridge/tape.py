"""What was played, onto disk, by a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.audiofile import AudioWriter, SampleFormat
from realtime.spec import StemsteerError
from realtime.stft import Audio

WAITING_HOPS = 4096  # about ten seconds: more than a busy disk takes
UNKNOWN_LENGTH = 1 << 40  # frames, so that a file may outgrow 4 GB


class Tape:
    """Writes the input and every stem as 32-bit float WAV files.

    Hops that the disk is too slow for are left out and counted in `lost`.

    Raises StemsteerError if the folder cannot be written to, or a file is there already.
    """

    def __init__(
        self, folder: Path, stems: Sequence[str], sample_rate: float, channels: int, force: bool
    ) -> None:
        paths = [folder / f"{name}.wav" for name in ("input", *stems)]
        for path in paths:
            if path.exists() and not force:
                raise StemsteerError(f"{path} is there already; replace it with --force")
        folder.mkdir(parents=True, exist_ok=True)
        samples, rate = SampleFormat("wav", "FLOAT"), int(sample_rate)
        self._writers = [
            AudioWriter(path, rate, channels, samples, UNKNOWN_LENGTH) for path in paths
        ]
        self.lost = 0
        self._queue: queue.Queue[list[Audio] | None] = queue.Queue(WAITING_HOPS)
        self._thread = threading.Thread(target=self._write, name="stemsteer-tape", daemon=True)
        self._thread.start()

    def take(self, mixture: Audio, stems: NDArray[np.float32]) -> None:
        """Keep a hop; never waits."""
        try:
            self._queue.put_nowait([mixture.copy(), *stems.copy()])
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Finish the files."""
        self._queue.put(None)
        self._thread.join()
        for writer in self._writers:
            writer.close()

    def _write(self) -> None:
        while (sounds := self._queue.get()) is not None:
            try:
                for writer, sound in zip(self._writers, sounds, strict=True):
                    writer.write(sound)
            except StemsteerError:  # the disk is full
                self.lost += 1
