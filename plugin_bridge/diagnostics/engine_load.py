"""Measure how many plugin instances this machine serves in real time."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from plugin_bridge.engine.client import PluginClient, ask_status
from plugin_bridge.launch import own_command
from realtime.errors import StemsteerError

RATE_HZ, BLOCK, LATENCY = 44_100, 512, 1024
WARM_UP_S = 1.0
START_S = 30.0


@dataclass(frozen=True)
class EngineLoad:
    """A measurement: `late` of `blocks` were not ready when a host would have played them."""

    model: str
    instances: int
    seconds: float
    blocks: int
    late: int
    load: float
    worst_hop_ms: float
    longest_pause_ms: float
    """Longest time by which the clock itself was late, because the machine stood still."""


def measure_engine_load(model: str, instances: int, seconds: float = 10.0) -> EngineLoad:
    """Serve `instances` tracks of noise in real time by an engine of its own.

    Raises StemsteerError if the engine does not start, or refuses a track.
    """
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal((2, BLOCK))).astype(np.float32)
    with _engine(model), ExitStack() as stack:
        tracks = [PluginClient(RATE_HZ, block=BLOCK, latency=LATENCY) for _ in range(instances)]
        for track in tracks:
            stack.callback(track.close)
        _play(tracks, noise, WARM_UP_S)
        blocks, late, pause_s = _play(tracks, noise, seconds)
        served = ask_status()["instances"]
    return EngineLoad(
        model=model,
        instances=instances,
        seconds=seconds,
        blocks=blocks,
        late=late,
        load=sum(i["load"] for i in served),
        worst_hop_ms=max(i["worst_hop_ms"] for i in served),
        longest_pause_ms=1000 * pause_s,
    )


def _play(
    tracks: list[PluginClient],
    noise: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    seconds: float,
) -> tuple[int, int, float]:
    """Keep the pace of a host; return blocks, late blocks and the longest pause of the clock."""
    count = int(seconds * RATE_HZ / BLOCK)
    late, pause_s = 0, 0.0
    begun_s = time.perf_counter()
    for number in range(count):
        due_s = begun_s + number * BLOCK / RATE_HZ
        time.sleep(max(0.0, due_s - time.perf_counter()))
        pause_s = max(pause_s, time.perf_counter() - due_s)
        for track in tracks:
            track.push(noise, azimuth=-40 + number % 80)
            late += track.done < track.position - LATENCY
    return count * len(tracks), late, pause_s


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
