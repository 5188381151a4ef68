"""Bring songs and workers together: a few songs at the workers at a time, results as they come."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

from distributed import Client, Future

from plugin_bridge.cluster.attempts import ask_to_stop
from plugin_bridge.cluster.interrupt import Interrupt
from plugin_bridge.cluster.manifest import Record
from plugin_bridge.cluster.task import AGAIN, STOPPED, Job, Work, failed, render_song

MOST_TRIES = 3
BACK_OFF_S = 2.0  # before the second try; twice as long before each further one
_TICK_S = 0.2
_MEND_S = 1.0
_RESULT_S = 5.0
_GRACE_S = 20.0  # for songs in work to be left, each at its next block


class Workers(Protocol):
    """What runs the songs."""

    @property
    def client(self) -> Client: ...
    @property
    def threads(self) -> int: ...
    @property
    def dashboard(self) -> str: ...
    def mend(self) -> None: ...
    def made_progress(self) -> None: ...


class _Flow:
    """Songs that wait, are at the workers, or are to be tried again.

    Only a few more than there are threads are at the workers at a time, so that the scheduler's
    memory does not grow with the catalogue, and no worker waits for its next song.
    """

    def __init__(self, workers: Workers, work: Work, jobs: list[Job]) -> None:
        self._workers, self._work = workers, work
        self._waiting = deque(jobs)
        self._later: list[tuple[float, int, Job, int]] = []
        self._running: dict[Future, tuple[Job, int]] = {}
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._number = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._waiting or self._later or self._running)

    @property
    def is_running(self) -> bool:
        return bool(self._running)

    def fill(self) -> None:
        """Give songs to the workers."""
        threads = self._workers.threads
        while len(self._running) < threads + 1 + threads // 4:
            if self._later and self._later[0][0] <= time.monotonic():
                _, _, job, tries = heapq.heappop(self._later)
            elif self._waiting:
                job, tries = self._waiting.popleft(), 0
            else:
                return
            key = (f"song-{self._work.run}", next(self._number))
            future = self._workers.client.submit(
                render_song, self._work, job, key=key, pure=False, retries=0
            )
            self._running[future] = (job, tries + 1)
            future.add_done_callback(self._ended.put)

    def next_record(self) -> Record | None:
        """Return what became of a song, if one has ended within a moment."""
        try:
            future = self._ended.get(timeout=_TICK_S)
        except queue.Empty:
            return None
        job, tries = self._running[future]
        record = _result(future, self._work, job)
        if record is None:
            self._ended.put(future)
            return None
        del self._running[future]
        if record.state != AGAIN:
            return record
        if tries < MOST_TRIES:
            due = time.monotonic() + BACK_OFF_S * 2 ** (tries - 1)
            heapq.heappush(self._later, (due, next(self._number), job, tries))
            return None
        return replace(failed(self._work, job, record.error), tries=tries, transient=True)


def run_jobs(
    workers: Workers,
    work: Work,
    jobs: list[Job],
    interrupt: Interrupt,
    tick: Callable[[], None],
    waiting: Callable[[], None],
    stopping: Callable[[], None],
) -> Iterator[Record]:
    """Yield the record of every song as it ends; call `tick` between them, often.

    When no workers are left `waiting` is called, and they are waited for. When it is interrupted,
    `stopping` is called, the songs in work are left at their next block, those that were done
    meanwhile are yielded, and then KeyboardInterrupt is raised.
    """
    flow = _Flow(workers, work, jobs)
    mended_s = time.monotonic()
    while flow and not interrupt.number:
        flow.fill()
        if (record := flow.next_record()) is not None:
            workers.made_progress()
            yield record
        if time.monotonic() - mended_s > _MEND_S:
            before = workers.threads
            workers.mend()
            if before and not workers.threads:
                waiting()
            mended_s = time.monotonic()
        tick()
    if interrupt.number:
        stopping()
        ask_to_stop(work.attempts)
        until_s = time.monotonic() + _GRACE_S
        while flow.is_running and time.monotonic() < until_s:
            record = flow.next_record()
            if record is not None and record.state != STOPPED:
                yield record
        interrupt.raise_if_noted()


def _result(future: Future, work: Work, job: Job) -> Record | None:
    """Return the record of a future, or what its loss says of the song.

    None if it is not here yet: it was on a worker that has ended, and another one gives it again.
    """
    try:
        result: Any = future.result(timeout=_RESULT_S)
    except (TimeoutError, asyncio.TimeoutError):  # two classes on Python 3.10
        return None
    except Exception as error:  # the worker is gone, has another version ...
        words = f"{type(error).__name__}: {error}"
        return replace(failed(work, job, words), state=AGAIN)
    assert isinstance(result, Record)
    return result
