"""Real-time priority of an audio process, while that helps."""

from __future__ import annotations

import contextlib
import os

PRIORITY = 5  # of SCHED_FIFO: below that of audio servers and hosts
TOO_MUCH, ENOUGH = 0.95, 0.8
"""Loads, as shares of real time, at which the priority is given up and taken again."""
PATIENCE_S = 2.0  # so long the load must stay beyond one of them


class Priority:
    """Has real-time priority while someone listens and the process keeps up.

    One that needs all of a processor for long is late anyway, and would keep all else from it.
    """

    def __init__(self) -> None:
        self._is_realtime: bool | None = None
        self._keeps_up = True
        self._since_s = 0.0  # the load has not been beyond the limit that counts now

    def update(self, *, offline: bool, load: float, now_s: float) -> None:
        """Look at the load; ask for what is due. Where that is refused, nothing changes."""
        is_beyond = load > TOO_MUCH if self._keeps_up else load < ENOUGH
        if offline or not is_beyond:
            self._since_s = now_s
        if now_s - self._since_s > PATIENCE_S:
            self._keeps_up, self._since_s = not self._keeps_up, now_s
        is_realtime = self._keeps_up and not offline
        if is_realtime != self._is_realtime:
            self._is_realtime = is_realtime
            _schedule(realtime=is_realtime)


def _schedule(*, realtime: bool) -> None:
    policy = os.SCHED_FIFO if realtime else os.SCHED_OTHER
    with contextlib.suppress(OSError):
        os.sched_setscheduler(
            0, policy | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY if realtime else 0)
        )
