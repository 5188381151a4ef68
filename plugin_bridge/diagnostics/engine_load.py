"""Measure how many plugin instances this machine serves in real time."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.diagnostics.histogram import EDGES_MS, TimeHistogram
from plugin_bridge.engine.client import PluginClient, ask_status
from plugin_bridge.launch import own_command
from realtime.errors import StemsteerError

RATE_HZ, BLOCK, LATENCY = 44_100, 512, 1024
WARM_UP_S = 1.0
START_S = 30.0


@dataclass(frozen=True)
class EngineLoad:
    """A measurement: `late` of `blocks` were not ready when a host would have played them.

    Parameters
    ----------
    wake_up : by how much the host's own clock woke later than it was due: the machine's share.
    answer : from a block's delivery to the engine until the host has been woken with its sound.
    """

    model: str
    instances: int
    seconds: float
    blocks: int
    late: int
    load: float
    worst_hop_ms: float
    wake_up: TimeHistogram
    answer: TimeHistogram

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON takes them, with the edges of the buckets."""
        return {**asdict(self), "bucket_edges_ms": EDGES_MS}


def measure_engine_load(model: str, instances: int, seconds: float = 10.0) -> EngineLoad:
    """Serve `instances` tracks of noise in real time by an engine of its own.

    Raises StemsteerError if the engine does not start, or refuses a track.
    """
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal((2, BLOCK))).astype(np.float32)
    with _engine(model), ExitStack() as stack:
        tracks = [
            stack.enter_context(closing(PluginClient(RATE_HZ, block=BLOCK, latency=LATENCY)))
            for _ in range(instances)
        ]
        _Host(tracks, noise).play(WARM_UP_S)
        host = _Host(tracks, noise)
        host.play(seconds)
        served = ask_status()["instances"]
    return EngineLoad(
        model=model,
        instances=instances,
        seconds=seconds,
        blocks=host.blocks,
        late=host.late,
        load=sum(i["load"] for i in served),
        worst_hop_ms=max(i["worst_hop_ms"] for i in served),
        wake_up=TimeHistogram.of(host.wake_ups_s),
        answer=TimeHistogram.of(host.answers_s),
    )


class _Host:
    """A host's audio thread: at the pace of real time it gives every track a block.

    Attributes
    ----------
    blocks, late : given in all, and those whose sound was not there when it had to be played.
    wake_ups_s : how late each wake-up was.
    answers_s : how long each block took, of those that were answered.
    """

    def __init__(self, tracks: list[PluginClient], block: NDArray[np.float32]) -> None:
        self._tracks, self._block = tracks, block
        self._due = [track.done for track in tracks]  # where `done` is once all is answered
        self._open: deque[tuple[PluginClient, int, float]] = deque()
        self.blocks = self.late = 0
        self.wake_ups_s, self.answers_s = array("d"), array("d")

    def play(self, seconds: float) -> None:
        """Keep the pace of a host; wait for the answers in the time that is left."""
        begun_s, block_s = time.perf_counter(), BLOCK / RATE_HZ
        for number in range(int(seconds / block_s)):
            due_s = begun_s + number * block_s
            self._await_answers(due_s)
            time.sleep(max(0.0, due_s - time.perf_counter()))
            self.wake_ups_s.append(time.perf_counter() - due_s)
            for index, track in enumerate(self._tracks):
                self._give(index, track, azimuth_deg=-40 + number % 80)
        self._await_answers(time.perf_counter() + block_s)

    def _give(self, index: int, track: PluginClient, azimuth_deg: float) -> None:
        given_s = time.perf_counter()
        track.push(self._block, azimuth=azimuth_deg)
        self.blocks += 1
        self.late += track.done < track.position - LATENCY
        self._due[index] += BLOCK
        self._open.append((track, self._due[index], given_s))

    def _await_answers(self, until_s: float) -> None:
        """Wait until every block is answered, in the order in which they were given, or `until_s`.

        A block is answered when the engine has gone on by its length; an answer that comes while
        an earlier one is awaited is seen after that one.
        """
        while self._open:
            track, done, given_s = self._open[0]
            if not _is_done(track, done, until_s):
                return
            self._open.popleft()
            self.answers_s.append(time.perf_counter() - given_s)


def _is_done(track: PluginClient, done: int, until_s: float) -> bool:
    """Wait until the engine has finished up to `done`, at most until `until_s`."""
    while True:
        bell = track.ring["output_bell"]
        left_s = until_s - time.perf_counter()
        if track.done >= done or left_s <= 0:
            return track.done >= done
        track.ring.wait_futex("output_bell", "plugin_sleeps", bell, left_s)


@contextmanager
def _engine(model: str) -> Iterator[None]:
    """Run an engine in folders of its own, so that the user's is left alone."""
    with tempfile.TemporaryDirectory(prefix="stemsteer-load-") as folder:
        before = dict(os.environ)
        os.environ.update({"STEMSTEER_SOCKET": f"{folder}/engine.sock", "XDG_STATE_HOME": folder})
        with subprocess.Popen(own_command("serve", "--model", model)) as engine:
            try:
                _await_answer(engine)
                yield
            finally:
                engine.terminate()
                os.environ.clear()
                os.environ.update(before)


def _await_answer(engine: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + START_S
    while True:
        try:
            ask_status()
            return
        except StemsteerError:
            if engine.poll() is not None or time.monotonic() > until_s:
                raise
            time.sleep(0.05)
