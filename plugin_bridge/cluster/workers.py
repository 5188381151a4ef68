"""A cluster on this machine: a scheduler in this process, workers in processes of their own.

Whoever reaches a Dask scheduler or worker can run code as its user. So all of them listen on the
loopback alone, and speak TLS with keys that are made for this one run, and known to its processes
alone: no other user of the machine gets in.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import dask
from distributed import Client, LocalCluster, Security

from plugin_bridge.cluster.quiet import silence
from plugin_bridge.launch import own_process
from realtime.atomic import leftovers
from realtime.errors import StemsteerError

_MOST_IN_A_ROW = 20
"""Workers that may end one after the other without any song being done."""


class LocalWorkers:
    """So many workers, each with one thread; one that ends is replaced by `mend`.

    Songs are set aside by what they did (`attempts`), never by Dask's own count: that counts the
    songs that only waited on a worker, too.
    """

    def __init__(self, count: int) -> None:
        dask.config.set({"distributed.scheduler.allowed-failures": 1_000_000})
        silence()
        self._folder = _scratch_folder()
        dask.config.set({"temporary-directory": self._folder})  # else locks are left in /tmp
        self._security = Security.temporary()
        seen = importlib.util.find_spec("bokeh") is not None  # which shows the dashboard
        if not seen:
            dask.config.set({"distributed.scheduler.http.routes": []})
        self._cluster = LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            host="127.0.0.1",
            security=self._security,
            dashboard_address="127.0.0.1:0",
            local_directory=self._folder,
        )
        self.client = Client(self._cluster, security=self._security)
        self.dashboard = str(self.client.dashboard_link) if seen else ""
        self._replaced = 0
        self._processes = [self._start() for _ in range(count)]

    def _start(self) -> subprocess.Popen[bytes]:
        """Start a worker; its keys go through a pipe, where nobody else sees them."""
        command = own_process("plugin_bridge.cluster.worker_process", ends_with_parent=True)
        # A session of its own: Ctrl-C in the terminal is for us, who let it finish cleanly.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        told = {
            "address": self._cluster.scheduler_address,
            "security": self._keys(),
            "folder": self._folder,
        }
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already, and is replaced
        return process

    def _keys(self) -> dict[str, Any]:
        security = self._security
        return {
            "tls_ca_file": security.tls_ca_file,
            "tls_worker_cert": security.tls_worker_cert,
            "tls_worker_key": security.tls_worker_key,
        }

    @property
    def threads(self) -> int:
        """Return how many songs are worked on at once."""
        return len(self._processes)

    def made_progress(self) -> None:
        """Say that a song has ended, so workers that end are not all there is."""
        self._replaced = 0

    def mend(self) -> None:
        """Replace the workers that have ended.

        Raises
        ------
        StemsteerError if they end one after the other, and nothing is done.
        """
        for index, process in enumerate(self._processes):
            if process.poll() is None:
                continue
            self._replaced += 1
            if self._replaced > _MOST_IN_A_ROW:
                raise StemsteerError(
                    f"{self._replaced} workers ended one after the other (the last one with "
                    f"{process.returncode}) and no song was done: is there memory for "
                    f"{self.threads}? Try fewer --workers"
                )
            self._processes[index] = self._start()

    def close(self) -> None:
        """End the workers, the scheduler, and remove their folder."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self.client.close()
        self._cluster.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> LocalWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()


def _scratch_folder() -> str:
    """Make a folder for what Dask leaves on the disk, and remove those of killed processes."""
    name, ending = "stemsteer-catalogue", "scratch"
    for left, _ in leftovers(Path(tempfile.gettempdir(), name), ending):
        shutil.rmtree(left, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f".{name}.", suffix=f".{os.getpid()}.{ending}")
