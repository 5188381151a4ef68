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

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.controls import BY_NAME, INSTRUMENTS
from plugin_bridge.control.timbre_requests import SLOTS, Slot
from plugin_bridge.engine.daemon.history import Asked
from plugin_bridge.engine.shared.control_page import ControlPage
from plugin_bridge.engine.shared.heard_memory import read_rows
from plugin_bridge.engine.shared.kept_timbres import KEEP, LISTEN, KeptTimbres
from plugin_bridge.engine.shared.messages import MESSAGE_BYTES, NAME, REFUSED
from plugin_bridge.engine.shared.ring import SharedRing
from plugin_bridge.launch import own_process
from realtime.errors import StemsteerError

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
    "model_faults",
)

FACTS = ("model", "tier", "rate_hz", "instruments", "host", "format", "block", "worker")

log = logging.getLogger("stemsteer.engine")


class WorkerProcess:
    """A process that has loaded `model` and waits for an instance, or serves one.

    It ends with the thread that makes this object, so that must be the daemon's main one.

    Parameters
    ----------
    model : name or path of the model that it loads before it knows its instance. The process runs
        in the daemon's folder, so that a path is the same there.
    lanes_file : file of lanes, of which each instance follows its own.

    Raises
    ------
    OSError if the process cannot be started; nothing is left open then.
    """

    def __init__(self, model: str, lanes_file: Path | None = None) -> None:
        with contextlib.ExitStack() as made:
            self.page = ControlPage()
            made.callback(self.page.close)
            self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            made.callback(self.connection.close)
            with theirs:
                fds = theirs.fileno(), self.page.fd
                lanes = str(lanes_file.absolute()) if lanes_file else ""
                command = own_process(MODULE, *fds, model, lanes, ends_with_parent=True)
                self._process = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL)
            made.pop_all()  # from here on `close` closes both
        self.hello: dict[str, Any] = {}
        self.asked: Asked = ()  # by its hello
        self.refusal = ""  # why it cannot serve that
        self.ring: SharedRing | None = None
        self._ring_fd = -1
        self._ring_inode = 0
        self._loaded = False
        self._facts: dict[str, Any] = {}
        self._kept = KeptTimbres()
        self._heard: NDArray[np.float32] | None = None
        self._names: dict[str, str] = {}

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
        with contextlib.suppress(StemsteerError):  # the audio process tells it
            self._kept = KeptTimbres.from_text(self.hello["timbres"])
        socket.send_fds(self.connection, [json.dumps(self.hello).encode()], fds)

    def read_message(self) -> bool:
        """Read one message from the process; return False at its end."""
        message, fds = b"", list[int]()
        with contextlib.suppress(OSError):
            message, fds, _, _ = socket.recv_fds(self.connection, MESSAGE_BYTES, 1)
        self._loaded = True
        try:
            if message.startswith(b"{"):
                self._take(json.loads(message), fds)
            elif message:
                told = message.decode(errors="replace")
                if told.startswith(REFUSED):
                    self.refusal = told.removeprefix(REFUSED)
                log.error("instance %d: %s", self.pid, told)
        finally:
            for fd in fds:
                os.close(fd)
        return bool(message)

    def _take(self, facts: dict[str, Any], fds: list[int]) -> None:
        samples = facts.pop("heard", 0)
        if samples and fds:
            self._heard = read_rows(fds[0], samples)
        if fault := facts.get("timbre_fault"):
            log.warning("instance %d: %s", self.pid, fault)
            self._kept = KeptTimbres()
        self._names |= facts.pop("names", {})
        self._facts |= facts

    @property
    def is_ready(self) -> bool:
        """Return whether it has taken the ring of its instance."""
        return "tier" in self._facts

    def take_names(self) -> dict[str, str]:
        """Return the names that its plugin has got since, as in a hello; each once."""
        names, self._names = self._names, {}
        return names

    def tell_name(self, name: str) -> None:
        """Tell it how its instance is called now."""
        self._tell(NAME + name.encode())

    def take_heard(self) -> NDArray[np.float32] | None:
        """Return the rows (samples, 4) that it has listened to, once; None if there are none."""
        heard, self._heard = self._heard, None
        return heard

    def listen(self, seconds: float) -> None:
        """Let it listen to its target for so long."""
        self._tell(LISTEN + f"{seconds:g}".encode())

    def change_timbre(self, slot: Slot, vector: NDArray[np.float32] | None, words: str) -> None:
        """Give it another timbre; its plugin is told what the project is to keep."""
        kept = self._kept.changed(self.encoder, slot, vector, words)
        self._tell(KEEP + kept.to_text().encode())
        self._kept = kept
        self._facts["timbre_fault"] = ""

    def _tell(self, message: bytes) -> None:
        try:
            self.connection.send(message, socket.MSG_DONTWAIT)
        except OSError as error:
            raise StemsteerError(f"its audio process does not listen: {error.strerror}") from error

    @property
    def encoder(self) -> str:
        """Return the encoder of its model, empty if that takes no timbre or is not known yet."""
        return str(self._facts.get("encoder", ""))

    @property
    def timbres(self) -> dict[str, str]:
        """Return its timbres in words; see `ControlSurface.timbres`."""
        words: dict[str, str] = {"encoder": self.encoder} if self.is_ready else {}
        for slot, told in self._kept.words.items():
            words[slot] = told
        return words

    def timbre_vector(self, slot: Slot) -> NDArray[np.float32] | None:
        """Return a timbre that it has; None if there is none of its model's encoder."""
        return self._kept.vectors.get(slot) if self._kept.encoder == self.encoder else None

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
        """Return what does not change of the instance, as text; see `ControlSurface.facts`.

        By `worker` it is known again that is called otherwise.
        """
        told = {**self.hello, **self._facts, "worker": self.pid}
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
        told = {**self.hello, **self._facts, **figures, "worker": self.pid}
        number = round(self.page.value(BY_NAME["instrument"].id))
        instrument = INSTRUMENTS[number] if number < len(INSTRUMENTS) else str(number)
        words = {slot: self._kept.words.get(slot, "") for slot in SLOTS}
        morph = self.page.value(BY_NAME["timbre_morph"].id)
        return {**told, "instrument": instrument, "timbres": words, "timbre_morph": morph}

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
