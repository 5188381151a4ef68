"""The engine's door: its lock, its socket, and what may be said there.

The socket is the user's own and one packet is one message; `PROTOCOL.md` lists them.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import socket
import struct
from pathlib import Path
from typing import Any

from plugin_bridge.paths import engine_socket
from realtime.errors import StemsteerError

MESSAGE_BYTES = 1 << 16
MAX_PENDING_PEERS = 32
_UUID = re.compile(r"[0-9a-f]{32}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NUMBERS = {"pid": (1, 1 << 22), "rate_hz": (8_000, 768_000), "block": (0, 1 << 20)}
_NUMBERS |= {"latency": (1, 1 << 15), "outputs": (2, 4)}


def lock_for(path: Path) -> int:
    """Take the lock beside the socket: one engine a socket. Raises StemsteerError if taken."""
    fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise StemsteerError(
            f"an engine is listening on {path} already: see `stemsteer status`"
        ) from None
    return fd


def listen(path: Path) -> socket.socket:
    """Open the socket for this user alone; we hold its lock."""
    path.unlink(missing_ok=True)  # of an engine that was killed
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        raise StemsteerError(f"cannot listen on {path}: {error}") from error
    finally:
        os.umask(mask)
    listener.listen(MAX_PENDING_PEERS)
    listener.setblocking(False)
    return listener


def peer_uid(peer: socket.socket) -> int:
    """The user at the other end."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def read_message(message: bytes) -> dict[str, Any]:
    """What a guest says. Raises StemsteerError if it is no JSON object."""
    try:
        read = json.loads(message)
    except ValueError as error:
        raise StemsteerError(f"a message that is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise StemsteerError("a message that is not a JSON object")
    return read


def parse_hello(hello: dict[str, Any]) -> dict[str, Any]:
    """The hello with every field checked. A project may name a model, not point at a file."""
    if hello.get("hello") != 1:
        raise StemsteerError(f"a hello of version {hello.get('hello')!r}, expected 1")
    checked: dict[str, Any] = {}
    for name, (low, high) in _NUMBERS.items():
        value = hello.get(name)
        if not isinstance(value, int) or not low <= value <= high:
            raise StemsteerError(f"hello: {name} is {value!r}, expected {low} to {high}")
        checked[name] = value
    for name in ("label", "host", "format"):
        checked[name] = str(hello.get(name, ""))[:64]
    model = hello.get("model") or ""
    if model and not (isinstance(model, str) and _MODEL.fullmatch(model)):
        raise StemsteerError(f"hello: the model {str(model)[:64]!r} is no model's name")
    uuid = str(hello.get("uuid", ""))
    checked["uuid"] = uuid if _UUID.fullmatch(uuid) else secrets.token_hex(16)
    return {**checked, "model": model}


def ask_status(timeout_s: float = 2.0) -> dict[str, Any]:
    """Ask the engine how it is. Raises StemsteerError if none answers."""
    path = engine_socket()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked:
        asked.settimeout(timeout_s)
        try:
            asked.connect(str(path))
            asked.send(b'{"ask": "status"}')
            answer: dict[str, Any] = json.loads(asked.recv(1 << 20))
        except (OSError, ValueError) as error:
            raise StemsteerError(
                f"no engine answers at {path} ({error}): start one with `stemsteer serve`"
            ) from error
    return answer
