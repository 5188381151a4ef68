"""What the daemon remembers of instances whose audio process has ended."""

from __future__ import annotations

import math
import os
import time
from typing import Any

from plugin_bridge.engine.shared.control_page import PageControls

CRASHES, CRASH_S = 3, 30.0  # so many within so long, and a plugin is refused for a while
REFUSED_S = 30.0  # so long no audio process is asked again what one has refused
MAX_REMEMBERED = 256  # instances, the newest ones

Asked = tuple[object, ...]
"""All of a hello by which an audio process decides whether it can serve it."""


class InstanceHistory:
    """Crashes, refusals and controls of instances; it never holds more than it needs."""

    def __init__(self) -> None:
        self._crashes: dict[str, list[float]] = {}  # when, by uuid
        self._refusals: dict[Asked, tuple[float, str]] = {}  # when, and why
        self._controls: dict[str, tuple[int, PageControls]] = {}  # and the process id of the host

    def add_crash(self, uuid: str) -> None:
        """Count a crash of the audio process of an instance."""
        now_s = time.monotonic()
        self._crashes.setdefault(uuid, []).append(now_s)
        for known, times_s in list(self._crashes.items()):
            if now_s - times_s[-1] > CRASH_S:
                del self._crashes[known]
            else:
                times_s[:] = times_s[-CRASHES:]
        _trim(self._crashes)

    def recent_crashes(self, uuid: str) -> int:
        """Return how often the process of an instance crashed of late, `CRASHES` at most."""
        now_s = time.monotonic()
        return sum(now_s - time_s < CRASH_S for time_s in self._crashes.get(uuid, ()))

    def add_refusal(self, asked: Asked, why: str) -> None:
        """Remember why an audio process cannot serve what was asked."""
        self._refusals[asked] = time.monotonic(), why
        _trim(self._refusals)

    def refusal(self, asked: Asked) -> str:
        """Return why what is asked was refused of late, empty if it was not."""
        since_s, why = self._refusals.get(asked, (-math.inf, ""))
        if time.monotonic() - since_s < REFUSED_S:
            return why
        self._refusals.pop(asked, None)
        return ""

    def keep_controls(self, uuid: str, host_pid: int, controls: PageControls) -> None:
        """Keep the controls of an instance for the process that serves it next."""
        self._controls.pop(uuid, None)  # so that the newest comes last
        self._controls[uuid] = host_pid, controls
        for known, (pid, _) in list(self._controls.items()):
            if not os.path.exists(f"/proc/{pid}"):
                del self._controls[known]
        _trim(self._controls)

    def take_controls(self, uuid: str, host_pid: int) -> PageControls | None:
        """Return the controls of an instance, once, and to the same run of the host alone.

        Another one begins with what its project has.
        """
        pid, controls = self._controls.pop(uuid, (0, None))
        return controls if pid == host_pid else None


def _trim(remembered: dict[Any, Any]) -> None:
    while len(remembered) > MAX_REMEMBERED:
        del remembered[next(iter(remembered))]
