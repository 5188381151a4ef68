"""OSC inside `stemsteer serve`: real packets, a real engine, tracks on its ring."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

from plugin_bridge.engine.client import PluginClient
from plugin_bridge.osc.packets import decode, encode
from plugin_bridge.paths import engine_socket
from tests.support.commands import stemsteer
from tests.support.engine_sandbox import ROOT
from tests.support.serve_process import BLOCK, HOP, ServeProcess, play, say_hello_again
from tests.support.waiting import until


def test_a_message_moves_the_track_that_it_names_and_no_other(engine_sandbox):
    server = ServeProcess(engine_sandbox)
    tracks = [PluginClient(label="Guitar L/R", offline=True), PluginClient(offline=True)]
    for track in tracks:
        play(track, 4)
    assert server.ask("/stemsteer/list") == [
        ("/stemsteer/list", (1, "Guitar_L_R")),
        ("/stemsteer/list", (2, "track_2")),
    ]
    server.client.send_message("/stemsteer/Guitar_L_R/gain", -20.0)
    server.client.send_message("/stemsteer/2/mode", "remove")
    until(lambda: server.ask("/stemsteer/get", "/stemsteer/2/mode")[0][1] == (1,), "it is set")
    first, second = (play(track, 8) for track in tracks)
    np.testing.assert_allclose(first[-256:], 0.1, atol=1e-5)
    np.testing.assert_allclose(second[-256:], 0.0, atol=1e-5)
    assert np.abs(np.diff(first)).max() < 0.01  # spread over 20 ms, no click
    names = {i["name"]: i["number"] for i in engine_sandbox.instances()}
    assert names == {"Guitar L/R": 1, "track_2": 2}


def test_what_moved_last_has_the_control(engine_sandbox):
    server = ServeProcess(engine_sandbox)
    track = PluginClient(label="a", offline=True)
    np.testing.assert_allclose(play(track, 8, gain=-6.0)[-256:], 10 ** (-6 / 20), atol=1e-5)
    server.client.send_message("/stemsteer/a/gain", -20.0)
    until(lambda: server.ask("/stemsteer/get", "/stemsteer/a/gain")[0][1] == (-20,), "set")
    np.testing.assert_allclose(play(track, 8, gain=-6.0)[-256:], 0.1, atol=1e-5)
    # another parameter of the plugin moves: the override of this one stays
    np.testing.assert_allclose(play(track, 8, gain=-6.0, azimuth=9)[-256:], 0.1, atol=1e-5)
    np.testing.assert_allclose(
        play(track, 8, gain=-12.0, azimuth=9)[-256:], 10 ** (-12 / 20), atol=1e-5
    )
    until(lambda: server.ask("/stemsteer/get", "/stemsteer/a/gain")[0][1] == (-12,), "told")


@pytest.mark.parametrize("crashes", [True, False])
def test_an_override_outlives_the_audio_process(engine_sandbox, crashes):
    server = ServeProcess(engine_sandbox)
    tracks = [PluginClient(label="a", offline=True), PluginClient(offline=True)]
    for track in tracks:
        play(track, 4, gain=-6.0, azimuth=9)
    server.send("/stemsteer/a/gain", -20.0)
    server.send("/stemsteer/2/gain", -26.0)
    server.send("/stemsteer/2/azimuth", -30.0)
    for track in tracks:
        play(track, 4, gain=-6.0, azimuth=9)
    before = [(i["uuid"], i["name"], i["number"]) for i in engine_sandbox.instances()]
    if crashes:
        for pid in engine_sandbox.workers():
            os.kill(pid, signal.SIGKILL)
    # meanwhile the plugin's own parameter moves on one of them
    tracks[1].push(np.ones((2, BLOCK), np.float32), gain=-12.0, azimuth=9)
    for track in tracks:
        say_hello_again(track, latency=2048)
    until(lambda: len(engine_sandbox.workers()) == 2, "both are served again")
    assert [(i["uuid"], i["name"], i["number"]) for i in engine_sandbox.instances()] == before
    first = play(tracks[0], 8, gain=-6.0, azimuth=9)
    second = play(tracks[1], 8, gain=-12.0, azimuth=9)
    np.testing.assert_allclose(first[-256:], 0.1, atol=1e-5)
    np.testing.assert_allclose(second[-256:], 10 ** (-12 / 20), atol=1e-5)
    for address, value in (("a/gain", -20), ("2/azimuth", -30), ("2/gain", -12)):
        assert server.ask("/stemsteer/get", f"/stemsteer/{address}")[0][1] == (value,)
    np.testing.assert_allclose(
        play(tracks[0], 8, gain=-3.0, azimuth=9)[-256:], 10 ** (-3 / 20), atol=1e-5
    )


OTHER_HOST = """
import socket, sys, time

