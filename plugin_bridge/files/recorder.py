"""The recorder of a live session: input and stems onto disk, by a thread of its own."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.claim import Claim
from plugin_bridge.files.audio_writer import AudioWriter, SampleFormat
from realtime.arrays import Audio
from realtime.atomic import name_anew
from realtime.errors import StemsteerError

QUEUED_S = 10.0  # of sound that may wait for the disk: more than a busy one takes
INPUT = "input"  # name of the file of what came in
LANES_FILE = "lanes.csv"  # the recorded moves, beside the sound
UNKNOWN_LENGTH = 1 << 40  # samples, so that a file may outgrow 4 GB


class StemRecorder:
    """Write the input and every stem as 32-bit float WAV files, from `start` to `close`.

    The stems lag behind the input by what `start` is told, and are written without that lag: files
    begin together, the stems sum to the input, and end that much earlier than it.
    Hops that the disk is too slow for are left out and counted in `dropped_hops`. Until it is
    complete a file is called ``.wav.part``: one that a crash or a full disk has left can be
    renamed.

    Raises StemsteerError if a file or its part is there already, or a stem is called ``input``;
    from `start`, if the folder cannot be written to, or another process records into it, whatever
    `force`; from `close`, if the disk was full: then all files are complete, and end together where
    it was; and if a file has appeared that is not to be replaced: then the part stays.
    """

    def __init__(
        self, folder: Path, stems: Sequence[str], sample_rate: float, channels: int, force: bool
    ) -> None:
        if any(stem.casefold() == INPUT for stem in stems):
            raise StemsteerError(
                f"a target is called {INPUT!r}, as the recording of what comes in is; rename it"
            )
        self._paths = [folder / f"{name}.wav" for name in (INPUT, *stems)]
        self._folder, self._rate, self._channels = folder, int(sample_rate), channels
        self._force = force
        self._claim: Claim | None = None  # from `start` to `close`
        self._check_free(folder / LANES_FILE)
        self._writers: list[AudioWriter] = []
        self.dropped_hops = 0
        self._full_disk: StemsteerError | None = None
        self._to_skip = 0  # samples of the stems, until they are in step with the input
        self._queue: queue.SimpleQueue[list[Audio] | None] = queue.SimpleQueue()
        self._most_queued = int(QUEUED_S * sample_rate)
        self._n_put = 0  # samples, by the thread that calls `put`
        self._n_taken = 0  # of these, by the thread that writes
        self._thread = threading.Thread(target=self._write, name="stemsteer-recorder", daemon=True)

    def start(self, latency: int) -> None:
        """Make the files of an input, and of stems that come `latency` samples later."""
        self._to_skip = latency
        self._folder.mkdir(parents=True, exist_ok=True)
        sample_format = SampleFormat("wav", "FLOAT")
        self._claim = Claim(self._paths[0])  # that of the input, which every recording has
        try:
            self._check_free()  # once more: another recording may have ended meanwhile
            for path in self._paths:
                _part(path).unlink(missing_ok=True)  # of a killed process; there with force alone
                self._writers.append(
                    AudioWriter(
                        _part(path), self._rate, self._channels, sample_format, UNKNOWN_LENGTH
                    )
                )
        except BaseException:
            self._discard()
            self._claim.release()
            raise
        self._thread.start()

    def put(self, mixture: Audio, stems: NDArray[np.float32]) -> bool:
        """Queue a hop: mixture (channels, n) and stems (stems, channels, n). Never wait.

        Both are float32 at the sample rate of the files. Return whether it is kept; if not, the
        files go on with the next hop.
        """
        size = mixture.shape[1]
        if self._n_put + size - self._n_taken > self._most_queued:
            self.dropped_hops += 1
            return False
        self._n_put += size
        self._queue.put([mixture.copy(), *stems.copy()])
        return True

    @property
    def n_samples(self) -> int:
        """Return how many samples every file has; 0 also while there are none."""
        return min((writer.n_samples for writer in self._writers), default=0)

    def close(self) -> None:
        """Finish the files; without a sample in them, leave none."""
        self._queue.put(None)
        self._thread.join()
        full_disk = self._full_disk
        if not self.n_samples:
            self._discard()
        elif full_disk is not None:  # a hop may be in some of the files, or in one of them in part
            length = self.n_samples
            for writer in self._writers:
                writer.truncate(length)
        with contextlib.ExitStack() as stack:  # each of them, whatever becomes of the others
            if self._claim is not None:
                stack.enter_context(self._claim)
            for path, writer in zip(self._paths, self._writers, strict=False):
                stack.callback(_complete, writer, path, self._force)
        if full_disk is not None:
            raise full_disk

    def _check_free(self, *others: Path) -> None:
        """Raise StemsteerError if a file or its part is there and not to be replaced."""
        for path in (*self._paths, *map(_part, self._paths), *others):
            if path.exists() and not self._force:
                raise StemsteerError(f"{path} is there already; replace it with --force")

    def _discard(self) -> None:
        for writer in self._writers:
            writer.discard()
        self._writers = []

    def _write(self) -> None:
        while (sounds := self._queue.get()) is not None:
            mixture, *stems = sounds
            self._n_taken += mixture.shape[1]
            if self._full_disk is not None:
                self.dropped_hops += 1
                continue
            skipped = min(self._to_skip, mixture.shape[1])
            self._to_skip -= skipped
            ready = [mixture, *(stem[:, skipped:] for stem in stems)]
            try:
                for writer, sound in zip(self._writers, ready, strict=True):
                    writer.write(sound)
            except StemsteerError as error:  # the rest would not be in step any more
                self._full_disk = error
                self.dropped_hops += 1


def _part(path: Path) -> Path:
    """Return the name of the file while it is being written."""
    return path.with_name(f"{path.name}.part")


def _complete(writer: AudioWriter, path: Path, force: bool) -> None:
    """Finish a file and give it its name, without `force` if that is free."""
    writer.close()
    if force:
        os.replace(writer.path, path)
        return
    try:
        name_anew(writer.path, path)
    except FileExistsError:
        raise StemsteerError(
            f"{path} has been made by another program; what was recorded is in {writer.path}"
        ) from None
    writer.path.unlink(missing_ok=True)
