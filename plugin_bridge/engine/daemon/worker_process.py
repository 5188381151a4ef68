"""An audio process as the engine sees it; what runs in it is `instance.py`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from plugin_bridge.engine.shared.control_page import ControlPage
from plugin_bridge.engine.shared.messages import MESSAGE_BYTES
from plugin_bridge.engine.shared.ring import SharedRing

FIGURES = (
    "load",
    "separation",
    "worst_hop_ms",
    "dropouts",
    "blocks",
    "block",
    "latency",
    "jumps",
    "hops",
)

log = logging.getLogger("stemsteer.engine")


class WorkerProcess:
    """A process that has loaded `model` and waits for an instance, or serves one.

    Parameters
    ----------
    lanes : file of lanes, of which each instance follows its own.
    """

    def __init__(self, model: str, lanes: Path | None = None) -> None:
        self.hands = ControlPage()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            fds = theirs.fileno(), self.hands.fd
            words = [*map(str, fds), model, str(lanes.absolute() if lanes else "")]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "plugin_bridge.engine.worker", *words],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                cwd=Path(__file__).resolve().parents[3],
            )
        self.hello: dict[str, Any] = {}
        self.ring: SharedRing | None = None
        self._ring_inode = 0
        self._facts: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def employ(self, fds: list[int]) -> None:
        """Give it its instance, `hello` and `ring`; it answers the plugin when it is ready.

        `fds` are those of the ring and of the socket to the plugin, and stay the caller's.
        """
        self._ring_inode = os.fstat(fds[0]).st_ino
        socket.send_fds(self.control, [json.dumps(self.hello).encode()], fds)

    def hear(self) -> bool:
        """Take what it says; False: it has ended."""
        message = b""
        with contextlib.suppress(OSError):
            message = self.control.recv(MESSAGE_BYTES)
        if message.startswith(b"{"):
            self._facts = json.loads(message)
        elif message:
            log.error("instance %d: %s", self.pid, message.decode(errors="replace"))
        return bool(message)

    def is_for(self, uuid: str) -> bool:
        """Whether it serves that instance for a host that is alive; a death is noticed later."""
        return self.hello["uuid"] == uuid and os.path.exists(f"/proc/{self.hello['pid']}")

    def has_ring(self, fd: int) -> bool:
        """Whether it serves the owner of that ring: a greeting with it is no copy's."""
        return os.fstat(fd).st_ino == self._ring_inode

    def status(self) -> dict[str, Any]:
        """What `stemsteer status` tells of an instance."""
        assert self.ring is not None
        figures = {name: self.ring[name] for name in (*FIGURES, "offline")}
        return {**self.hello, **self._facts, **figures, "worker": self.pid}

    def end(self) -> int:
        """Wait until it has ended, by force if it must be; its exit status.

        It ends of itself when `control` is closed, which is done first for all that are to end.
        """
        self.control.close()
        self.hands.close()
        try:
            return self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
