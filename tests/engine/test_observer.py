"""The engine seen from another process: its tracks come and go, are moved, and are heard."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time

import numpy as np
import pytest

from plugin_bridge.control.controls import INSTRUMENTS
from plugin_bridge.control.servers import attend_until
from plugin_bridge.control.surface import osc_name
from plugin_bridge.control.timbre_requests import Request
from plugin_bridge.engine.client import PluginClient
from plugin_bridge.engine.daemon.instances import InstanceSurface
from plugin_bridge.engine.daemon.observers import MAX_ANSWER, MAX_OBSERVERS, Observers
from plugin_bridge.engine.observer import EngineObserver, _receive
from plugin_bridge.engine.shared.control_page import ControlPage
from plugin_bridge.engine.shared.messages import MAX_INSTANCES
from plugin_bridge.paths import engine_socket
from tests.support.serve_process import play, say_hello_again
from tests.support.waiting import until


@contextlib.contextmanager
def observed():
    with contextlib.closing(EngineObserver()) as engine:
        yield engine


def attend(engine, condition, what="it"):
    """Attend to an observer until a condition holds."""
    deadline_s = time.monotonic() + 60

    def ended():
        assert time.monotonic() < deadline_s, what
        return condition()

    attend_until(ended, [engine], print)


def test_tracks_are_seen_as_they_come_and_go_and_moved(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    with observed() as engine:
        attend(engine, lambda: engine.connected)
        assert engine.instances == ()
        track = PluginClient(label="guitar", offline=True)
        other = PluginClient(offline=True)
        attend(engine, lambda: len(engine.instances) == 2 and engine.facts("guitar").get("tier"))
        assert engine.facts("guitar")["tier"] == "live"
        play(track, 8, gain=-3.0)
        attend(engine, lambda: engine.value("guitar", "gain") == -3, "the plugin's own value")
        engine.set_value("guitar", "gain", -20.0)
        assert engine.value("guitar", "gain") == -20  # at once, although nobody has taken it yet
        attend(engine, lambda: engine.due_in_s() > 1e9, "it is sent")
        until(lambda: abs(play(track, 8, gain=-3.0)[-1] - 0.1) < 1e-5, "it has arrived")
        np.testing.assert_allclose(play(track, 8, gain=-3.0)[-256:], 0.1, atol=1e-5)
        assert engine.value("track_2", "gain") == 0
        worker = engine.facts("guitar")["worker"]
        track.rename(label="lead guitar")
        attend(engine, lambda: engine.instances == ("lead guitar", "track_2"), "it is renamed")
        assert engine.facts("lead guitar")["worker"] == worker != engine.facts("track_2")["worker"]
        track.rename(label="guitar")
        attend(engine, lambda: engine.instances == ("guitar", "track_2"), "it is renamed back")
        other.close()
        attend(engine, lambda: engine.instances == ("guitar",))


def test_controls_are_told_as_they_are_also_before_a_process_has_had_sound(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    track = PluginClient(label="guitar", offline=True)
    with observed() as engine:

        def told():
            return [round(engine.value("guitar", name), 3) for name in ("azimuth", "width", "mix")]

        def is_served_by_another():
            return engine.facts("guitar").get("worker", before) != before

        before = ""
        attend(engine, is_served_by_another, "the track is served")
        assert told() == [0, 20, 1]
        play(track, 8, azimuth=-30, width=60, mix=0.7)
        attend(engine, lambda: told() == [-30, 60, 0.7], "the plugin's own values")
        for _ in range(2):  # the second time, the process before had no sound either
            before = engine.facts("guitar")["worker"]
            os.kill(int(before), signal.SIGKILL)
            attend(engine, lambda: not engine.instances, "it has crashed")
            say_hello_again(track)
            attend(engine, is_served_by_another, "the track is served again")
            assert told() == [-30, 60, 0.7]
    track.close()


def test_what_is_heard_is_mixture_target_and_residual_of_one_moment(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    track = PluginClient(label="guitar", offline=True)
    with observed() as engine:
        attend(engine, lambda: engine.instances)
        assert engine.sound("guitar") is None
        noise = np.random.default_rng(1).standard_normal((2, 512)).astype(np.float32)
        for _ in range(20):
            track.push(noise, mix=0.5, gain=-12.0)
            assert track.wait(track.position - 256)
        attend(engine, lambda: engine.sound("guitar") is not None)
        sound = engine.sound("guitar")
        np.testing.assert_allclose(sound.target, sound.mixture, atol=1e-5)  # before mix and gain
        np.testing.assert_allclose(sound.target + sound.residual, sound.mixture, atol=1e-6)
        assert sound.mixture.shape == (2, 2048)
        assert np.abs(sound.mixture).max() > 1
        assert track.position - 2048 < sound.end <= track.position


def test_an_observer_outlives_the_engine_and_finds_the_next_one(engine_sandbox):
    with observed() as engine:
        assert not engine.connected
        pid = engine_sandbox.start(engine_sandbox.identity)
        attend(engine, lambda: engine.connected)
        track = PluginClient(label="guitar", offline=True)
        attend(engine, lambda: engine.instances)
        os.kill(pid, signal.SIGKILL)
        attend(engine, lambda: not engine.connected)
        assert engine.instances == ()
        assert engine.meters("guitar") == {}
        assert engine.sound("guitar") is None
        track.close()
        engine_sandbox.start(engine_sandbox.identity)
        attend(engine, lambda: engine.connected)


def test_an_observer_that_is_one_too_many_is_told_so_and_comes_in_when_another_goes(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    told = []
    with contextlib.ExitStack() as others:
        for _ in range(MAX_OBSERVERS):
            other = others.enter_context(observed())
            attend(other, lambda: other.connected)  # noqa: B023
        with contextlib.closing(EngineObserver(told.append)) as engine:
            attend(engine, lambda: told, "it is told")
            until_s = time.monotonic() + 1.5
            attend(engine, lambda: engine.connected or time.monotonic() > until_s)
            assert not engine.connected
            assert told == ["the engine refuses: 8 panels are connected already"], "once"
            others.close()
            attend(engine, lambda: engine.connected, "there is room now")


def test_an_observer_cannot_write_into_the_memory_of_a_track(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    track = PluginClient(label="guitar", offline=True)  # it lives as long as it is held
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(str(engine_socket()))
        connection.send(b'{"ask": "observe"}')
        message, fds = _receive(connection)
        assert [entry["name"] for entry in json.loads(message)["instances"]] == ["guitar"]
        assert len(fds) == 2
        for fd in fds:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.write(fd, b"x")
            os.close(fd)
    track.close()


@pytest.mark.parametrize(
    "message", [b"x", b"[]", b'{"set": [1]}', b'{"set": [[[], [], 1]]}', b'{"set": [["guitar"]]}']
)
def test_an_observer_that_sends_nonsense_is_dropped_and_the_engine_goes_on(engine_sandbox, message):
    engine_sandbox.start(engine_sandbox.identity)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(30)
        connection.connect(str(engine_socket()))
        connection.send(b'{"ask": "observe"}')
        assert json.loads(connection.recv(65_536)) == {"instances": []}
        connection.send(b'{"set": [["nobody", "gain", 1], ["guitar", "nothing", 1]]}')  # is let be
        connection.send(message)
        assert connection.recv(65_536) == b""
    assert engine_sandbox.instances() == []


def test_what_an_observer_asks_of_a_timbre_is_done_where_the_engine_is(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    track = PluginClient(label="guitar", offline=True)
    with observed() as engine:
        attend(engine, lambda: engine.instances)
        assert engine.timbres("guitar").get("encoder", "") == ""
        engine.requests.put(Request("guitar", "learn", (1.0,)))
        refused = "guitar: learn: its model takes no timbre"
        attend(engine, lambda: refused in engine_sandbox.engine_log.read_text(), "it is refused")
        attend(
            engine, lambda: "takes no timbre" in engine.requests.answers.get("guitar", ""), "told"
        )
        track.close()
        attend(engine, lambda: not engine.instances)
        assert engine.requests.answers == {}
        track = PluginClient(label="guitar", offline=True)
        attend(engine, lambda: engine.instances)
        assert engine.requests.answers == {}  # it is another one
    track.close()


class Track:
    """What observers are told of an audio process."""

    pid = 1
    facts = {"model": "m" * 64, "instruments": ",".join(INSTRUMENTS)}  # noqa: RUF012
    timbres = {"encoder": "e" * 64, "like": "ы" * 64, "unlike": "ы" * 64}  # noqa: RUF012

    def read_only_fds(self):
        return [os.open("/dev/null", os.O_RDONLY) for _ in range(2)]


def test_as_many_tracks_as_there_may_be_are_told_whole_in_any_script():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    surface = InstanceSurface()
    names = [f"{number}" + "ы" * 60 for number in range(MAX_INSTANCES)]
    surface._workers = {name: Track() for name in names}
    surface.requests.answers.update(dict.fromkeys(names, "🎸\ud800" * MAX_ANSWER))
    with ours, theirs:
        Observers(surface).add(theirs)
        message, fds = _receive(ours)
        for fd in fds:
            os.close(fd)
        entries = json.loads(message)["instances"]
    assert [entry["name"] for entry in entries] == names
    assert {entry["answer"] for entry in entries} == {"🎸?" * (MAX_ANSWER // 2)}
    assert len(fds) == 2 * MAX_INSTANCES


def test_no_track_takes_the_name_of_another_one():
    surface, told = InstanceSurface(), []
    for uuid, label in enumerate(["x", "x_3", "x", "x", "x 4", "", "track_6"]):
        track = Track()
        track.hello = {"uuid": str(uuid), "label": label, "track": ""}
        told.append(surface.add(track))
    names = ["x", "x_3", "x_4", "x_5", "x 4_5", "track_6", "track_6_7"]
    assert told == [(name, number) for number, name in enumerate(names, 1)]
    assert list(surface.instances) == names
    assert len(set(map(osc_name, names))) == len(names)


def test_an_observer_names_no_files():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    surface = InstanceSurface()
    surface._workers = {"guitar": None}
    observers = Observers(surface)
    observers._peers[theirs] = b""
    theirs.setblocking(False)
    with ours, theirs:
        ours.send(b'{"ask": ["guitar", "like", "/etc/passwd"]}')
        ours.send(b'{"ask": ["nobody", "like", "solo"]}')
        assert observers.read(theirs)
        (request,) = surface.requests.take_all()
        assert request == Request("guitar", "like", ("/etc/passwd",), names_files=False)
        ours.send(b'{"ask": ["guitar", "learn", 1e9]}')
        assert not observers.read(theirs)


def test_the_newest_stems_are_told_once_there_are_enough_since_a_jump():
    page = ControlPage()
    with contextlib.closing(page):
        seen = ControlPage(page.fd, writable=False)
        numbers = np.arange(40_000, dtype=np.float32)
        for end in range(500, 40_000, 500):
            page.publish_stems(np.broadcast_to(numbers[end - 500 : end], (2, 2, 500)), end)
            newest = seen.newest_stems(2048)
            if end < 2048:
                assert newest is None
                continue
            stems, told_end = newest
            assert told_end == end
            np.testing.assert_array_equal(stems[1, 0], numbers[end - 2048 : end])
        page.publish_stems(np.zeros((2, 2, 500), np.float32), 90_000)  # the stream has jumped
        assert seen.newest_stems(2048) is None
