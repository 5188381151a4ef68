"""A peer of the engine that says one thing, as a plugin or anything else on this machine may."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from plugin_bridge.paths import engine_socket

HELLO = {"hello": 1, "pid": 1, "rate_hz": 44_100, "block": 512, "latency": 1024, "outputs": 2}


def send(message: bytes, fds: Sequence[int] = ()) -> str:
    """Send one message on a connection of its own; return the answer, empty if there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.settimeout(30)
        peer.connect(str(engine_socket()))
        socket.send_fds(peer, [message], list(fds))
        try:
            return peer.recv(1 << 16).decode()
        except OSError:
            return ""
