"""A server of OSC for tests, and a socket that talks to it."""

from __future__ import annotations

import contextlib
import socket

from pythonosc.osc_message import OscMessage

from plugin_bridge.control.servers import running
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.osc import OscServer
from plugin_bridge.osc.packets import encode


class Rig:
    """A server on a free port, a socket that talks to it, and what it reported."""

    def __init__(self, surface: MemorySurface | None = None, **options: object) -> None:
        self.surface = surface or MemorySurface(["guitar", "lead vocals"])
        self._stack = contextlib.ExitStack()
        self.reports: list[str] = []
        self.server = OscServer(self.surface, port=0, report=self.reports.append, **options)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", self.server.port))

    def __enter__(self) -> Rig:
        self._stack.enter_context(running(self.server, self.reports.append))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self.socket.close()

    def send(self, address: str, *arguments: object) -> None:
        self.socket.send(encode(address, arguments))

    def ask(self, address: str, *arguments: object) -> tuple[str, list[object]]:
        self.send(address, *arguments)
        message = OscMessage(self.socket.recv(65_536))
        return message.address, message.params

    def settle(self) -> None:
        """Wait until all that was sent before is done."""
        assert self.ask("/stemsteer/ping")[0] == "/stemsteer/pong"

    def value(self, instance: str = "guitar", name: str = "azimuth") -> float:
        self.settle()
        return self.surface.value(instance, name)
