"""A panel that is asked by the test itself, as a browser or as anybody else."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from plugin_bridge.control.servers import running
from plugin_bridge.control.surface import MemorySurface, Sound
from plugin_bridge.panel.server import PanelOptions


class Metered(MemorySurface):
    """A surface with meters and a sound that goes on with every look."""

    end = 0

    def meters(self, instance):
        return {"level_target": (-12.3456,), "directions": (0.5, 0.5), "dropouts": (3.0,)}

    def facts(self, instance):
        return {"model": "panorama"}

    def sound(self, instance):
        self.end += 1
        noise = np.full((2, 2048), 0.1, np.float32)
        return Sound(self.end, 44_100, noise, noise, 0 * noise)


@contextlib.contextmanager
def metered_panel() -> Iterator[tuple[Any, Metered]]:
    """A panel of two tracks, and their surface; it must have nothing to report."""
    surface, reports = Metered(["guitar", "lead vocals"]), []
    with running(PanelOptions(port=0).open(surface, reports.append), reports.append) as server:
        yield server, surface
    assert reports == []


def browser(server: Any, **options: Any) -> ClientConnection:
    """Connect to a panel as its page does."""
    return connect(f"ws://127.0.0.1:{server.port}/ws", open_timeout=30, **options)


def next_text(
    socket: ClientConnection, wanted: Callable[[dict[str, Any]], bool] = lambda message: True
) -> dict[str, Any]:
    """The next message of text that is wanted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        data = socket.recv(timeout=30)
        if isinstance(data, str) and wanted(json.loads(data)):
            return json.loads(data)
    raise AssertionError("no such message")


def request(server: Any, path: str = "/", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """Ask for a page; returns the answer and its body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer, b"" if answer.status == 101 else answer.read()


def code_of_the_end(socket: ClientConnection) -> int:
    """The code with which the server ends a connection."""
    with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012  (which of them sees it is chance)
        while True:
            socket.recv(timeout=30)
    return closed.value.rcvd.code
