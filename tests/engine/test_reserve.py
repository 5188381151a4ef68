"""The processes in reserve: one that cannot be started, or ends at once, costs no track."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import resource
import shutil
import signal
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from plugin_bridge.engine.client import PluginClient
from plugin_bridge.engine.daemon import daemon as daemon_module
from plugin_bridge.engine.daemon import history as history_module
from plugin_bridge.engine.daemon import reserve as reserve_module
from plugin_bridge.engine.daemon import worker_process
from plugin_bridge.engine.daemon.history import MAX_REMEMBERED, REFUSED_S, InstanceHistory
from plugin_bridge.engine.daemon.instances import InstanceSurface
from plugin_bridge.engine.daemon.reserve import RESERVE, WorkerReserve
from plugin_bridge.engine.daemon.worker_process import WorkerProcess, log
from plugin_bridge.engine.shared.messages import parse_hello
from plugin_bridge.engine.shared.ring import make_ring
from realtime.errors import StemsteerError
from tests.support.engine_peer import HELLO, send
from tests.support.engine_sandbox import runs
from tests.support.waiting import until


class Clock:
    """A clock that stands still until it is moved."""

    now_s = 1000.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    """The clock of the reserve."""
    made = Clock()
    monkeypatch.setattr(reserve_module, "time", made)
    return made


@pytest.fixture
def told(monkeypatch):
    """What the engine's log is told."""
    lines = []
    keep = SimpleNamespace(level=0, handle=lambda record: lines.append(record.getMessage()))
    monkeypatch.setattr(log, "handlers", [keep])
    monkeypatch.setattr(log, "propagate", False)
    return lines


@pytest.fixture
def attempts(monkeypatch):
    """Starts of processes, every one of which fails."""
    made = []

    def fail(*_, **__):
        made.append(None)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(worker_process.subprocess, "Popen", fail)
    return made


def filled(reserve, clock, seconds):
    """Fill a reserve as often as a daemon does for so long."""
    for _ in range(round(5 * seconds)):
        reserve.fill()
        clock.now_s += 0.2


def open_fds():
    return sorted(os.listdir("/proc/self/fd"))


def test_a_process_that_cannot_be_started_is_tried_after_longer_and_longer(clock, told, attempts):
    reserve = WorkerReserve("identity")
    filled(reserve, clock, 600)
    assert 12 < len(attempts) < 18  # after 1, 2, 4 ... 60 s
    assert "Permission denied; it is tried again in 1 s" in told[0]
    assert "in 60 s" in told[-1]
    with pytest.raises(StemsteerError, match="no audio process can be started"):
        reserve.take()


@pytest.mark.usefixtures("attempts")
def test_a_process_that_cannot_be_started_leaves_nothing_open():
    gc.collect()
    before = open_fds()
    with pytest.raises(PermissionError):
        WorkerProcess("identity")
    gc.collect()  # memory of a page has a descriptor, too
    assert open_fds() == before


