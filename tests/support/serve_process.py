"""What the tests of `stemsteer serve` share: its OSC, and tracks that play into its ring."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pythonosc.udp_client import SimpleUDPClient

from plugin_bridge.engine.client import PluginClient
from plugin_bridge.osc.packets import decode, encode
from tests.support.engine_sandbox import EngineSandbox
from tests.support.waiting import until

RATE_HZ, HOP, BLOCK = 44_100, 256, 512


class ServeProcess:
    """An engine that listens for OSC, and a client that talks to it."""

    def __init__(self, own: EngineSandbox, *options: str, model: str | Path | None = None) -> None:
        own.start(model or own.identity, "--osc", "--osc-port", "0", *options)
        self.port = own.osc_port()
        self.client = SimpleUDPClient("127.0.0.1", self.port)

    def ask(self, address: str, *arguments: object) -> list[tuple[str, tuple[object, ...]]]:
        """The messages that answer one: all that come before the answer to a ping after it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
            ear.settimeout(30)
            for sent in (encode(address, arguments), encode("/stemsteer/ping", ())):
                ear.sendto(sent, ("127.0.0.1", self.port))
            heard: list[tuple[str, tuple[object, ...]]] = []
            while "/stemsteer/pong" not in [answer for answer, _ in heard]:
                heard += [(m.address, m.arguments) for m in decode(ear.recv(65_536))]
            return heard[:-1]

    def send(self, address: str, value: float) -> None:
        """Move a control, and wait until the engine says that it is set."""
        self.client.send_message(address, value)
        until(
            lambda: any(np.isclose(v[0], value) for _, v in self.ask("/stemsteer/get", address)),
            f"{address} is {value}",
        )


def play(
    track: PluginClient, blocks: int, song_position: int | None = None, **values: float
) -> NDArray[np.float32]:
    """Push ones; the output from the first of these blocks on, but for the last hop."""
    start = track.position
    for k in range(blocks):
        here = None if song_position is None else song_position + k * BLOCK
        track.push(np.ones((2, BLOCK), np.float32), song_position=here, **values)
        assert track.wait(track.position - HOP)
    return track.read(start, blocks * BLOCK - HOP)[0]


def say_hello_again(track: PluginClient, **facts: object) -> None:
    """Let a track greet the engine anew with its ring, and with other facts of its own."""
    track._socket.close()
    track.hello |= facts
    track._socket = track._say_hello(15.0)
