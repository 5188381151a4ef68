"""A file played through a session by itself: it starts, stops and goes elsewhere when it is told.

Unlike a sound card it can wait: a block that takes long comes late, and nothing is played dry.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.live.session import LiveSession
from realtime.arrays import Audio
from realtime.errors import StemsteerError

LEAD_S = 0.15
"""By so much sound is made before it is due: what the way to a browser and its buffer take."""
HOPS = 4  # of the model, in a block
Progress = Callable[[int], None]
"""Told how many more samples are done."""


class FilePlayer:
    """Plays a file through the output stage of a session, over and over.

    Parameters
    ----------
    path : of a file that `AudioReader` reads, at the session's rate.
    hear : called with every block (2, n) that is to be heard, in the player's thread.
    write : writes the stems as the controls are now, and returns where, in words. It is given
        what it has to call while it works, which raises StemsteerError where it is to end.

    Raises
    ------
    StemsteerError for a file that cannot be read.
    """

    def __init__(
        self,
        session: LiveSession,
        path: Path,
        hear: Callable[[Audio], None],
        write: Callable[[Progress], str],
    ) -> None:
        self._session, self._path, self._hear, self._write = session, path, hear, write
        self._rate_hz = session.output_stage.sample_rate
        self._size = HOPS * session.output_stage.tier.hop
        self._reader = AudioReader(path)
        self.duration_s = self._reader.n_samples / self._rate_hz
        self._wake, self._ended = threading.Event(), False
        self._playing, self._position, self._sought = False, 0, 0  # samples
        self._moved = True  # the file is to be read from `_sought` on
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()  # of the next two and `_ended`, which change together
        self._writing, self._message = False, ""
        self._thread = threading.Thread(target=self._run, name="stemsteer-player", daemon=True)
        self._thread.start()

    def play(self, wanted: bool) -> None:
        """Play, or stand still."""
        self._playing = wanted
        self._wake.set()

    def seek(self, seconds: float) -> None:
        """Go on from there."""
        share = min(max(seconds, 0.0), self.duration_s)
        self._position = self._sought = int(share * self._rate_hz)
        self._moved = True

    def write(self) -> None:
        """Write the stems, on a thread of their own; one time after the other."""
        with self._lock:
            if self._writing or self._ended:
                return
            self._writing, self._message = True, "writing the stems"
        # no daemon: whatever ends the process, what is half written is removed first
        self._writer = threading.Thread(target=self._run_write, name="stemsteer-write")
        self._writer.start()

    @property
    def writing(self) -> bool:
        """Return whether stems are being written."""
        return self._writing

    @property
    def message(self) -> str:
        """Return what became of the stems, or why nothing plays; empty if there is nothing."""
        return self._message

    @property
    def position_s(self) -> float:
        """Return where it is."""
        return self._position / self._rate_hz

    def state(self) -> Mapping[str, object]:
        """Return what is shown of it."""
        with self._lock:
            writing, message = self._writing, self._message
        return {
            "file": self._path.name,
            "playing": self._playing,
            "position_s": round(self.position_s, 1),
            "duration_s": round(self.duration_s, 1),
            "rate_hz": self._rate_hz,
            "writing": writing,
            "message": message,
        }

    def close(self) -> str:
        """End it, and the writing of stems, of which nothing half done is left.

        Returns what became of stems that were being written; empty if none were.
        """
        with self._lock:
            self._ended, was_writing = True, self._writing
        self._wake.set()
        self._thread.join()
        if self._writer is not None:
            self._writer.join()
        self._reader.close()
        return self._message if was_writing else ""

    def _run(self) -> None:
        due_s, blocks = 0.0, iter(())  # type: float, Iterator[Audio]
        while not self._ended:
            if not self._playing:
                self._wake.wait()
                self._wake.clear()
                continue
            try:
                if self._moved:
                    self._moved = False  # first: a seek from now on is one more
                    first = self._sought
                    self._session.locate(first)
                    blocks = self._blocks(first)
                block = next(blocks, None)
                if block is None:
                    if not self._moved:  # it is at the end, and not about to go elsewhere
                        self.seek(0.0)
                    continue
                stems = self._session.output_stage.process(block)
            except StemsteerError as error:
                self._playing, self._moved = False, True
                with self._lock:
                    self._message = str(error)
                continue
            if not self._moved:
                self._position += block.shape[1]
            due_s = max(due_s, time.monotonic() - LEAD_S) + block.shape[1] / self._rate_hz
            self._hear(self._session.played(stems))
            _ = self._session.surface.requests  # what was listened to goes on its way to be learned
            time.sleep(max(0.0, due_s - time.monotonic()))

    def _blocks(self, first: int) -> Iterator[Audio]:
        """Yield whole blocks (2, n) of the file from a sample on, the last filled with silence.

        None come once it is to be elsewhere.
        """
        for block in self._reader.blocks(self._size, start=first, wanted=self._is_wanted):
            stereo = np.broadcast_to(block, (2, block.shape[1]))
            yield np.pad(stereo, ((0, 0), (0, self._size - block.shape[1])))

    def _is_wanted(self) -> bool:
        """Return whether what is sought still is: it goes nowhere else, and has not ended."""
        return not (self._moved or self._ended)

    def _run_write(self) -> None:
        message = ""
        try:
            message = self._write(self._check_ended)
        except (StemsteerError, ValueError, OSError) as error:
            message = str(error)
        except BaseException as error:
            message = f"the stems are not written, by a fault of Stemsteer itself: {error!r}"
            raise
        finally:
            with self._lock:
                self._writing, self._message = False, message

    def _check_ended(self, samples: int) -> None:
        """Raise StemsteerError if the stems are not to be written on."""
        if self._ended:
            raise StemsteerError("the stems are not written: this was ended before they were whole")