def test_a_fault_that_ends_the_engine_is_in_its_log(engine_sandbox, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("of the test")

    monkeypatch.setattr(daemon_module.EngineDaemon, "run", fail)
    monkeypatch.setattr(daemon_module, "ending_signals", list)
    monkeypatch.setattr(log, "handlers", [])
    with pytest.raises(ZeroDivisionError):
        daemon_module.serve(str(engine_sandbox.identity), InstanceSurface())
    written = engine_sandbox.engine_log.read_text()
    assert "ends by a fault of its own" in written
    assert "ZeroDivisionError: of the test" in written


@pytest.fixture
def programs(monkeypatch):
    """Commands that are run in the place of the next audio processes."""
    left, own_process = [], worker_process.own_process
    monkeypatch.setattr(
        worker_process,
        "own_process",
        lambda *words, **options: left.pop(0) if left else own_process(*words, **options),
    )
    return left


def end_one(reserve, programs):
    """Let a reserve start a process that ends at once, and see that."""
    programs.append(["/bin/sh", "-c", "exit 7"])
    reserve.fill()
    until(lambda: not reserve._loading.runs, "it has ended")
    reserve.fill()
    assert reserve._loading is None


def test_a_process_that_ends_at_once_is_told_and_started_after_longer_and_longer(
    clock, told, programs
):
    reserve = WorkerReserve("identity")
    for pause_s in (1, 2, 4, 8, 16, 32, 60, 60):
        end_one(reserve, programs)
        assert f"ended (7) before it loaded; it is tried again in {pause_s} s" in told[-1]
        clock.now_s += pause_s - 0.1
        reserve.fill()
        assert reserve._loading is None
        clock.now_s += 0.2
    assert len(told) == 8


def test_the_pause_is_short_again_once_a_process_has_loaded(clock, told, programs, engine_sandbox):
    reserve = WorkerReserve(str(engine_sandbox.identity))
    for _ in range(3):
        end_one(reserve, programs)
        clock.now_s += 60
    assert "in 4 s" in told[-1]
    reserve.fill()
    until(lambda: reserve.loaded, "one has loaded")
    end_one(reserve, programs)
    assert "in 1 s" in told[-1]
    (ready,) = reserve.empty()
    ready.close()
    ready.terminate()


def test_a_process_that_is_killed_in_the_reserve_is_told(clock, told, engine_sandbox):
    reserve = WorkerReserve(str(engine_sandbox.identity))
    reserve.fill()
    until(lambda: reserve.loaded, "it has loaded")
    (pid,) = spares(os.getpid(), ())
    os.kill(pid, signal.SIGKILL)
    until(lambda: not reserve.loaded, "that is seen")
    assert told == [f"process {pid} of the reserve ended (-9)"]


def spares(engine_pid, workers):
    """The pids of audio processes that have no instance."""
    for task in Path(f"/proc/{engine_pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{child}/cmdline").read_text()
                if child not in workers and worker_process.MODULE in command:
                    yield child


@pytest.mark.realtime
def test_without_descriptors_left_the_engine_keeps_its_tracks_and_fills_its_reserve_later(
    engine_sandbox,
):
    pid = engine_sandbox.start(engine_sandbox.identity)
    track = PluginClient()
    until(lambda: engine_sandbox.status()["reserve"] == RESERVE, "the reserve is full")
    spare = next(spares(pid, engine_sandbox.workers()))
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    os.kill(spare, signal.SIGKILL)
    until(
        lambda: not runs(pid) or "can be started" in engine_sandbox.engine_log.read_text(),
        "its log says that none can be started",
    )
    assert runs(pid)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    until(lambda: engine_sandbox.status()["reserve"] == RESERVE, "the reserve is full again")
    assert track.attached
    track.close()


@pytest.fixture
def ask():
    """A hello of the same instance each time, with the ring of a plugin; what it is answered."""
    ring = make_ring(44_100)
    hello = {**HELLO, "pid": os.getpid(), "uuid": "0" * 32}
    yield lambda **fields: send(json.dumps({**hello, **fields}).encode(), [ring])
    os.close(ring)


def test_a_hello_that_was_refused_is_refused_again_without_a_process(engine_sandbox, ask):
    def assigned():
        return len(re.findall(r" instance \d+: \{", engine_sandbox.engine_log.read_text()))

    engine_sandbox.start(engine_sandbox.identity)
    for times, asked in enumerate(
        ({"model": "nosuch"}, {"latency": 32}, {"latency": 32, "uuid": "1" * 32}), 1
    ):
        first, *others = [ask(**asked) for _ in range(5)]
        assert first.startswith("error ")
        assert others == [first] * 4
        assert assigned() == times
        until(lambda: not engine_sandbox.instances(), "its process ends")
    assert "no model 'nosuch'" in ask(model="nosuch")
    assert ask().startswith("ok ")


def test_a_model_that_was_refused_is_found_once_it_is_installed(engine_sandbox, ask, monkeypatch):
    folder = engine_sandbox.folder / "data" / "models"
    folder.mkdir(parents=True)
    monkeypatch.setenv("STEMSTEER_DATA", str(folder.parent))
    engine_sandbox.start(engine_sandbox.identity)
    for _ in range(2):
        assert "no model 'late'" in ask(model="late")
    (folder / "late.onnx").write_bytes(b"x")
    for _ in range(2):
        assert "late.onnx is not a model" in ask(model="late")
    shutil.copy(engine_sandbox.identity, folder / "late.onnx")
    assert ask(model="late").startswith("ok ")


@pytest.mark.parametrize("size", [0, 64, 1 << 20])
def test_an_audio_process_of_another_version_than_its_engine_says_to_restart_that(
    engine_sandbox, size
):
    worker = WorkerProcess(str(engine_sandbox.identity))
    plugin, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ring_fd = make_ring(44_100)
    os.pwrite(worker.page.fd, b"\0" * 8, 0)  # a page of before began with requests, mostly none
    if size:
        os.ftruncate(worker.page.fd, size)
    hello = {**parse_hello(HELLO), "name": "a", "number": 1}
    with plugin, theirs:
        socket.send_fds(worker.connection, [json.dumps(hello).encode()], [ring_fd, theirs.fileno()])
        plugin.settimeout(30)
        assert b"of another version: restart the engine" in plugin.recv(1 << 16)
        until(lambda: not worker.runs, "it ends")
    os.close(ring_fd)
    worker.close()
    assert worker.terminate() == 0


def test_a_refusal_is_remembered_for_a_while(monkeypatch):
    clock, history = Clock(), InstanceHistory()
    monkeypatch.setattr(history_module, "time", clock)
    history.add_refusal(("a", 1024), "why")
    assert history.refusal(("a", 1024)) == "why"
    assert history.refusal(("a", 2048)) == ""
    clock.now_s += REFUSED_S + 1
    assert history.refusal(("a", 1024)) == ""
    for latency in range(10 * MAX_REMEMBERED):
        history.add_refusal(("a", latency), "why")
    assert len(history._refusals) == MAX_REMEMBERED
