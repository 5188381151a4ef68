"""An audio process as the daemon sees it; `engine/worker` is what runs in it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from plugin_bridge.engine.shared.control_page import ControlPage
from plugin_bridge.engine.shared.messages import MESSAGE_BYTES
from plugin_bridge.engine.shared.ring import SharedRing
from plugin_bridge.launch import own_process

MODULE = "plugin_bridge.engine.worker"
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

FACTS = ("model", "tier", "rate_hz", "instruments", "host", "format", "block")

log = logging.getLogger("stemsteer.engine")


class WorkerProcess:
    """A process that has loaded `model` and waits for an instance, or serves one.

    It ends with the thread that makes this object, so that must be the daemon's main one.

    Parameters
    ----------
    model : name or path of the model that it loads before it knows its instance. The process runs
        in the daemon's folder, so that a path is the same there.
    lanes_file : file of lanes, of which each instance follows its own.
    """

    def __init__(self, model: str, lanes_file: Path | None = None) -> None:
        self.page = ControlPage()
        self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            fds = theirs.fileno(), self.page.fd
            lanes = str(lanes_file.absolute()) if lanes_file else ""
            command = own_process(MODULE, *fds, model, lanes, ends_with_parent=True)
            self._process = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL)
        self.hello: dict[str, Any] = {}
        self.ring: SharedRing | None = None
        self._ring_fd = -1
        self._ring_inode = 0
        self._loaded = False
        self._facts: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Return whether the process has not ended."""
        return self._process.poll() is None

    @property
    def is_loaded(self) -> bool:
        """Return whether the process has loaded its model."""
        with contextlib.suppress(OSError):
            if not self._loaded and self.connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK):
                self._loaded = True
        return self._loaded

    def assign(self, fds: list[int]) -> None:
        """Give it its instance, `hello` and `ring`; it answers the plugin when it is ready.

        Parameters
        ----------
        fds : file descriptors of the ring and of the socket to the plugin; they stay the caller's.
        """
        self._ring_inode = os.fstat(fds[0]).st_ino
        self._ring_fd = os.dup(fds[0])
        socket.send_fds(self.connection, [json.dumps(self.hello).encode()], fds)

    def read_message(self) -> bool:
        """Read one message from the process; return False at its end."""
        message = b""
        with contextlib.suppress(OSError):
            message = self.connection.recv(MESSAGE_BYTES)
        self._loaded = True
        if message.startswith(b"{"):
            self._facts |= json.loads(message)
        elif message:
            log.error("instance %d: %s", self.pid, message.decode(errors="replace"))
        return bool(message)

    def is_for(self, uuid: str) -> bool:
        """Return whether it serves that instance for a host that is alive.

        A host's death is noticed only later, by its closed socket.
        """
        return self.hello["uuid"] == uuid and os.path.exists(f"/proc/{self.hello['pid']}")

    def has_ring(self, fd: int) -> bool:
        """Return whether it serves the owner of that ring: a hello with it is no copied track's."""
        return os.fstat(fd).st_ino == self._ring_inode

    @property
    def facts(self) -> dict[str, str]:
        """Return what does not change of the instance, as text; see `ControlSurface.facts`."""
        told = {**self.hello, **self._facts}
        return {name: str(told[name]) for name in FACTS if name in told}

    def read_only_fds(self) -> list[int]:
        """Return new descriptors of page and ring, by which nobody can write into them.

        Raises OSError if the instance is just going.
        """
        fds: list[int] = []
        try:
            for fd in (self.page.fd, self._ring_fd):
                fds.append(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        return fds

    def status(self) -> dict[str, Any]:
        """Return what `stemsteer status` tells of an instance."""
        assert self.ring is not None
        figures = {name: self.ring[name] for name in (*FIGURES, "offline")}
        return {**self.hello, **self._facts, **figures, "worker": self.pid}

    def close(self) -> None:
        """Close what it reads, so that it ends by itself; once."""
        self.connection.close()
        self.page.close()
        if self._ring_fd >= 0:
            os.close(self._ring_fd)

    def terminate(self) -> int:
        """Return its exit status; kill it if it has not ended yet."""
        if self.runs:
            self._process.kill()
        return self._process.wait()
