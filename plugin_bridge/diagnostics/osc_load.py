"""Measure what OSC costs beside live sound: feedback, a flood, a message's way to the sound.

A `LiveSession` plays in this process at the pace of a card, its OSC server runs in another, as in
`stemsteer live`; a third one floods. Linux only: figures of processes are read from /proc.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.server_process import ServerProcess
from plugin_bridge.control.target import Target
from plugin_bridge.live.session import LiveSession, LiveSettings
from plugin_bridge.osc.packets import encode
from plugin_bridge.osc.service import OscOptions
from plugin_bridge.osc.subscriptions import FASTEST_HZ
from realtime.model import Model

RATE_HZ, BLOCK = 44_100, 256
FLOOD_HZ, MOST_AT_ONCE = 5_000, 100
MOVES = 200
SETTLED_S = 0.12  # after a move: the latency, its ramp, and some time
LEAST_CHANGE = 1e-3


@dataclass(frozen=True)
class OscBench:
    """A measurement. Shares are of one core; memory is that of both processes.

    `delay` is from the sending of a message to the first sample that it changes, without the
    session's own latency, and `hop_ms` what of it is the wait for the next hop at most.
    """

    seconds: float
    late_alone: int
    late_with_feedback: int
    late_in_flood: int
    blocks: int
    feedback_share: float
    messages: int
    memory_before_mb: float
    memory_after_mb: float
    delay_median_ms: float
    delay_p99_ms: float
    hop_ms: float


class PacedCard(threading.Thread):
    """Plays ones, or another `loop`, into a session at the pace of a card.

    While `keeps`, the output is kept. `loop` is (2, whole blocks). `late_s` is how much later than
    a card's the newest block was played.
    """

    def __init__(self, session: LiveSession) -> None:
        super().__init__(daemon=True)
        self._session, self._quit = session, False
        self.loop = np.ones((2, BLOCK), np.float32)
        self.begun_s, self.keeps = time.perf_counter(), True
        self.late_s = 0.0
        self.played: list[NDArray[np.float32]] = []

    def run(self) -> None:
        number = 0
        while not self._quit:
            due_s = self.begun_s + number * BLOCK / RATE_HZ
            time.sleep(max(0.0, due_s - time.perf_counter()))
            self.late_s = time.perf_counter() - due_s
            first = number * BLOCK % self.loop.shape[1]
            sound, number = (
                self._session.process(self.loop[:, first : first + BLOCK])[0],
                number + 1,
            )
            if self.keeps:
                self.played.append(sound.copy())

    def stop(self) -> None:
        """End it, and wait for that."""
        self._quit = True
        self.join()


def bench_osc(model: Model, seconds: float, moves: int = MOVES) -> OscBench:
    """Measure for three times `seconds`, and the time of the moves."""
    settings = LiveSettings([Target("target", 0.0, 20.0)], RATE_HZ, BLOCK)
    with (
        LiveSession(model, settings) as session,
        ServerProcess(session.surface, [OscOptions(port=0)]) as servers,
    ):
        (port,) = servers.ports
        card = PacedCard(session)
        card.start()
        time.sleep(2)
        delays_ms = _osc_delays_ms(session, card, port, moves)
        card.keeps = False
        late_alone, cost_alone_s = watched(session, servers.pid, lambda: time.sleep(seconds))
        with _subscribed(port):
            time.sleep(1)
            late, cost_s = watched(session, servers.pid, lambda: time.sleep(seconds))
        with _flooded(port, min(5.0, seconds)) as count:  # what is made once
            count.recv()
        memory_mb = _memory_mb(servers.pid)
        with _flooded(port, seconds) as count:
            late_in_flood, _ = watched(session, servers.pid, lambda: time.sleep(seconds))
            messages = count.recv()
        memory_after_mb = _memory_mb(servers.pid)
        card.stop()
    median, p99 = np.percentile(delays_ms, (50, 99))
    return OscBench(
        seconds=seconds,
        late_alone=late_alone,
        late_with_feedback=late,
        late_in_flood=late_in_flood,
        blocks=int(seconds * RATE_HZ / BLOCK),
        feedback_share=(cost_s - cost_alone_s) / seconds,
        messages=messages,
        memory_before_mb=memory_mb,
        memory_after_mb=memory_after_mb,
        delay_median_ms=float(median),
        delay_p99_ms=float(p99),
        hop_ms=1000 * session.output_stage.tier.hop / RATE_HZ,
    )


def _osc_delays_ms(session: LiveSession, card: PacedCard, port: int, moves: int) -> list[float]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:

        def send(gain_db: float) -> None:
            client.sendto(encode("/stemsteer/target/gain", (gain_db,)), ("127.0.0.1", port))

        return delays_ms(session, card, send, moves)


def delays_ms(
    session: LiveSession, card: PacedCard, send: Callable[[float], None], moves: int
) -> list[float]:
    """Return the times from moves of the gain to the change of the sound, minus the latency.

    Parameters
    ----------
    send : moves the gain of the target, in dB, from outside.
    """
    sent = []
    for number in range(moves):
        time.sleep(SETTLED_S + random.uniform(0, 0.02))
        sent.append(time.perf_counter() - card.begun_s - card.late_s)  # in the time of the sound
        send(-20.0 * (number % 2 == 0))
    while len(card.played) * BLOCK < (sent[-1] + SETTLED_S) * RATE_HZ:  # a card may be late
        time.sleep(0.01)
    sound = np.concatenate(list(card.played))
    delays = []
    for sent_s in sent:
        first = int(sent_s * RATE_HZ)
        after = sound[first : first + int(SETTLED_S * RATE_HZ)]
        changed = np.flatnonzero(np.abs(after - after[0]) > LEAST_CHANGE)
        late = int(changed[0]) if changed.size else after.size
        delays.append(1000 * (late - session.processor.latency) / RATE_HZ)
    return delays


@contextlib.contextmanager
def _subscribed(port: int) -> Iterator[None]:
    """Subscribe at the highest rate, and never read what comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as subscriber:
        subscriber.sendto(encode("/stemsteer/subscribe", (FASTEST_HZ,)), ("127.0.0.1", port))
        yield
        subscriber.sendto(encode("/stemsteer/unsubscribe", ()), ("127.0.0.1", port))


