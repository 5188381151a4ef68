"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(
    condition: Callable[[], object],
    what: str = "it",
    timeout_s: float = 60.0,
    *,
    poll_s: float = 0.01,
) -> None:
    """Wait for a condition, looking every `poll_s` seconds; fail if it does not come true."""
    limit_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(poll_s)
