"""Pages of the panel, and who may have them.

The page is read once, when the panel starts: no path that a browser asks for reaches a file.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plugin_bridge.own_name import is_own_name
from plugin_bridge.panel.examples import MAX_BYTES, Examples
from plugin_bridge.panel.hub import POLICY, Hub
from plugin_bridge.panel.performance import Performance
from realtime.errors import StemsteerError

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGE = "index.html"
UPLOAD_S = 30.0
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def make_app(hub: Hub, performance: Performance, examples: Examples) -> ASGIApp:
    """Return the application: the page, its files, what is up- and downloaded, and ``/ws``."""
    files = {path.name: path for path in sorted(_STATIC.iterdir()) if path.suffix in _TYPES}
    contents = {name: (path.read_bytes(), _TYPES[path.suffix]) for name, path in files.items()}

    async def serve_file(request: Request) -> Response:
        name = request.path_params.get("name", PAGE)
        if name not in contents:
            return PlainTextResponse("there is no such page", 404)
        body, kind = contents[name]
        return Response(body, media_type=kind)

    async def serve_lanes(request: Request) -> Response:
        found = performance.lanes() if is_known(hub, request) else None
        if found is None:
            return PlainTextResponse("there is no such page", 404)
        name, body = found
        disposition = f'attachment; filename="{name}"'
        return Response(body, media_type="text/csv", headers={"Content-Disposition": disposition})

    one_by_one = asyncio.Lock()

    async def take_example(request: Request) -> Response:
        if not is_known(hub, request):
            return PlainTextResponse("a token is needed", 403)
        instance, name = (request.query_params.get(key, "") for key in ("instance", "name"))
        is_sound = request.url.path == "/sound-example"
        take = examples.take_sound if is_sound else examples.take_picture
        try:
            async with one_by_one:
                body = await asyncio.wait_for(read_body(request, MAX_BYTES), UPLOAD_S)
                words = await asyncio.to_thread(take, instance, name, body)
        except (StemsteerError, ValueError) as error:
            return PlainTextResponse(str(error)[:500], 422)
        except asyncio.TimeoutError:
            return PlainTextResponse(f"it did not come within {UPLOAD_S:g} s", 408)
        return PlainTextResponse(words)

    routes = [
        Route("/sound-example", take_example, methods=["POST"]),
        Route("/picture-example", take_example, methods=["POST"]),
        Route("/lanes", serve_lanes),
        Route("/", serve_file),
        WebSocketRoute("/ws", hub.serve),
        WebSocketRoute("/sound", hub.serve_sound),
        Route("/{name}", serve_file),
    ]
    return Guard(Starlette(routes=routes))


async def read_body(request: Request, most: int) -> bytes:
    """Return what a browser sends along. Raises ValueError for more than `most` bytes."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise ValueError(f"it is larger than {most / 1e6:.0f} MB")
    return bytes(body)


def is_known(hub: Hub, request: Request) -> bool:
    """Return whether a request brings the token, where one is needed."""
    return hub.knows(request.headers.get("authorization", "").removeprefix("Bearer "))


class Guard:
    """Answers requests that call this machine by its own name and come from no other page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_trusted(Headers(scope=scope), (scope.get("server") or ("127.0.0.1", 0))[0]):
            await _refuse(scope, receive, send)
            return

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def is_trusted(headers: Headers, reached: str) -> bool:
    """Return whether a request names this machine, and is of no page of elsewhere.

    Parameters
    ----------
    reached : address of ours that it came to.
    """
    host, origin = headers.get("host"), headers.get("origin")
    if host is None or not is_own_name(host, reached):
        return False
    return origin is None or origin == f"http://{host}"


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": POLICY})
    else:
        await PlainTextResponse("refused: not asked by this machine's name", 403)(
            scope, receive, send
        )