def watched(session: LiveSession, pid: int, run: Callable[[], None]) -> tuple[int, float]:
    """Return late blocks and processor time of both processes while something runs."""
    late = session.processor.counters.late_blocks
    began_s = time.process_time() + processor_s(pid)
    run()
    took_s = time.process_time() + processor_s(pid) - began_s
    return session.processor.counters.late_blocks - late, took_s


@contextlib.contextmanager
def _flooded(port: int, seconds: float) -> Iterator[Connection]:
    """Run a process that sends for `seconds`; the connection gives how many it came to."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    flood = context.Process(target=_flood, args=(port, seconds, theirs), daemon=True)
    flood.start()
    ours.recv()  # it has started
    yield ours
    flood.join()


def _flood(port: int, seconds: float, count: Connection) -> None:
    """Move the direction back and forth, a few messages every two milliseconds."""
    packets = [encode("/stemsteer/target/azimuth", (float(k) - 45,)) for k in range(91)]
    count.send(0)
    begun_s, sent = time.perf_counter(), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        while (passed_s := time.perf_counter() - begun_s) < seconds:
            goal = min(int(FLOOD_HZ * passed_s), sent + MOST_AT_ONCE)
            for number in range(sent, goal):
                client.sendto(packets[number % 91], ("127.0.0.1", port))
            sent = goal
            time.sleep(0.002)
    count.send(sent)


def processor_s(pid: int) -> float:
    """Return the processor time of a process, in steps of the kernel's clock."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    """Return the resident memory of this process and that one."""
    pages = (Path(f"/proc/{p}/statm").read_text().split()[1] for p in (pid, os.getpid()))
    return sum(map(int, pages)) * os.sysconf("SC_PAGE_SIZE") / 1e6
