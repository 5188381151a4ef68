"""A browser's side of the panel in Python: what it is told, and what it moves."""

from __future__ import annotations

import json
from typing import Any

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from realtime.errors import StemsteerError

OPEN_S = 10.0


class PanelClient:
    """A connection to a panel on this machine.

    Raises
    ------
    StemsteerError if none answers.
    """

    def __init__(self, port: int, *, token: str = "") -> None:
        try:
            self._socket = connect(f"ws://127.0.0.1:{port}/ws", open_timeout=OPEN_S)
            if token:
                self._socket.send(json.dumps({"token": token}))
        except (OSError, TimeoutError, WebSocketException) as error:
            raise StemsteerError(f"no panel answers on port {port}: {error}") from error

    def set(self, instance: str, control: str, value: float) -> None:
        """Move a control."""
        self._socket.send(json.dumps({"set": {instance: {control: value}}}))

    def show(self, instance: str) -> None:
        """Ask for the pictures of an instance."""
        self._socket.send(json.dumps({"show": instance}))

    def receive(self, timeout_s: float = OPEN_S) -> dict[str, Any] | bytes | None:
        """Return the next message, of text or a picture; None if none has come in time.

        Raises StemsteerError if the panel has gone.
        """
        try:
            data = self._socket.recv(timeout=timeout_s)
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise StemsteerError(f"the panel has ended the connection: {error}") from error
        if isinstance(data, bytes):
            return data
        message: dict[str, Any] = json.loads(data)
        return message

    def close(self) -> None:
        """End the connection."""
        self._socket.close()
