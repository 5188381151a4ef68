"""What the daemon remembers of instances whose audio process has ended."""

from __future__ import annotations

import os
import time

from plugin_bridge.engine.shared.control_page import Overrides

CRASHES, CRASH_S = 3, 30.0  # so many within so long, and a plugin is refused for a while
MAX_REMEMBERED = 256  # instances, the newest ones


class InstanceHistory:
    """Crashes and overrides by the uuid of an instance; it never holds more than it needs."""

    def __init__(self) -> None:
        self._crashes: dict[str, list[float]] = {}  # when
        self._overrides: dict[str, tuple[int, Overrides]] = {}  # and the process id of the host

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

    def keep_overrides(self, uuid: str, host_pid: int, overrides: Overrides) -> None:
        """Keep what is overridden for the process that serves the instance next."""
        self._overrides.pop(uuid, None)  # so that the newest comes last
        self._overrides[uuid] = host_pid, overrides
        for known, (pid, _) in list(self._overrides.items()):
            if not os.path.exists(f"/proc/{pid}"):
                del self._overrides[known]
        _trim(self._overrides)

    def take_overrides(self, uuid: str, host_pid: int) -> Overrides:
        """Return what was overridden, once, and to the same run of the host alone.

        Another one begins with what its project has.
        """
        pid, overrides = self._overrides.pop(uuid, (0, {}))
        return overrides if pid == host_pid else {}


def _trim(remembered: dict[str, list[float]] | dict[str, tuple[int, Overrides]]) -> None:
    while len(remembered) > MAX_REMEMBERED:
        del remembered[next(iter(remembered))]
