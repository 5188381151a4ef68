"""A worker of the local cluster, in a process of its own: reads from its input whom to work for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

import dask
from distributed import Security, Worker

from plugin_bridge.cluster.quiet import silence


def main() -> None:
    """Work until the scheduler is gone."""
    told = json.loads(sys.stdin.readline())
    # Pages of HTTP and a sampler of the stack, a hundred times a second, are of no use here.
    dask.config.set({"distributed.worker.profile.enabled": False})
    dask.config.set({"distributed.worker.http.routes": []})
    silence()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_work(told["address"], told["security"], told["folder"]))


async def _work(address: str, security: dict[str, str], folder: str) -> None:
    async with Worker(
        address,
        nthreads=1,
        host="127.0.0.1",
        security=Security(require_encryption=True, **security),
        local_directory=folder,
        memory_limit=0,
        dashboard=False,
    ) as worker:
        await worker.finished()


if __name__ == "__main__":
    main()
