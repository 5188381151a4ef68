"""Audio processes that have loaded the model before a plugin needs one."""

from __future__ import annotations

import time
from pathlib import Path

from plugin_bridge.engine.daemon.worker_process import WorkerProcess, log
from realtime.errors import StemsteerError

RESERVE = 4  # of 30 MB each with panorama, 180 with steer; more tracks at once wait for theirs
PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""After a process that did not come so far as to load; the pause doubles until one does."""


class WorkerReserve:
    """Processes without an instance, filled one by one while nothing else is loading.

    Parameters
    ----------
    model : name or path of the model that they load.
    lanes_file : file of lanes, for their instances.
    """

    def __init__(self, model: str, lanes_file: Path | None = None) -> None:
        self._model, self._lanes_file = model, lanes_file
        self._ready: list[WorkerProcess] = []
        self._loading: WorkerProcess | None = None
        self._pause_s = self._resumes_s = 0.0

    @property
    def loaded(self) -> int:
        """Count the processes that are ready."""
        self._look()
        return len(self._ready)

    def take(self) -> WorkerProcess:
        """Return a process: one that has loaded, else the one that is loading, or a new one.

        Raises StemsteerError if none is there and none can be started.
        """
        self._look()
        if self._ready:
            return self._ready.pop(0)
        worker, self._loading = self._loading, None
        try:
            return worker or self._spawn()
        except OSError as error:
            raise StemsteerError(f"no audio process can be started: {error}") from error

    def fill(self) -> None:
        """Start one more process if the reserve is not full and its last one has loaded.

        Where that fails it is tried again after a pause.
        """
        self._look()
        is_waiting = self._loading or time.monotonic() < self._resumes_s
        if is_waiting or len(self._ready) >= RESERVE:
            return
        try:
            self._loading = self._spawn()
        except (OSError, StemsteerError) as error:
            self._pause(f"no process can be started for the reserve: {error}")

    def empty(self) -> list[WorkerProcess]:
        """Give up every process, for the caller to end."""
        workers = [*self._ready, *([self._loading] if self._loading else [])]
        self._ready, self._loading = [], None
        return workers

    def _look(self) -> None:
        """See which processes have loaded, and which have ended: were killed, or had no memory."""
        for worker in [worker for worker in self._ready if not worker.runs]:
            self._ready.remove(worker)
            log.warning("process %d of the reserve ended (%s)", worker.pid, _end(worker))
        loading = self._loading
        if loading and loading.is_loaded:
            self._ready.append(loading)
            self._loading, self._pause_s = None, 0.0
        elif loading and not loading.runs:
            self._loading = None
            told = f"process {loading.pid} of the reserve ended ({_end(loading)}) before it loaded"
            self._pause(told)

    def _pause(self, why: str) -> None:
        """Start no more for a while, twice as long as the last time."""
        self._pause_s = min(max(PAUSE_S, 2 * self._pause_s), LONGEST_PAUSE_S)
        self._resumes_s = time.monotonic() + self._pause_s
        log.error("%s; it is tried again in %g s", why, self._pause_s)

    def _spawn(self) -> WorkerProcess:
        return WorkerProcess(self._model, self._lanes_file)


def _end(worker: WorkerProcess) -> int:
    """Let go of a process that has ended; return its exit status."""
    worker.close()
    return worker.terminate()
