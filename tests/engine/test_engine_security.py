"""The engine's socket and files: what a peer sends never ends it, and what is not its is let be."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from plugin_bridge.engine.client import PluginClient
from plugin_bridge.engine.daemon import worker_process
from plugin_bridge.engine.daemon.daemon import EngineDaemon
from plugin_bridge.engine.daemon.instances import InstanceSurface
from plugin_bridge.engine.daemon.worker_process import WorkerProcess
from plugin_bridge.engine.shared.messages import MAX_TIMBRES, OWN_MESSAGE_BYTES, parse_hello
from plugin_bridge.engine.shared.ring import SharedRing, make_ring
from plugin_bridge.launch import own_process
from plugin_bridge.paths import engine_socket
from tests.support.engine_peer import HELLO, send
from tests.support.engine_sandbox import runs
from tests.support.soak import rounds
from tests.support.waiting import until

N_MESSAGES = rounds(100_000)
DEEP = [
    b"[" * 60_000,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b'{"hello": 1, "label": ' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"ask": ' + b"[" * 30_000,
]
ODD = [
    b"",
    b"\xff\xfe",
    b"null",
    b"1e999",
    b'{"hello": NaN}',
    b'{"hello": 1, "pid": 1e400}',
    b'{"hello": ' + b"9" * 10_000 + b"}",
    b'{"hello": true, "pid": true, "rate_hz": true, "block": true, "latency": true}',
    b'{"ask": {"status": []}}',
    b'{"ask": "status", "ask": "status"}',
    b'{"hello": 1, "uuid": ["\\ud800"], "model": {"a": "b"}}',
    json.dumps({**HELLO, "label": "\ud800\x1b[2J\n", "host": None, "format": {}}).encode(),
    json.dumps({**HELLO, "model": [1]}).encode(),
    json.dumps({**HELLO, "rate_hz": 44_100.5}).encode(),
    json.dumps({**HELLO, "block": -1}).encode(),
    b"x" * 65_536,
]


@pytest.fixture
def fds():
    """File descriptors that are no ring: a pipe, a folder, a file that only can be read."""
    pipe = os.pipe()
    made = [*pipe, os.open("/", os.O_RDONLY), os.open(__file__, os.O_RDONLY)]
    yield made
    for fd in made:
        os.close(fd)


def test_no_message_ends_the_engine(engine_sandbox, fds):
    pid = engine_sandbox.start(engine_sandbox.identity)
    for message in (*DEEP, *ODD):
        for handed in ((), (fds[0],), tuple(fds)):
            send(message, handed)
        assert runs(pid), message[:80]
    for fd in fds:
        assert send(json.dumps(HELLO).encode(), (fd,)).startswith("error")
    assert engine_sandbox.status()["pid"] == pid
    assert "Traceback" not in engine_sandbox.engine_log.read_text()


@pytest.mark.parametrize("message", DEEP)
def test_deep_json_is_refused_by_that_name(engine_sandbox, message):
    engine_sandbox.start(engine_sandbox.identity)
    assert "nested" in send(message) or "not JSON" in send(message)


def test_a_process_that_tells_something_while_its_ring_comes_again_is_no_fault(
    engine_sandbox, caplog
):
    def ready():
        return [key.fileobj for key, _ in daemon._selector.select(0.2)]

    def hello():
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        peer.connect(str(engine_socket()))
        socket.send_fds(peer, [json.dumps(HELLO).encode()], [ring_fd])
        daemon._accept()
        return peer

    daemon, ring_fd = (
        EngineDaemon(str(engine_sandbox.identity), InstanceSurface()),
        make_ring(44_100),
    )
    try:
        with hello():
            for peer in ready():
                daemon._handle(peer)
            (old,) = daemon._workers
            until(
                lambda: select.select([old], [], [], 0)[0], "its process tells that it has loaded"
            )
            with hello():
                both = ready()
                assert len(both) == 2, "the hello and the process come at once"
                for peer in sorted(both, key=lambda peer: peer is old):
                    daemon._handle(peer)
                assert old not in daemon._workers
                assert len(daemon._workers) == 1
    finally:
        daemon._close()
        os.close(ring_fd)
    assert "a fault of the engine" not in caplog.text


def test_a_text_of_another_project_never_fills_what_an_audio_process_reads():
    for sign in ("x", '"', "\x01", "é", "🎸", "\ud800"):
        checked = parse_hello({**HELLO, "timbres": sign * 60_000})
        assert MAX_TIMBRES < len(checked["timbres"].encode()) <= MAX_TIMBRES + 3
        assert len(json.dumps(checked)) < OWN_MESSAGE_BYTES / 2
    for timbres in ("", "é" * 8_192, "x" * 16_384):
        assert parse_hello({**HELLO, "timbres": timbres})["timbres"] == timbres


def test_an_audio_process_says_what_is_wrong_with_its_instance_and_ends(engine_sandbox):
    worker = WorkerProcess(str(engine_sandbox.identity))
    plugin, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ring_fd = make_ring(44_100)
    with plugin, theirs:
        socket.send_fds(worker.connection, [b'{"model": "'], [ring_fd, theirs.fileno()])
        plugin.settimeout(30)
        assert plugin.recv(1 << 16).startswith(b"error Unterminated string")
        until(lambda: not worker.runs, "it ends")
    os.close(ring_fd)
    worker.close()
    assert worker.terminate() == 0


ROBBED = """
import sys
from plugin_bridge.engine.shared.ring import SharedRing
from plugin_bridge.engine.worker.main import main

