"""The priority of an audio process: real-time while someone listens and it keeps up."""

from __future__ import annotations

import os
import threading

import pytest

from plugin_bridge.engine.worker.priority import ENOUGH, PATIENCE_S, TOO_MUCH, Priority


def policies(steps):
    """The policy of a thread after each step (seconds, load, offline), as the kernel says it."""
    found = []

    def run():
        priority, now_s = Priority(), 0.0
        priority.update(offline=False, load=0.0, now_s=now_s)
        found.append(_policy())
        for seconds, load, offline in steps:
            for _ in range(round(10 * seconds)):
                now_s += 0.1
                priority.update(offline=offline, load=load, now_s=now_s)
            found.append(_policy())

    thread = threading.Thread(target=run)  # its policy ends with it
    thread.start()
    thread.join()
    if found[0] != os.SCHED_FIFO:
        pytest.skip("real-time priority is not permitted here")
    return ["realtime" if policy == os.SCHED_FIFO else "ordinary" for policy in found[1:]]


def _policy():
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK


def test_a_process_that_needs_all_of_a_processor_for_long_is_an_ordinary_one_until_it_does_not():
    long_s, short_s = PATIENCE_S + 0.5, PATIENCE_S - 0.5
    steps = {
        (short_s, 2.0, False): "realtime",
        (0.1, 0.5, False): "realtime",
        (short_s + 0.1, 2.0, False): "realtime",
        (0.2, 0.5, False): "realtime",
        (long_s, TOO_MUCH + 0.01, False): "ordinary",
        (long_s, ENOUGH + 0.01, False): "ordinary",
        (short_s, 0.1, False): "ordinary",
        (1.0, 0.11, False): "realtime",
        (long_s, TOO_MUCH - 0.01, False): "realtime",
    }
    assert policies(steps) == list(steps.values())


def test_a_render_is_an_ordinary_process_and_its_load_does_not_count():
    steps = {(9.0, 5.0, True): "ordinary", (0.1, 5.0, False): "realtime"}
    assert policies(steps) == list(steps.values())
