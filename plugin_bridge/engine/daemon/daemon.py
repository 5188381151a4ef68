"""The engine daemon: greets plugins and gives each an audio process of its own.

It touches no audio. The crash of an audio process, or of this one, is seen by the plugin as a
closed socket: it plays dry and says hello again. Nothing here listens on the network.
"""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import os
import secrets
import selectors
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

from plugin_bridge.engine.daemon.instances import InstanceSurface
from plugin_bridge.engine.daemon.listener import MAX_PENDING_PEERS, listen, lock_for, peer_uid
from plugin_bridge.engine.daemon.worker_process import WorkerProcess, log
from plugin_bridge.engine.shared.control_page import Held
from plugin_bridge.engine.shared.messages import MESSAGE_BYTES, parse_hello, read_message
from plugin_bridge.engine.shared.ring import SharedRing
from plugin_bridge.paths import engine_socket, state_folder
from realtime.errors import StemsteerError

HELLO_S = 2.0  # a peer that says nothing for so long is shown out
MOST_INSTANCES = 64
CRASHES, CRASH_S = 3, 30.0  # so many within so long, and a plugin is refused for a while
LOG_NAME, LOG_BYTES, LOG_FILES = "engine.log", 1 << 20, 3


class EngineDaemon:
    """Listens on the engine's socket until `stop` is called.

    Parameters
    ----------
    model : name or path of the model of plugins that ask for none.
    tracks : the board on which the instances are put.
    lanes : file of lanes, for the instances that it names.

    Raises
    ------
    StemsteerError if another engine runs already.
    """

    def __init__(self, model: str, tracks: InstanceSurface, lanes: Path | None = None) -> None:
        self._model, self._tracks, self._lanes = model, tracks, lanes
        self._begun_s = time.monotonic()
        self._path = engine_socket()
        self._lock = lock_for(self._path)
        self._listener = listen(self._path)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._pending: dict[socket.socket, float] = {}  # not yet greeted: since when
        self._workers: dict[socket.socket, WorkerProcess] = {}  # with an instance
        self._crashes: dict[str, list[float]] = {}  # when the processes of an instance crashed
        self._held: dict[str, tuple[int, Held]] = {}  # of an instance whose process ended: by hands
        self._spare: WorkerProcess | None = self._spawn_worker()
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
                self._drop_idle()
        finally:
            self._close()

    def _handle(self, peer: Any) -> None:
        if peer is self._listener:
            self._accept()
        elif peer in self._pending:
            self._read_hello(peer)
        elif not self._workers[peer].hear():
            self._reap(self._workers[peer])

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            guest, _ = self._listener.accept()
            uid = peer_uid(guest)
            if uid != os.geteuid() or len(self._pending) >= MAX_PENDING_PEERS:
                log.warning("a peer of user %d is shown out", uid)
                guest.close()
                return
            guest.setblocking(False)
            self._pending[guest] = time.monotonic()
            self._selector.register(guest, selectors.EVENT_READ)

    def _drop_idle(self) -> None:
        for guest, since_s in list(self._pending.items()):
            if time.monotonic() - since_s > HELLO_S:
                self._part(guest).close()

    def _part(self, guest: socket.socket) -> socket.socket:
        del self._pending[guest]
        self._selector.unregister(guest)
        return guest

    def _read_hello(self, guest: socket.socket) -> None:
        fds: list[int] = []
        with self._part(guest):
            try:
                message, fds, _, _ = socket.recv_fds(guest, MESSAGE_BYTES, 4)
                if message:
                    self._answer(guest, read_message(message), fds)
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
        self._start_instance(parse_hello(message), fds[0], guest)

    def _start_instance(self, hello: dict[str, Any], ring_fd: int, guest: socket.socket) -> None:
        """Give the instance an audio process, which answers the plugin when it is ready."""
        if len(self._workers) >= MOST_INSTANCES:
            raise StemsteerError(f"{MOST_INSTANCES} instances are served already")
        recent = [t for t in self._crashes.get(hello["uuid"], []) if time.monotonic() - t < CRASH_S]
        if len(recent) >= CRASHES:
            raise StemsteerError(
                f"its audio process has crashed {len(recent)} times, see {LOG_NAME}"
            )
        ring = SharedRing(ring_fd, writable=False)
        for old in [w for w in self._workers.values() if w.has_ring(ring_fd)]:
            self._release(old)
            threading.Thread(target=old.end).start()  # its successor need not wait for that
        if any(worker.is_for(hello["uuid"]) for worker in self._workers.values()):
            hello["uuid"] = secrets.token_hex(16)  # a copy of a track
        worker = self._spare if self._spare and self._spare.runs else self._spawn_worker()
        self._spare = None
        worker.hello, worker.ring = hello, ring
        host, held = self._held.pop(hello["uuid"], (0, {}))
        if host == hello["pid"]:  # another host begins with what its project has
            worker.hands.inherit(held)
        hello["name"], hello["number"] = self._tracks.add(worker)
        guest.setblocking(True)
        worker.employ([ring_fd, guest.fileno()])
        self._workers[worker.control] = worker
        self._selector.register(worker.control, selectors.EVENT_READ)
        log.info("instance %d: %s", worker.pid, hello)
        self._spare = self._spawn_worker()

    def _spawn_worker(self) -> WorkerProcess:
        return WorkerProcess(self._model, self._lanes)

    def _release(self, worker: WorkerProcess) -> None:
        """Let go what an instance's audio process has: its place, and what hands hold."""
        self._selector.unregister(worker.control)
        del self._workers[worker.control]
        self._tracks.remove(worker)
        if held := worker.hands.held():
            self._held[worker.hello["uuid"]] = worker.hello["pid"], held

    def _reap(self, worker: WorkerProcess) -> None:
        self._release(worker)
        code = worker.end()
        (log.info if code == 0 else log.error)("instance %d ended (%s)", worker.pid, code)
        if code:
            self._crashes.setdefault(worker.hello["uuid"], []).append(time.monotonic())

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
        for guest in list(self._pending):
            self._part(guest).close()
        workers = [*self._workers.values(), *([self._spare] if self._spare else [])]
        for worker in workers:
            worker.control.close()  # which is how it learns that it is over
        for worker in workers:
            worker.end()
        os.close(self._lock)
        log.info("engine %d has stopped", os.getpid())


def serve(model: str, tracks: InstanceSurface, lanes: Path | None = None) -> None:
    """Run the engine until SIGTERM or Ctrl-C; see `EngineDaemon`."""
    _log_to_file()
    server = EngineDaemon(model, tracks, lanes)
    signal.signal(signal.SIGTERM, server.stop)
    signal.signal(signal.SIGINT, server.stop)
    server.run()


def _log_to_file() -> None:
    handler = logging.handlers.RotatingFileHandler(
        state_folder() / LOG_NAME, maxBytes=LOG_BYTES, backupCount=LOG_FILES
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
