"""Measure the panel beside live sound: its way to the sound and from it, and what it costs.

A `LiveSession` plays in this process at the pace of a card; the panel runs in another, as in
`stemsteer live --panel`, and browsers are stood in for by connections of a third one, so that they
do not count. What a browser needs to draw comes on top, at most one picture of the screen.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.server_process import ServerProcess
from plugin_bridge.control.target import Target
from plugin_bridge.diagnostics.osc_load import (
    BLOCK,
    RATE_HZ,
    PacedCard,
    delays_ms,
    processor_s,
    watched,
)
from plugin_bridge.live.session import LiveSession, LiveSettings
from plugin_bridge.panel.client import PanelClient
from plugin_bridge.panel.picture import levels_of
from plugin_bridge.panel.server import PanelOptions
from realtime.model import Model

MANY = 10
MOVES, TONES = 200, 40
SILENCE_BLOCKS, TONE_BLOCKS = 90, 30
TONE_HZ = 1000.0
SEEN = 100  # level of a bin, of 255, from which on the tone is in the picture


@dataclass(frozen=True)
class PanelBench:
    """A measurement. Shares are of one core.

    `hand` is from a browser's message to the first sample that it changes, `picture` from the
    tone's first sample to the message with the picture that shows it, both without the session's
    latency: the picture may come before the tone is heard.
    """

    seconds: float
    blocks: int
    late_alone: int
    late_with_one: int
    late_with_many: int
    share_of_one: float
    share_of_many: float
    hand_median_ms: float
    hand_p95_ms: float
    picture_median_ms: float
    picture_p95_ms: float
    pictures_hz: float


def bench_panel(
    model: Model, seconds: float, *, moves: int = MOVES, tones: int = TONES
) -> PanelBench:
    """Measure for three times `seconds`, and the times of moves and tones."""
    settings = LiveSettings([Target("target", 0.0, 20.0)], RATE_HZ, BLOCK)
    with (
        LiveSession(model, settings) as session,
        ServerProcess(session.surface, [PanelOptions(port=0)]) as servers,
    ):
        (port,) = servers.ports
        card = PacedCard(session)
        card.start()
        time.sleep(2)
        with contextlib.closing(PanelClient(port)) as client:
            hand_ms = delays_ms(session, card, lambda db: client.set("target", "gain", db), moves)
            card.keeps = False
            picture_ms = _picture_delays_ms(session, card, client, tones)
        late_alone, _ = watched(session, servers.pid, lambda: time.sleep(seconds))
        late, shares, rates = [], [], []
        for n_browsers in (1, MANY):
            with _browsers(port, n_browsers) as pictures:
                time.sleep(1)
                pictures.send(None)
                before_s = processor_s(servers.pid)
                late.append(watched(session, servers.pid, lambda: time.sleep(seconds))[0])
                shares.append((processor_s(servers.pid) - before_s) / seconds)
                pictures.send(None)
                rates.append(pictures.recv())
        card.stop()
    hand, picture = (np.percentile(ms, (50, 95)) for ms in (hand_ms, picture_ms))
    return PanelBench(
        seconds=seconds,
        blocks=int(seconds * RATE_HZ / BLOCK),
        late_alone=late_alone,
        late_with_one=late[0],
        late_with_many=late[1],
        share_of_one=shares[0],
        share_of_many=shares[1],
        hand_median_ms=float(hand[0]),
        hand_p95_ms=float(hand[1]),
        picture_median_ms=float(picture[0]),
        picture_p95_ms=float(picture[1]),
        pictures_hz=rates[0],
    )


def _picture_delays_ms(
    session: LiveSession, card: PacedCard, client: PanelClient, tones: int
) -> list[float]:
    """Return the times from tones to the pictures that show them, minus the latency.

    The loop of silence and tone begins at the block of the card that is a multiple of its length,
    at another moment between two pictures each time.
    """
    client.show("target")
    blocks = SILENCE_BLOCKS + TONE_BLOCKS
    delays = []
    for _ in range(tones):
        silence = random.randrange(SILENCE_BLOCKS // 2, SILENCE_BLOCKS)
        card.loop = _silence_and_tone(silence, blocks)
        number = int((time.perf_counter() - card.begun_s) * RATE_HZ / BLOCK) + 1
        number += -number % blocks  # the next beginning of the loop
        onset_s = card.begun_s + (number + silence) * BLOCK / RATE_HZ
        seen_s = _seen_s(client, onset_s - 0.05, onset_s + 0.3)
        delays.append(1000 * (seen_s - onset_s - session.latency_s))
    return delays


def _silence_and_tone(silence: int, blocks: int) -> NDArray[np.float32]:
    """Return a loop (2, samples) of so many blocks, the first of them silent."""
    time_s = np.arange(blocks * BLOCK) / RATE_HZ
    wave = 0.3 * np.sin(2 * np.pi * TONE_HZ * time_s) * (time_s >= silence * BLOCK / RATE_HZ)
    return np.repeat(wave[None], 2, axis=0).astype(np.float32)


def _seen_s(client: PanelClient, from_s: float, until_s: float) -> float:
    """Return when the first picture with a tone came after `from_s`, or `until_s`."""
    while (now_s := time.perf_counter()) < until_s:
        data = client.receive(max(0.001, until_s - now_s))
        if not isinstance(data, bytes) or time.perf_counter() < from_s:
            continue
        if levels_of(data).max() >= SEEN:
            return time.perf_counter()
    return until_s


@contextlib.contextmanager
def _browsers(port: int, number: int) -> Iterator[Connection]:
    """Run a process with so many connections that read pictures.

    What is sent to the connection begins and ends the counting; then it gives the pictures of one
    in a second.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_watch, args=(port, number, theirs), daemon=True)
    process.start()
    ours.recv()  # all are connected
    yield ours
    process.join()


def _watch(port: int, number: int, control: Connection) -> None:
    clients = [PanelClient(port) for _ in range(number)]
    counts, ended = [0] * number, threading.Event()

    def read(index: int) -> None:
        clients[index].show("target")
        while not ended.is_set():
            counts[index] += isinstance(clients[index].receive(0.2), bytes)

    threads = [threading.Thread(target=read, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    control.send(None)
    control.recv()
    before, begun_s = counts[0], time.perf_counter()
    control.recv()
    control.send((counts[0] - before) / (time.perf_counter() - begun_s))
    ended.set()
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()
