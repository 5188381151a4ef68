"""The browsers that are connected: what they ask for, and what they are told.

Everything here runs in the event loop of the web server's thread, but for `inbox`, `wanted` and
`n_clients`, which the thread that attends to the panel reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import math
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from plugin_bridge.control.actions import ACTIONS
from plugin_bridge.control.timbre_requests import Request
from plugin_bridge.panel.player import check_order
from realtime.json_reader import read_json_object

MAX_CLIENTS = 16
MAX_MESSAGE_BYTES = 4096
MAX_MESSAGES = 400
"""From one browser in a second: a hand moves a control at most at the rate of the screen."""
TOKEN_S = 5.0
POLICY, LATER = 1008, 1013  # codes of the protocol (RFC 6455, section 7.4)
MAX_REASON_BYTES = 123  # of the protocol (section 5.5)
MAX_SOUNDS = 64
"""Blocks that wait for a listener; of one that is slower, the rest is left out."""
Move = tuple[str, str, float]
Order = dict[str, float]
"""To the player; see `check_order`."""


@dataclass(frozen=True)
class Record:
    """A performance is to begin, or to end."""

    wanted: bool


Item = Move | Order | Request | Record


@dataclass(eq=False)
class Client:
    """One browser; while `outbox` is not sent it is told nothing more, and everything later."""

    socket: WebSocket
    outbox: list[str | bytes] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    shows: str = ""
    needs_all: bool = True
    n_messages: int = 0
    since_s: float = 0.0


class Hub:
    """All browsers of a panel.

    Parameters
    ----------
    token : what a browser has to send first; empty if nobody else can reach the panel.
    wake : called after something has been put into `inbox`.
    """

    def __init__(self, token: str, wake: Callable[[], None]) -> None:
        self._token, self._wake = token, wake
        self._clients: set[Client] = set()
        self._listeners: set[Client] = set()
        self.inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.n_refused = self.n_seen = 0

    @property
    def n_clients(self) -> int:
        """Return how many browsers are connected."""
        return len(self._clients)

    @property
    def wanted(self) -> set[str]:
        """Return the instances of which somebody wants a picture."""
        return {client.shows for client in tuple(self._clients)} - {""}

    @property
    def needs_all(self) -> bool:
        """Return whether somebody has to be told everything."""
        return any(client.needs_all for client in tuple(self._clients))

    def knows(self, token: str) -> bool:
        """Return whether this is the token that is needed, or none is."""
        return hmac.compare_digest(token.encode(), self._token.encode())

    async def serve(self, socket: WebSocket) -> None:
        """Attend to a browser until it goes."""
        if client := await self._accept(socket, self._clients):
            self.n_seen += 1
            self._wake()
            await self._attend(client, self._clients)

    async def serve_sound(self, socket: WebSocket) -> None:
        """Send what is heard to a browser until it goes."""
        if client := await self._accept(socket, self._listeners):
            await self._attend(client, self._listeners)

    def deliver(self, news: str, everything: str, pictures: Mapping[str, bytes]) -> None:
        """Tell every browser the news, or everything where it has missed some.

        Parameters
        ----------
        news, everything : JSON; empty if there is none.
        pictures : by instance.
        """
        for client in self._clients:
            if client.outbox:  # its network is slower than we are
                client.needs_all = client.needs_all or bool(news)
                continue
            text = everything if client.needs_all else news
            if text:
                client.outbox.append(text)
                client.needs_all = False
            if client.shows in pictures:
                client.outbox.append(pictures[client.shows])
            if client.outbox:
                client.ready.set()

    def deliver_sound(self, block: bytes) -> None:
        """Send a block of sound to all who listen."""
        for listener in self._listeners:
            if len(listener.outbox) < MAX_SOUNDS:
                listener.outbox.append(block)
                listener.ready.set()

    async def _accept(self, socket: WebSocket, others: set[Client]) -> Client | None:
        """Return a browser that may come in; None if it was refused."""
        await socket.accept()
        if not await self._is_trusted(socket):
            self.n_refused += 1
            await socket.close(POLICY, "a token is needed: open the address that was printed")
            return None
        if len(others) >= MAX_CLIENTS:
            await socket.close(LATER, f"{MAX_CLIENTS} browsers are connected already")
            return None
        return Client(socket)

    async def _attend(self, client: Client, others: set[Client]) -> None:
        sender = asyncio.create_task(_send(client))
        others.add(client)
        try:
            await self._listen(client)
        finally:
            others.discard(client)
            sender.cancel()

    async def _is_trusted(self, socket: WebSocket) -> bool:
        if not self._token:
            return True
        try:
            text = await asyncio.wait_for(socket.receive_text(), TOKEN_S)
            return self.knows(str(_read(text).get("token", "")))
        except (asyncio.TimeoutError, WebSocketDisconnect, ValueError, KeyError):
            return False  # also for a token of half a character, which has no bytes

    async def _listen(self, client: Client) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                text = await client.socket.receive_text()
                try:
                    self._count(client)
                    self._take(client, _read(text))
                except (ValueError, TypeError) as error:
                    self.n_refused += 1
                    await client.socket.close(POLICY, _reason(error))
                    return
                except KeyError:  # bytes in place of text
                    return

    def _count(self, client: Client) -> None:
        now_s = time.monotonic()
        if now_s - client.since_s > 1:
            client.since_s, client.n_messages = now_s, 0
        client.n_messages += 1
        if client.n_messages > MAX_MESSAGES:
            raise ValueError(f"more than {MAX_MESSAGES} messages in a second")

    def _take(self, client: Client, message: Mapping[str, Any]) -> None:
        if "show" in message:
            client.shows = str(message["show"])
        if "player" in message:
            self.inbox.put(check_order(message["player"]))
        if "record" in message:
            self.inbox.put(Record(bool(message["record"])))
        if "ask" in message:
            self.inbox.put(_request(message["ask"]))
        moves = message.get("set", {})
        if not isinstance(moves, dict):
            raise ValueError("set is no object of instances")
        for instance, values in moves.items():
            if not isinstance(values, dict):
                raise ValueError(f"{instance!r:.40}: expected an object of controls")
            for name, value in values.items():
                if type(value) not in (int, float) or not math.isfinite(value):
                    raise ValueError(f"{name!r:.40}: expected a number")
                self.inbox.put((instance, name, float(value)))
        self._wake()


async def _send(client: Client) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await client.ready.wait()
            client.ready.clear()
            while client.outbox:
                message = client.outbox[0]
                if isinstance(message, str):
                    await client.socket.send_text(message)
                else:
                    await client.socket.send_bytes(message)
                del client.outbox[0]


def _request(asked: Any) -> Request:
    """Return what a browser asks of a timbre: instance, action, arguments.

    It may name timbres of the library, and no file. Raises ValueError if it is nothing of it.
    """
    if not isinstance(asked, list) or len(asked) < 3 or not isinstance(asked[0], str):
        raise ValueError("ask: expected an instance, an action and its arguments")
    instance, name, *arguments = asked
    if not isinstance(name, str) or name not in ACTIONS:
        raise ValueError(f"ask: expected one of {', '.join(ACTIONS)}")
    return Request(instance, name, ACTIONS[name].check(arguments), names_files=False)


def _reason(error: Exception) -> str:
    """Return what an error says, as far as the reason for the end of a connection holds it."""
    return str(error).encode(errors="replace")[:MAX_REASON_BYTES].decode(errors="ignore")


def _read(text: str) -> dict[str, Any]:
    """Return a message of a browser. Raises ValueError if it is none."""
    return read_json_object(text.encode(), max_bytes=MAX_MESSAGE_BYTES, max_depth=4)
