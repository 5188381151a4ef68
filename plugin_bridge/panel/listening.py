"""How browsers connect: the listening socket, and the settings of the web server."""

from __future__ import annotations

import asyncio
import logging
import socket

import uvicorn
from starlette.types import ASGIApp

from realtime.errors import StemsteerError

_QUEUE = 64  # connections


class WebServer(uvicorn.Server):
    """A web server that sleeps until somebody asks; uvicorn's own wakes up ten times a second.

    `ended` is to be set in its loop to end it.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = asyncio.Event()

    async def main_loop(self) -> None:
        await self.ended.wait()


def uvicorn_config(app: ASGIApp) -> uvicorn.Config:
    """Return settings for a page of our own: bounded in every size, and silent."""
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="off",
        loop="asyncio",
        http="h11",
        ws="websockets-sansio",
        ws_max_size=8192,
        ws_per_message_deflate=False,
        limit_concurrency=_QUEUE,
        h11_max_incomplete_event_size=16_384,
        timeout_graceful_shutdown=1,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens for browsers. Raises StemsteerError if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_QUEUE)
    except (OSError, OverflowError) as error:
        raise StemsteerError(
            f"cannot listen for browsers on {host} port {port}: {error}; choose another with "
            "--port (of live and serve: --panel-port), or stop what uses it"
        ) from error