connected = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connected.connect(sys.argv[2])
socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b"."], [connected.fileno()])
time.sleep(60)
"""
"""A process that connects to the engine and hands the connection over."""


def test_another_host_begins_with_what_its_project_has(engine_sandbox):
    server = ServeProcess(engine_sandbox)
    track = PluginClient(label="a", offline=True)
    play(track, 4)
    server.send("/stemsteer/a/gain", -20.0)
    np.testing.assert_allclose(play(track, 8)[-256:], 0.1, atol=1e-5)
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", OTHER_HOST, str(theirs.fileno()), str(engine_socket())]
    with ours, theirs, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as other:
        _, (connected,), _, _ = socket.recv_fds(ours, 1, 1)
        track._socket.close()
        track._socket = socket.socket(fileno=connected)
        socket.send_fds(track._socket, [json.dumps(track.hello).encode()], [track.fd])
        assert track._socket.recv(512).startswith(b"ok ")
        track._socket.setblocking(False)
        np.testing.assert_allclose(play(track, 8)[-256:], 1.0, atol=1e-6)
        other.kill()


def test_bypass_and_silence_by_osc(engine_sandbox):
    server = ServeProcess(engine_sandbox)
    track = PluginClient(label="a", offline=True)
    play(track, 4, gain=-12.0)
    server.client.send_message("/stemsteer/a/bypass", 1)
    until(lambda: server.ask("/stemsteer/get", "/stemsteer/a/bypass")[0][1] == (1,), "set")
    np.testing.assert_array_equal(play(track, 8, gain=-12.0)[-256:], 1.0)
    server.client.send_message("/stemsteer/a/bypass", 0)
    server.client.send_message("/stemsteer/a/gain", -60.0)
    until(lambda: server.ask("/stemsteer/get", "/stemsteer/a/gain")[0][1] == (-60,), "set")
    np.testing.assert_array_equal(play(track, 8, gain=-12.0)[-256:], 0.0)


def test_controls_of_the_host_are_not_moved_and_bad_packets_hurt_nobody(engine_sandbox):
    server = ServeProcess(engine_sandbox)
    track = PluginClient(label="a", offline=True)
    for packet in (b"", b"/x", b"\xff" * 4000, encode("/stemsteer/a/latency_mode", (2.0,))):
        server.client._sock.sendto(packet, ("127.0.0.1", server.port))
    server.client.send_message("/stemsteer/nobody/gain", 0.0)
    server.client.send_message("/strip/plugin/parameter", [1, 1, 10, 2.0])  # Ardour's latency mode
    assert server.ask("/stemsteer/get", "/stemsteer/a/latency_mode") == []  # and a ping is answered
    np.testing.assert_allclose(play(track, 4)[-256:], 1.0, atol=1e-6)


WHOLE = ("width", "latency", "load", "dropouts", "level_target", "level_residual", "directions")


def test_values_levels_latency_load_and_dropouts_are_fed_back(engine_sandbox):
    server = ServeProcess(engine_sandbox)
    track = PluginClient(label="a", offline=True)
    left = np.zeros((2, BLOCK), np.float32)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.settimeout(30)
        ear.bind(("127.0.0.1", 0))
        ear.sendto(encode("/stemsteer/subscribe", (60.0,)), ("127.0.0.1", server.port))
        heard = {}
        for k in range(200):
            left[0] = 0.5 * np.sin(0.1 * (np.arange(BLOCK) + k * BLOCK))
            track.push(left, width=33)
            assert track.wait(track.position - HOP)
        deadline = time.monotonic() + 60

        def is_told():
            (level_db,) = heard.get("/stemsteer/a/level_target", (0.0,))
            is_whole = {f"/stemsteer/a/{name}" for name in WHOLE} <= heard.keys()
            return is_whole and heard["/stemsteer/a/width"] == (33,) and abs(level_db + 12.04) < 0.1

        while not is_told():
            heard |= {m.address: m.arguments for m in decode(ear.recv(65_536))}
            assert time.monotonic() < deadline, heard
        ear.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < deadline:
                heard |= {m.address: m.arguments for m in decode(ear.recv(65_536))}
    meters = {name: heard[f"/stemsteer/a/{name}"] for name in ("latency", "load", "dropouts")}
    assert meters["latency"] == (1024,)
    assert meters["dropouts"] == (0,)
    assert meters["load"][0] > 0
    assert heard["/stemsteer/a/level_target"][0] == pytest.approx(-12.04, abs=0.1)  # of two
    assert heard["/stemsteer/a/level_residual"][0] < -90
    shares = heard["/stemsteer/a/directions"]
    assert len(shares) == 45
    assert shares[0] > 0.99  # hard left
    with urllib.request.urlopen(
        f"http://127.0.0.1:{server.port}/stemsteer/a/width?VALUE"
    ) as answer:
        assert json.load(answer) == {"VALUE": [33]}


def test_tracks_come_and_go_while_osc_is_served(engine_sandbox):
    server = ServeProcess(engine_sandbox)
    tracks = [PluginClient(label="same"), PluginClient(label="same"), PluginClient()]
    assert [name for _, (_, name) in server.ask("/stemsteer/list")] == ["same", "same_2", "track_3"]
    tracks[0].close()
    until(lambda: len(engine_sandbox.instances()) == 2, "it is gone")
    assert [name for _, (_, name) in server.ask("/stemsteer/list")] == ["same_2", "track_3"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--automation", "no.csv"], "there is no such file"),
        (["--osc", "--bind", "0.0.0.0"], "name who may send"),
        (["--osc", "--osc-port", "PORT"], "choose another with"),
    ],
)
def test_what_is_wrong_is_said_at_the_start(engine_sandbox, options, words):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        options = [o.replace("PORT", str(taken.getsockname()[1])) for o in options]
        command = [sys.executable, "-m", "plugin_bridge.cli", "serve", *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert words in done.stderr


@pytest.mark.parametrize(
    ("options", "option"),
    [
        (["--osc-port", "9999"], "--osc-port"),
        (["--bind", "0.0.0.0", "--allow", "10.0.0.0/8"], "--bind"),
        (["--allow", "10.0.0.0/8", "--strict"], "--allow"),
        (["--no-osc", "--mirrored"], "--mirrored"),
    ],
)
def test_options_of_osc_without_osc_are_refused(engine_sandbox, monkeypatch, options, option):
    monkeypatch.setattr("plugin_bridge.engine.daemon.daemon.serve", lambda *_: None)
    done = stemsteer("serve", *options)
    assert done.exit_code == 2
    words = f"'{option}': it is for OSC: give --osc, too"
    assert words in " ".join(done.stderr.replace("│", " ").split())
