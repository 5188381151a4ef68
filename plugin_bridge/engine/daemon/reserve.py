"""Audio processes that have loaded the model before a plugin needs one."""

from __future__ import annotations

import time
from pathlib import Path

from plugin_bridge.engine.daemon.worker_process import WorkerProcess, log
from realtime.errors import StemsteerError

RESERVE = 4  # of 30 to 60 MB each; more tracks at once wait for their processes to load
PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""After a process that could not be started; the pause doubles until one has been."""


class WorkerReserve:
    """Processes without an instance, filled one by one while nothing else is loading.

    Parameters
    ----------
    model : name or path of the model that they load.
    lanes_file : file of lanes, for their instances.
    """

    def __init__(self, model: str, lanes_file: Path | None = None) -> None:
        self._model, self._lanes_file = model, lanes_file
        self._workers: list[WorkerProcess] = []
        self._pause_s = self._resumes_s = 0.0

    @property
    def loaded(self) -> int:
        """Count the processes that are ready."""
        return sum(worker.is_loaded for worker in self._workers)

    def take(self) -> WorkerProcess:
        """Return a process: the one that has loaded most, or a new one.

        Raises StemsteerError if none is there and none can be started.
        """
        self._drop_ended()
        self._workers.sort(key=lambda worker: not worker.is_loaded)
        if self._workers:
            return self._workers.pop(0)
        try:
            return self._spawn()
        except OSError as error:
            raise StemsteerError(f"no audio process can be started: {error}") from error

    def fill(self) -> None:
        """Start one more process if the reserve is not full and its last one has loaded.

        Where that fails it is tried again after a pause.
        """
        self._drop_ended()
        is_waiting = time.monotonic() < self._resumes_s
        if is_waiting or len(self._workers) >= RESERVE or self.loaded < len(self._workers):
            return
        try:
            self._workers.append(self._spawn())
            self._pause_s = 0.0
        except (OSError, StemsteerError) as error:
            self._pause(f"no process can be started for the reserve: {error}")

    def empty(self) -> list[WorkerProcess]:
        """Give up every process, for the caller to end."""
        workers, self._workers = self._workers, []
        return workers

    def _drop_ended(self) -> None:
        """Forget processes that were killed or had no memory."""
        for worker in [worker for worker in self._workers if not worker.runs]:
            self._workers.remove(worker)
            worker.close()
            worker.terminate()

    def _pause(self, why: str) -> None:
        """Start no more for a while, twice as long as the last time."""
        self._pause_s = min(max(PAUSE_S, 2 * self._pause_s), LONGEST_PAUSE_S)
        self._resumes_s = time.monotonic() + self._pause_s
        log.error("%s; it is tried again in %g s", why, self._pause_s)

    def _spawn(self) -> WorkerProcess:
        return WorkerProcess(self._model, self._lanes_file)
