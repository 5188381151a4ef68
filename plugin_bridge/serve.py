"""The engine daemon: greets plugins and gives each an audio process of its own.

It touches no audio. The crash of an audio process, or of this one, is seen by the plugin as a
closed socket: it plays dry and says hello again. Nothing here listens on the network.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import logging.handlers
import os
import re
import secrets
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plugin_bridge.places import engine_socket, state_folder
from plugin_bridge.shm import Ring
from realtime.spec import StemsteerError

MESSAGE_BYTES = 1 << 16
HELLO_S = 2.0  # a peer that says nothing for so long is shown out
MOST_INSTANCES = 64
MOST_GUESTS = 32
CRASHES, CRASH_S = 3, 30.0  # so many within so long, and a plugin is refused for a while
LOG_NAME, LOG_BYTES, LOG_FILES = "engine.log", 1 << 20, 3
_UUID = re.compile(r"[0-9a-f]{32}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NUMBERS = {"pid": (1, 1 << 22), "rate_hz": (8_000, 768_000), "block": (0, 1 << 20)}
_NUMBERS |= {"latency": (1, 1 << 15), "outputs": (2, 4)}

log = logging.getLogger("stemsteer.engine")


@dataclass
class Worker:
    """An audio process: spare, or with an instance."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    hello: dict[str, Any] = field(default_factory=dict)
    ring: Ring | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def is_wanted(self) -> bool:
        """Whether its host is alive; that a host has gone is noticed a little later."""
        return os.path.exists(f"/proc/{self.hello['pid']}")

    def status(self) -> dict[str, Any]:
        """What `stemsteer status` tells of an instance."""
        assert self.ring is not None
        names = ("load", "worst_hop_ms", "dropouts", "blocks", "block", "latency", "jumps", "hops")
        figures = {name: self.ring[name] for name in (*names, "offline")}
        return {**self.hello, **self.facts, **figures, "worker": self.process.pid}