SharedRing.wake = lambda ring, bell: ring.__setitem__("engine_pid", 1)
main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5])
"""
"""An audio process whose ring another one takes just after it has taken it itself."""


def test_an_audio_process_whose_ring_is_taken_as_it_takes_it_ends_as_it_should(
    engine_sandbox, monkeypatch
):
    monkeypatch.setattr(
        worker_process,
        "own_process",
        lambda _, *words, **__: [sys.executable, "-c", ROBBED, *map(str, words)],
    )
    worker, ring_fd = WorkerProcess(str(engine_sandbox.identity)), make_ring(44_100)
    plugin, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    hello, ring = {**parse_hello(HELLO), "name": "a", "number": 1}, SharedRing(ring_fd)
    ring["written"], ring["latency"], ring["engine_pid"] = ring["start"] + 4096, 1024, 1
    with plugin, theirs:
        socket.send_fds(worker.connection, [json.dumps(hello).encode()], [ring_fd, theirs.fileno()])
        until(lambda: not worker.runs, "it ends")
    os.close(ring_fd)
    worker.close()
    assert worker.terminate() == 0


@pytest.mark.soak
def test_mutated_messages_do_no_harm_and_memory_stays_flat(engine_sandbox):
    pid = engine_sandbox.start(engine_sandbox.identity)
    rng = random.Random(7)
    whole = [json.dumps(HELLO).encode(), b'{"ask": "status"}', *DEEP, *ODD]

    def mutated() -> bytes:
        message = bytearray(rng.choice(whole))
        for _ in range(rng.randrange(1, 8)):
            at = rng.randrange(len(message) + 1)
            message[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        return bytes(message[:65_536])

    def resident_kb() -> int:
        return int(open(f"/proc/{pid}/statm").read().split()[1]) * 4

    for _ in range(500):
        send(mutated())
    before_kb = resident_kb()
    for _ in range(N_MESSAGES):
        send(mutated())
    assert engine_sandbox.status()["pid"] == pid
    assert resident_kb() < before_kb + 4_000
    assert "Traceback" not in engine_sandbox.engine_log.read_text()


def test_a_label_shows_no_control_characters(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    track = PluginClient(label="\x1b]0;title\x07Gui\x00tar\u202e\n\x9b2J")
    (instance,) = engine_sandbox.instances()
    for name in ("label", "name"):
        assert instance[name].isprintable()
        assert "Gui" in instance[name]
    track.close()


def test_an_ordinary_file_in_the_place_of_the_socket_is_let_be(
    engine_sandbox, tmp_path, monkeypatch
):
    for path in (tmp_path / "notes.txt", tmp_path / "link.sock", tmp_path / "folder"):
        if path.name == "folder":
            path.mkdir()
        elif path.name == "link.sock":
            path.symlink_to(tmp_path / "notes.txt")
        else:
            path.write_text("mine")
        monkeypatch.setenv("STEMSTEER_SOCKET", str(path))
        done = subprocess.run(
            own_process("plugin_bridge.cli", "serve"), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert "is no socket" in done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "link.sock").is_symlink()


def test_the_socket_of_another_engine_is_not_removed_at_the_end(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    path = engine_socket()
    path.unlink()
    path.write_text("mine")
    assert engine_sandbox.stop() == 0
    assert path.read_text() == "mine"


@pytest.mark.parametrize("umask", [0o000, 0o277, 0o777])
def test_our_files_have_their_modes_whatever_the_umask(engine_sandbox, umask):
    for folder in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        (engine_sandbox.folder / folder).chmod(0o700)
    before = os.umask(umask)
    try:
        engine_sandbox.start(engine_sandbox.identity)
    finally:
        os.umask(before)
    state = engine_sandbox.folder / "XDG_STATE_HOME" / "stemsteer"
    modes = {
        path.name: stat.S_IMODE(path.lstat().st_mode)
        for path in (engine_sandbox.runtime, state, *engine_sandbox.runtime.iterdir(),
                     *state.iterdir())
    }  # fmt: skip
    assert modes.pop("stemsteer") == 0o700
    assert modes == {"engine.sock": 0o600, "engine.lock": 0o600, "engine.log": 0o600}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_an_audio_process_ends_with_its_daemon_whatever_it_is_doing(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    track = PluginClient()
    until(engine_sandbox.workers, "the track is served")
    (worker,) = engine_sandbox.workers()
    os.kill(worker, signal.SIGSTOP)  # it cannot see that its daemon has gone
    engine_sandbox.stop(signal.SIGKILL)
    try:
        until(lambda: not runs(worker), "it has ended")
    finally:
        if runs(worker):
            os.kill(worker, signal.SIGKILL)
    track.close()


def test_processes_that_hang_do_not_hold_up_the_end(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    tracks = [PluginClient(timeout_s=60.0) for _ in range(4)]
    until(lambda: len(engine_sandbox.workers()) == 4, "all are served")
    workers = engine_sandbox.workers()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    began = time.monotonic()
    assert engine_sandbox.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 3.8  # one second for all, not for each
    assert not any(runs(worker) for worker in workers)
    for track in tracks:
        track.close()


def test_an_ending_process_does_not_hold_up_the_others(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    for _ in range(5):  # a busy machine may hold it up now and then
        track = PluginClient()
        until(engine_sandbox.workers, "the track is served")
        worker = engine_sandbox.workers()[0]
        os.kill(worker, signal.SIGSTOP)
        longest_s, until_s = 0.0, time.monotonic() + 2.0
        track._socket.close()
        track._socket = track._say_hello(60.0)  # its first process should end, and cannot
        while time.monotonic() < until_s:
            began = time.monotonic()
            assert engine_sandbox.status()
            longest_s = max(longest_s, time.monotonic() - began)
        track.close()
        until(lambda: not engine_sandbox.instances(), "the track is gone")
        until(lambda worker=worker: not runs(worker), "its first process is killed")
        if longest_s < 0.7:
            break
    assert longest_s < 0.7


def test_code_in_the_current_folder_is_not_run_by_audio_processes(engine_sandbox, tmp_path):
    for name in ("json", "numpy", "plugin_bridge", "runpy", "site"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'harm')!r}, 'w').close()\n")
    command = own_process("plugin_bridge.cli", "serve", "--model", engine_sandbox.identity)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as engine:
        try:
            until(lambda: engine_sandbox.status() is not None, "the engine answers")
            PluginClient().close()
        finally:
            engine.terminate()
    assert not (tmp_path / "harm").exists()


def test_a_relative_model_serves_plugins_too(engine_sandbox, tmp_path, monkeypatch):
    monkeypatch.chdir(engine_sandbox.folder)
    command = own_process("plugin_bridge.cli", "serve", "--model", "./identity.onnx")
    with subprocess.Popen(command, cwd=engine_sandbox.folder) as engine:
        try:
            until(lambda: engine_sandbox.status() is not None, "the engine answers")
            PluginClient(offline=True).close()
        finally:
            engine.terminate()
    (engine_sandbox.folder / "own").mkdir()
    (engine_sandbox.identity).rename(engine_sandbox.folder / "own" / "mine.onnx")
    monkeypatch.setenv("STEMSTEER_MODELS", "own")
    command = own_process("plugin_bridge.cli", "serve", "--model", "mine")
    with subprocess.Popen(command, cwd=engine_sandbox.folder) as engine:
        try:
            until(lambda: engine_sandbox.status() is not None, "the engine answers")
            PluginClient(offline=True).close()
        finally:
            engine.terminate()
