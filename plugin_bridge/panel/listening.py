"""How browsers connect: the listening socket, and the settings of the web server."""

from __future__ import annotations

import asyncio
import logging
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from realtime.errors import StemsteerError

MAX_CONNECTIONS = 64
REQUEST_S = 5.0
"""Time for the head of a request, from the connection or from the answer before on."""


class WebServer(uvicorn.Server):
    """A web server that sleeps until somebody asks; uvicorn's own wakes up ten times a second.

    `ended` is to be set in its loop to end it.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = asyncio.Event()

    async def main_loop(self) -> None:
        await self.ended.wait()


class BoundedProtocol(H11Protocol):
    """A connection that is closed where there are too many, and where it asks for nothing in time.

    Each one costs a descriptor of the engine's, and nobody needs a token to connect.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._await_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        self._end_deadline()
        self._deadline = self.loop.call_later(REQUEST_S, self._drop_idle)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _drop_idle(self) -> None:
        """Close it unless a request is being answered, or it has become a web socket."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if self.transport.get_protocol() is self and not is_answering:
            self.transport.abort()


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
        http=BoundedProtocol,
        backlog=MAX_CONNECTIONS,  # also how many are accepted before any is looked at
        ws="websockets-sansio",
        ws_max_size=8192,
        ws_per_message_deflate=False,
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
        return socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
    except (OSError, OverflowError) as error:
        raise StemsteerError(
            f"cannot listen for browsers on {host} port {port}: {error}; choose another with "
            "--port (of live and serve: --panel-port), or stop what uses it"
        ) from error