class Server:
    """Listens on the engine's socket until `stop` is called.

    Parameters
    ----------
    model : name or path of the model of plugins that ask for none.

    Raises
    ------
    StemsteerError if another engine runs already.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._begun_s = time.monotonic()
        self._path = engine_socket()
        self._lock = _lock_for(self._path)
        self._listener = _listen(self._path)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._guests: dict[socket.socket, float] = {}  # not yet greeted: since when
        self._workers: dict[socket.socket, Worker] = {}  # with an instance
        self._crashes: dict[str, list[float]] = {}  # when the processes of an instance crashed
        self._spare: Worker | None = self._start_worker()
        self._stopped = False

    def stop(self, *_: object) -> None:
        """End `run` soon. Safe in a signal handler."""
        self._stopped = True

    def run(self) -> None:
        """Serve until stopped; then end every audio process and remove the socket."""
        log.info("engine %d listens on %s, model %s", os.getpid(), self._path, self._model)
        try:
            while not self._stopped:
                for key, _ in self._selector.select(0.2):
                    self._handle(key.fileobj)
                self._show_out()
        finally:
            self._close()

    def _handle(self, peer: Any) -> None:
        if peer is self._listener:
            self._welcome()
        elif peer in self._guests:
            self._greet(peer)
        else:
            self._hear(self._workers[peer])

    def _welcome(self) -> None:
        with contextlib.suppress(OSError):
            guest, _ = self._listener.accept()
            uid = struct.unpack("3i", guest.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[
                1
            ]
            if uid != os.geteuid() or len(self._guests) >= MOST_GUESTS:
                log.warning("a peer of user %d is shown out", uid)
                guest.close()
                return
            guest.setblocking(False)
            self._guests[guest] = time.monotonic()
            self._selector.register(guest, selectors.EVENT_READ)

    def _show_out(self) -> None:
        for guest, since_s in list(self._guests.items()):
            if time.monotonic() - since_s > HELLO_S:
                self._part(guest).close()

    def _part(self, guest: socket.socket) -> socket.socket:
        del self._guests[guest]
        self._selector.unregister(guest)
        return guest

    def _greet(self, guest: socket.socket) -> None:
        fds: list[int] = []
        with self._part(guest):
            try:
                message, fds, _, _ = socket.recv_fds(guest, MESSAGE_BYTES, 4)
                if message:
                    self._answer(guest, _read_message(message), fds)
            except StemsteerError as error:
                log.warning("refused: %s", error)
                with contextlib.suppress(OSError):
                    guest.send(f"error {error}".encode())
            except OSError as error:
                log.warning("a peer has left: %s", error)
            finally:
                for fd in fds:
                    os.close(fd)

    def _answer(self, guest: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        if message.get("ask") == "status":
            guest.setblocking(True)
            guest.settimeout(1.0)
            guest.send(json.dumps(self.status()).encode())
            return
        if len(fds) != 1:
            raise StemsteerError("a hello comes with one ring")
        self._employ(_check_hello(message), fds[0], guest)

    def _employ(self, hello: dict[str, Any], ring_fd: int, guest: socket.socket) -> None:
        """Give the instance an audio process, which answers the plugin when it is ready."""
        if len(self._workers) >= MOST_INSTANCES:
            raise StemsteerError(f"{MOST_INSTANCES} instances are served already")
        recent = [t for t in self._crashes.get(hello["uuid"], []) if time.monotonic() - t < CRASH_S]
        if len(recent) >= CRASHES:
            raise StemsteerError(
                f"its audio process has crashed {len(recent)} times, see {LOG_NAME}"
            )
        ring = Ring(ring_fd, writable=False)
        if any(w.hello["uuid"] == hello["uuid"] and w.is_wanted() for w in self._workers.values()):
            hello["uuid"] = secrets.token_hex(16)  # a copy of a track
        worker, self._spare = self._spare, None
        if worker is None or worker.process.poll() is not None:
            worker = self._start_worker()
        worker.hello, worker.ring = hello, ring
        guest.setblocking(True)
        socket.send_fds(worker.control, [json.dumps(hello).encode()], [ring_fd, guest.fileno()])
        self._workers[worker.control] = worker
        self._selector.register(worker.control, selectors.EVENT_READ)
        log.info("instance %s: %s", worker.process.pid, hello)
        self._spare = self._start_worker()

    def _hear(self, worker: Worker) -> None:
        message = b""
        with contextlib.suppress(OSError):
            message = worker.control.recv(MESSAGE_BYTES)
        if not message:
            self._dismiss(worker)
        elif message.startswith(b"{"):
            worker.facts = json.loads(message)
        else:
            log.error("instance %d: %s", worker.process.pid, message.decode(errors="replace"))

    def _dismiss(self, worker: Worker) -> None:
        self._selector.unregister(worker.control)
        del self._workers[worker.control]
        worker.control.close()
        code = _end(worker.process)
        (log.info if code == 0 else log.error)("instance %d ended (%s)", worker.process.pid, code)
        if code:
            self._crashes.setdefault(worker.hello["uuid"], []).append(time.monotonic())

    def _start_worker(self) -> Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "plugin_bridge.instance"]
            process = subprocess.Popen(
                [*command, str(theirs.fileno()), self._model],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=Path(__file__).resolve().parent.parent,
            )
        return Worker(process, ours)

    def status(self) -> dict[str, Any]:
        """What `stemsteer status` tells."""
        return {
            "pid": os.getpid(),
            "model": self._model,
            "running_s": round(time.monotonic() - self._begun_s, 1),
            "socket": str(self._path),
            "instances": [w.status() for w in self._workers.values()],
        }

    def _close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._listener.close()
        for guest in list(self._guests):
            self._part(guest).close()
        workers = [*self._workers.values(), *([self._spare] if self._spare else [])]
        for worker in workers:
            worker.control.close()  # which is how it learns that it is over
        for worker in workers:
            _end(worker.process)
        os.close(self._lock)
        log.info("engine %d has stopped", os.getpid())


def serve(model: str) -> None:
    """Run the engine until SIGTERM or Ctrl-C."""
    _log_to_file()
    server = Server(model)
    signal.signal(signal.SIGTERM, server.stop)
    signal.signal(signal.SIGINT, server.stop)
    server.run()


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


def _lock_for(path: Path) -> int:
    fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise StemsteerError(
            f"an engine is listening on {path} already: see `stemsteer status`"
        ) from None
    return fd


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # of an engine that was killed: we hold the lock
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        raise StemsteerError(f"cannot listen on {path}: {error}") from error
    finally:
        os.umask(mask)
    listener.listen(MOST_GUESTS)
    listener.setblocking(False)
    return listener


def _read_message(message: bytes) -> dict[str, Any]:
    try:
        read = json.loads(message)
    except ValueError as error:
        raise StemsteerError(f"a message that is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise StemsteerError("a message that is not a JSON object")
    return read


def _check_hello(hello: dict[str, Any]) -> dict[str, Any]:
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


def _end(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(1.0)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _log_to_file() -> None:
    handler = logging.handlers.RotatingFileHandler(
        state_folder() / LOG_NAME, maxBytes=LOG_BYTES, backupCount=LOG_FILES
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
