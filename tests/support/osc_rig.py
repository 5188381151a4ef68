"""A server of OSC for tests, and a hand that talks to it."""

from __future__ import annotations

import socket

from pythonosc.osc_message import OscMessage

from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.osc import OscServer
from plugin_bridge.osc.packets import encode


class Rig:
    """A server on a free port, a socket that talks to it, and what it reported."""

    def __init__(self, **options: object) -> None:
        self.board = MemorySurface(["guitar", "lead vocals"])
        self.reports: list[str] = []
        self.server = OscServer(self.board, port=0, report=self.reports.append, **options)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(5)
        self.socket.connect(("127.0.0.1", self.server.port))

    def __enter__(self) -> Rig:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
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
        return self.board.value(instance, name)
