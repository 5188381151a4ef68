"""The workers of a Dask cluster that the user has already."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from types import TracebackType

from distributed import Client, Security

from plugin_bridge.cluster.quiet import silence
from realtime.errors import StemsteerError

_CONNECT_S = 20


class RemoteWorkers:
    """The workers of the scheduler at `address`, as ``tcp://host:8786`` or ``tls://host:8786``.

    Parameters
    ----------
    shared : a folder that every worker has to see, at the same path.
    ca, cert, key : PEM files of TLS; none: as Dask's own configuration says.

    Raises
    ------
    StemsteerError if there is no scheduler or no worker, or a worker has another version of
    Stemsteer, several threads, or does not see the folder.
    """

    def __init__(
        self,
        address: str,
        shared: Path,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
    ) -> None:
        silence()
        self.address, self.dashboard = address, ""
        try:
            self.client = Client(address, security=_security(ca, cert, key), timeout=_CONNECT_S)
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            raise StemsteerError(f"no scheduler answers at {address}: {error}") from error
        try:
            self.threads = self._checked(shared)
            self.dashboard = str(self.client.dashboard_link)
        except BaseException:
            self.close()
            raise

    def _checked(self, shared: Path) -> int:
        """Return how many workers there are, if they can do the work."""
        threads = self.client.nthreads()
        if not threads:
            raise StemsteerError("the scheduler has no workers: start some with `dask worker`")
        if wrong := [address for address, count in threads.items() if count != 1]:
            raise StemsteerError(
                f"worker {wrong[0]} has {threads[wrong[0]]} threads: start workers with "
                "--nthreads 1, so that one that is killed ends one song alone"
            )
        ours = self._version()
        try:
            versions = self.client.run(importlib.metadata.version, "stemsteer")
        except importlib.metadata.PackageNotFoundError:
            raise StemsteerError(
                f"a worker has no Stemsteer: install version {ours} there"
            ) from None
        if wrong := [address for address, theirs in versions.items() if theirs != ours]:
            raise StemsteerError(
                f"worker {wrong[0]} has Stemsteer {versions[wrong[0]]}, this is {ours}: install "
                "the same version on all machines"
            )
        seen = self.client.run(os.path.isdir, str(shared))
        if blind := [address for address, sees in seen.items() if not sees]:
            raise StemsteerError(
                f"worker {blind[0]} does not see {shared}: --out has to be on a disk that all "
                "machines share, at the same path"
            )
        return len(threads)

    @staticmethod
    def _version() -> str:
        return importlib.metadata.version("stemsteer")

    def made_progress(self) -> None:
        """Do nothing: whoever runs the cluster replaces its workers."""

    def mend(self) -> None:
        """Count the workers anew, which may come and go.

        Raises StemsteerError if the scheduler is gone.
        """
        try:
            self.threads = len(self.client.nthreads())
        except (OSError, AttributeError) as error:  # the latter of a client that gave up before
            raise StemsteerError(
                f"the scheduler at {self.address} is gone: start the catalogue again when it is "
                "back, and it goes on"
            ) from error

    def close(self) -> None:
        """Leave the cluster."""
        self.client.close()

    def __enter__(self) -> RemoteWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()


def _security(ca: Path | None, cert: Path | None, key: Path | None) -> Security | None:
    if ca is None and cert is None and key is None:
        return None
    files = {"tls_ca_file": ca, "tls_client_cert": cert, "tls_client_key": key}
    given = {name: str(path) for name, path in files.items() if path is not None}
    return Security(require_encryption=True, **given)
