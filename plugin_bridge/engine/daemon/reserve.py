"""Audio processes that have loaded the model before a plugin needs one."""

from __future__ import annotations

from pathlib import Path

from plugin_bridge.engine.daemon.worker_process import WorkerProcess

RESERVE = 4  # of 30 to 60 MB each; more tracks at once wait for their processes to load


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

    @property
    def loaded(self) -> int:
        """Count the processes that are ready."""
        return sum(worker.is_loaded for worker in self._workers)

    def take(self) -> WorkerProcess:
        """Return a process: the one that has loaded most, or a new one."""
        self._drop_ended()
        self._workers.sort(key=lambda worker: not worker.is_loaded)
        return self._workers.pop(0) if self._workers else self._spawn()

    def fill(self) -> None:
        """Start one more process if the reserve is not full and its last one has loaded."""
        self._drop_ended()
        if len(self._workers) < RESERVE and self.loaded == len(self._workers):
            self._workers.append(self._spawn())

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

    def _spawn(self) -> WorkerProcess:
        return WorkerProcess(self._model, self._lanes_file)
