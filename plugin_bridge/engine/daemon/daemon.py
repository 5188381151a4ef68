"""The engine daemon: greets plugins and gives each an audio process of its own.

It touches no audio. The crash of an audio process, or of this one, is seen by the plugin as a
closed socket: it plays dry and says hello again. Nothing here listens on the network.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import signal
import socket
import time
from pathlib import Path
from typing import Any

from plugin_bridge.engine.daemon.engine_log import LOG_NAME, log_to_file
from plugin_bridge.engine.daemon.history import CRASHES, Asked, InstanceHistory
from plugin_bridge.engine.daemon.instances import InstanceSurface
from plugin_bridge.engine.daemon.listener import (
    MAX_PENDING_PEERS,
    listen,
    lock_for,
    peer_ids,
    remove_socket,
)
from plugin_bridge.engine.daemon.observers import Observers
from plugin_bridge.engine.daemon.reserve import WorkerReserve
from plugin_bridge.engine.daemon.worker_process import WorkerProcess, log
from plugin_bridge.engine.shared.messages import (
    MAX_INSTANCES,
    MESSAGE_BYTES,
    REFUSED,
    parse_hello,
    read_message,
)
from plugin_bridge.engine.shared.ring import SharedRing
from plugin_bridge.launch import ending_signals
from plugin_bridge.paths import engine_socket
from realtime import find_model
from realtime.errors import StemsteerError

ENDING_S = 1.0  # an audio process that does not end by itself in time is killed
HELLO_S = 2.0  # a peer that says nothing for so long is dropped
ASKED = ("uuid", "model", "latency", "block", "rate_hz", "outputs")


class EngineDaemon:
    """Serve plugins on the engine's socket until `stop` is called.

    Parameters
    ----------
    model : name or path of the model of plugins that ask for none.
    surface : the control surface to which the instances are added.
    lanes_file : file of lanes, for the instances that it names.

    Raises
    ------
    StemsteerError if another engine runs already.
    """

    def __init__(
        self, model: str, surface: InstanceSurface, lanes_file: Path | None = None
    ) -> None:
        self._model, self._surface = model, surface
        self._begun_s = time.monotonic()
        self._path = engine_socket()
        self._lock = lock_for(self._path)
        self._listener = listen(self._path)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._pending: dict[socket.socket, float] = {}  # not yet greeted: since when
        self._workers: dict[socket.socket, WorkerProcess] = {}  # with an instance
        self._followed: dict[WorkerProcess, list[WorkerProcess]] = {}  # that are heard until then
        self._ending: list[tuple[WorkerProcess, float]] = []  # with the time to kill it
        self._observers = Observers(surface)
        self._history = InstanceHistory()
        self._reserve = WorkerReserve(model, lanes_file)
        self._reserve.fill()
        self._stopped = False

    def stop(self, *_: object) -> None:
        """End `run` soon. Safe in a signal handler."""
        self._stopped = True

    def run(self) -> None:
        """Serve until stopped; then end every audio process and remove the socket."""
        log.info("engine %d listens on %s, model %s", os.getpid(), self._path, self._model)
        try:
            while not self._stopped:
                for key, _ in self._selector.select(ENDING_S / 20 if self._ending else 0.2):
                    self._handle(key.fileobj)
                self._drop_idle()
                self._observers.tell()
                self._reap_ended()
                if all(worker.is_loaded for worker in self._workers.values()):
                    self._reserve.fill()
        finally:
            self._close()

    def _handle(self, peer: Any) -> None:
        """Do what a socket asks for; a fault of ours in it costs that peer, not all the others."""
        try:
            if peer is self._listener:
                self._accept()
            elif peer in self._pending:
                self._read_hello(peer)
            elif peer in self._observers:
                if not self._observers.read(peer):
                    self._drop_observer(peer)
            elif worker := self._workers.get(peer):  # else one that was replaced since `select`
                if worker.read_message():
                    self._attend(worker)
                else:
                    self._release(worker)
        except Exception:
            log.exception("a fault of the engine itself, which goes on")

    def _attend(self, worker: WorkerProcess) -> None:
        """Do what an audio process has told."""
        if worker.refusal:
            self._history.add_refusal(worker.asked, worker.refusal)
        if worker.is_ready:
            self._end_followed(worker)
        if names := worker.take_names():
            worker.hello |= names
            name = worker.hello["name"] = self._surface.rename(worker)
            worker.tell_name(name)
        self._observers.tell()
        self._surface.pass_heard(worker)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            peer, _ = self._listener.accept()
            _, uid = peer_ids(peer)
            if uid != os.geteuid() or len(self._pending) >= MAX_PENDING_PEERS:
                log.warning("a peer of user %d is refused", uid)
                peer.close()
                return
            peer.setblocking(False)
            self._pending[peer] = time.monotonic()
            self._selector.register(peer, selectors.EVENT_READ)

    def _drop_idle(self) -> None:
        for peer, since_s in list(self._pending.items()):
            if time.monotonic() - since_s > HELLO_S:
                self._remove_pending(peer).close()

    def _remove_pending(self, peer: socket.socket) -> socket.socket:
        del self._pending[peer]
        self._selector.unregister(peer)
        return peer

    def _read_hello(self, peer: socket.socket) -> None:
        fds: list[int] = []
        with self._remove_pending(peer):
            try:
                message, fds, _, _ = socket.recv_fds(peer, MESSAGE_BYTES, 4)
                if message:
                    self._answer(peer, read_message(message), fds)
            except StemsteerError as error:
                log.warning("refused: %s", error)
                with contextlib.suppress(OSError):
                    peer.send(f"{REFUSED}{error}".encode())
            except OSError as error:
                log.warning("a peer has left: %s", error)
            finally:
                for fd in fds:
                    os.close(fd)

    def _answer(self, peer: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        if message.get("ask") == "status":
            peer.send(json.dumps(self.status()).encode())  # it fits the buffer of a new socket
            return
        if message.get("ask") == "observe":
            observer = peer.dup()
            self._observers.add(observer)
            self._selector.register(observer, selectors.EVENT_READ)
            return
        if len(fds) != 1:
            raise StemsteerError("a hello comes with one ring")
        hello = parse_hello(message)
        hello["pid"] = peer_ids(peer)[0] or hello["pid"]  # a sandboxed host tells that of its own
        if why := self._history.refusal(asked := self._asked(hello)):  # in the log already
            peer.send(f"{REFUSED}{why}".encode())
            return
        self._start_instance(hello, asked, fds[0], peer)

    def _asked(self, hello: dict[str, Any]) -> Asked:
        """Return what decides whether a hello can be served, the state of the model's file too."""
        file = None
        with contextlib.suppress(StemsteerError, OSError):
            path = find_model(hello["model"] or self._model, "live")  # as its process does
            found = path.stat()
            file = str(path), found.st_mtime_ns, found.st_size
        return (*(hello[name] for name in ASKED), file)

    def _start_instance(
        self, hello: dict[str, Any], asked: Asked, ring_fd: int, peer: socket.socket
    ) -> None:
        """Give the instance an audio process, which answers the plugin when it is ready.

        One that it has already is heard until then.
        """
        followed = [worker for worker in self._workers.values() if worker.has_ring(ring_fd)]
        if len(self._workers) - len(followed) >= MAX_INSTANCES:
            raise StemsteerError(f"{MAX_INSTANCES} instances are served already")
        crashes = self._history.recent_crashes(hello["uuid"])
        if crashes >= CRASHES:
            raise StemsteerError(f"its audio process has crashed {crashes} times, see {LOG_NAME}")
        ring = SharedRing(ring_fd, writable=False)
        worker = self._reserve.take()
        self._followed[worker] = [heard for old in followed for heard in self._replace(old)]
        if any(known.is_for(hello["uuid"]) for known in self._workers.values()):
            hello["uuid"] = secrets.token_hex(16)  # a copy of a track
        worker.hello, worker.asked, worker.ring = hello, asked, ring
        if controls := self._history.take_controls(hello["uuid"], hello["pid"]):
            worker.page.inherit(controls)
        hello["name"], hello["number"] = self._surface.add(worker)
        self._workers[worker.connection] = worker
        self._selector.register(worker.connection, selectors.EVENT_READ)
        try:
            peer.setblocking(True)
            worker.assign([ring_fd, peer.fileno()])
        except BaseException:  # it has ended meanwhile: no track of nobody is left on the surface
            self._release(worker)
            raise
        log.info("instance %d: %s", worker.pid, {k: v for k, v in hello.items() if k != "timbres"})

    def _release(self, worker: WorkerProcess) -> None:
        """Remove an instance and let its process end."""
        self._withdraw(worker)
        self._let_end(worker)

    def _withdraw(self, worker: WorkerProcess) -> None:
        """Remove an instance; keep its controls for the process that serves it next."""
        self._selector.unregister(worker.connection)
        del self._workers[worker.connection]
        self._surface.remove(worker)
        self._observers.tell()
        hello = worker.hello
        self._history.keep_controls(hello["uuid"], hello["pid"], worker.page.controls())

    def _replace(self, old: WorkerProcess) -> list[WorkerProcess]:
        """Remove an instance that comes again; return what is heard until it is ready again."""
        self._withdraw(old)
        if old.is_ready:
            return [old]
        heard = self._followed.pop(old, [])
        self._let_end(old)
        return heard

    def _end_followed(self, worker: WorkerProcess) -> None:
        """Let the processes end that served its instance before."""
        for old in self._followed.pop(worker, ()):
            self._let_end(old)

    def _drop_observer(self, peer: socket.socket) -> None:
        self._selector.unregister(peer)
        self._observers.remove(peer)

    def _let_end(self, worker: WorkerProcess) -> None:
        """Close what a process reads, by which it ends; nobody waits for that."""
        worker.close()
        self._ending.append((worker, time.monotonic() + ENDING_S))
        self._end_followed(worker)

    def _reap_ended(self) -> None:
        """Note which processes have ended; kill those that do not."""
        for worker, until_s in list(self._ending):
            if worker.runs and time.monotonic() < until_s:
                continue
            self._ending.remove((worker, until_s))
            is_hung = worker.runs
            code = worker.terminate()
            (log.info if code == 0 else log.error)("instance %d ended (%s)", worker.pid, code)
            if code and worker.hello and not is_hung:
                self._history.add_crash(worker.hello["uuid"])

    def status(self) -> dict[str, Any]:
        """Return what `stemsteer status` tells."""
        return {
            "pid": os.getpid(),
            "model": self._model,
            "running_s": round(time.monotonic() - self._begun_s, 1),
            "socket": str(self._path),
            "reserve": self._reserve.loaded,
            "instances": [w.status() for w in self._workers.values()],
        }

    def _close(self) -> None:
        self._listener.close()
        with contextlib.suppress(StemsteerError):  # another file in its place is let be
            remove_socket(self._path)
        for peer in list(self._pending):
            self._remove_pending(peer).close()
        for observer in self._observers:
            self._drop_observer(observer)
        for worker in [*self._workers.values(), *self._reserve.empty()]:
            self._let_end(worker)
        while self._ending:
            self._reap_ended()
            time.sleep(0.01)
        os.close(self._lock)
        log.info("engine %d has stopped", os.getpid())


def serve(model: str, surface: InstanceSurface, lanes_file: Path | None = None) -> None:
    """Run the engine until a signal asks it to end; see `EngineDaemon`."""
    log_to_file()
    daemon = EngineDaemon(model, surface, lanes_file)
    for number in ending_signals():
        signal.signal(number, daemon.stop)
    try:
        daemon.run()
    except Exception:
        log.exception("the engine ends by a fault of its own")
        raise
