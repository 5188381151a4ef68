"""The engine with real audio processes: what it serves, refuses, survives and leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from plugin_bridge.engine.client import PluginClient
from plugin_bridge.engine.shared.ring import make_ring
from plugin_bridge.engine.worker.processor import choose_tier
from plugin_bridge.paths import engine_socket
from realtime import Separator, load_model
from realtime.errors import StemsteerError
from tests.support.engine_peer import HELLO, send
from tests.support.engine_sandbox import ROOT, compiled, noise
from tests.support.serve_process import say_hello_again
from tests.support.tracks import HOP, through
from tests.support.waiting import until


def pass_through(
    track: PluginClient, x: np.ndarray, block: int = 512, **values: float
) -> np.ndarray:
    """Feed `x` block by block, waiting for the engine; what comes back, aligned with `x`."""
    return through(track, x, block, lambda _: values)


def test_a_track_gets_its_sound_back_exactly_and_its_figures_are_told(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    track = PluginClient(label="Guitar L/R", offline=True)
    x = noise(44_100)
    y = pass_through(track, x)
    np.testing.assert_allclose(y, x[:, : y.shape[1]], atol=2e-7)
    told = len(x[0]) // HOP  # counted just after their samples are there
    until(lambda: engine_sandbox.instances()[0]["hops"] == told, "all hops are told")
    instance = engine_sandbox.instances()[0]
    assert instance["label"] == "Guitar L/R"
    assert (instance["rate_hz"], instance["latency"], instance["tier"]) == (44_100, 1024, "live")
    assert instance["load"] > 0
    track.close()
    until(lambda: not engine_sandbox.instances(), "the instance is gone")


def test_a_track_is_called_by_its_label_else_as_in_the_host_else_by_a_number(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    clients = [
        PluginClient(track="Bass"),
        PluginClient(label="mine", track="Bass"),
        PluginClient(track="Bass"),
        PluginClient(),
    ]
    names = [instance["name"] for instance in engine_sandbox.instances()]
    assert names == ["Bass", "mine", "Bass_3", "track_4"]
    for client in clients:
        client.close()


def test_a_copied_track_is_another_one_also_in_a_host_that_tells_a_process_id_of_a_sandbox(
    engine_sandbox,
):
    engine_sandbox.start(engine_sandbox.identity)
    tracks = [PluginClient(), PluginClient()]
    for track in tracks:
        track.hello |= {"pid": 1 << 22, "uuid": "0" * 32}  # no process has that id here
        say_hello_again(track)
    assert tracks[0].hello["uuid"] == "0" * 32 != tracks[1].hello["uuid"]
    assert {instance["pid"] for instance in engine_sandbox.instances()} == {os.getpid()}
    for track in tracks:
        track.close()


def test_a_track_that_no_engine_serves_leaves_no_descriptor_open(engine_sandbox):
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(StemsteerError, match="no engine answers"):
        PluginClient()
    engine_sandbox.start()
    with pytest.raises(StemsteerError, match="the engine refuses"):
        PluginClient(model="nosuchmodel")
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.host
@pytest.mark.realtime
def test_the_way_of_a_block_to_its_sound_and_back_is_short(engine_sandbox):
    engine_sandbox.start("panorama")
    track = PluginClient(block=HOP)
    track.push(noise(HOP))
    until(engine_sandbox.workers, "the track is served")
    command = [compiled("ring_trip"), str(track.fd), "600"]
    done = subprocess.run(command, pass_fds=[track.fd], capture_output=True, text=True, check=True)
    median_us, p99_us, mean_us, separator_us = map(float, done.stdout.split())
    print(
        f"trip {median_us:.0f} us, p99 {p99_us:.0f}, mean {mean_us:.0f}, of which the separator "
        f"{separator_us:.0f} and all else {mean_us - separator_us:.0f}"
    )
    assert median_us < 1e6 * HOP / 44_100
    assert 0 < separator_us < mean_us
    track.close()


def test_parameters_move_in_straight_lines_from_block_to_block(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    track = PluginClient(offline=True)
    ones = np.ones((2, 512), np.float32)
    start = track.position
    for mix_gain_db in (0.0, 0.0, -20.0, -20.0, -20.0):
        track.push(ones, gain=mix_gain_db)
    assert track.wait(start + 4 * 512)
    y = track.read(start, 4 * 512)[0]
    np.testing.assert_allclose(y[: 2 * 512 + 1], 1.0, atol=1e-6)
    np.testing.assert_allclose(y[3 * 512 :], 0.1, atol=1e-6)
    gain_db = 20 * np.log10(y[2 * 512 : 3 * 512])
    np.testing.assert_allclose(gain_db, -20 * np.arange(512) / 512, atol=0.02)
    assert np.abs(np.diff(y)).max() < 0.005  # no zipper


def test_the_sound_is_that_of_a_separator_with_the_same_automation(engine_sandbox):
    engine_sandbox.start()
    x = noise(512 * 120)
    track = PluginClient(offline=True)
    start, azimuths = track.position, np.linspace(-40, 40, 120)
    sounds = []
    for k, azimuth in enumerate(azimuths):
        track.push(x[:, 512 * k : 512 * (k + 1)], azimuth=azimuth, width=15)
        if k:
            assert track.wait(start + 512 * k)
            sounds.append(track.read(start + 512 * (k - 1), 512))
    y = np.concatenate(sounds, axis=1)

    def conditions(first, frames):
        at = [separator.position_of(k) / 512 for k in range(first, first + frames)]
        moving = np.interp(at, np.arange(121), [azimuths[0], *azimuths])
        direction = np.stack([moving, np.full(frames, 15.0)], axis=1)
        return {"direction": direction[:, None].astype(np.float32)}

    separator = Separator(load_model("panorama"), 44_100, block_multiple=512, conditions=conditions)
    whole = np.concatenate([separator.process(b) for b in np.split(x, 120, axis=1)], axis=2)
    expected = whole[0, :, separator.latency :]
    frames = min(y.shape[1], expected.shape[1])
    np.testing.assert_allclose(y[:, :frames], expected[:, :frames], atol=1e-5)


def test_a_track_that_greets_anew_is_heard_until_the_next_process_has_caught_up(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    track, x = PluginClient(), noise(512)
    first = track.ring["engine_pid"]
    hello = json.dumps(track.hello).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as abandoned:
        abandoned.connect(str(engine_socket()))
        socket.send_fds(abandoned, [hello], [track.fd])
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.connect(str(engine_socket()))
        socket.send_fds(peer, [hello], [track.fd])
        until_s = time.monotonic() + 30
        while track.ring["engine_pid"] == first:
            assert time.monotonic() < until_s, "no other process takes the ring"
            track.push(x)
            time.sleep(x.shape[1] / 44_100)
            assert track.wait(track.position - HOP), "nobody is heard meanwhile"
        assert track.ring["done"] >= track.position - 2 * HOP, "it has not caught up"
        assert peer.recv(512).decode() == f"ok {track.hello['uuid']}"
        until(lambda: not track.attached, "the first process ends")
        (serving,) = engine_sandbox.instances()
        assert serving["worker"] == track.ring["engine_pid"]
        assert serving["uuid"] == track.hello["uuid"]
    track.close()


def test_each_instance_may_have_a_model_of_its_own(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    tracks = [PluginClient(offline=True), PluginClient(model="panorama", offline=True)]
    assert len(engine_sandbox.workers()) == 2
    x = noise(8192)
    exact, separated = (pass_through(track, x, azimuth=-45, width=5) for track in tracks)
    np.testing.assert_allclose(exact, x[:, : exact.shape[1]], atol=2e-7)
    assert np.abs(separated - exact).max() > 0.01
    models = sorted(i["model"].split("/")[-1] for i in engine_sandbox.instances())
    assert models == ["identity.onnx", "panorama"]


def test_the_socket_is_the_users_own_and_nothing_listens_on_the_network(engine_sandbox):
    pid = engine_sandbox.start()
    assert stat.S_IMODE(engine_sandbox.runtime.stat().st_mode) == 0o700
    assert stat.S_IMODE(engine_socket().stat().st_mode) == 0o600
    fds = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    inodes = {f.split("[")[1][:-1] for f in fds if f.startswith("socket:")}
    for family in ("tcp", "tcp6", "udp", "udp6"):
        with open(f"/proc/{pid}/net/{family}") as lines:
            assert not inodes & {line.split()[9] for line in list(lines)[1:]}


def test_an_engine_does_not_use_a_folder_that_others_can_enter(engine_sandbox):
    engine_sandbox.runtime.mkdir(mode=0o755)
    done = subprocess.run(
        [sys.executable, "-m", "plugin_bridge.cli", "serve"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "chmod 700" in done.stderr


def test_a_second_engine_says_that_there_is_one_and_leaves(engine_sandbox):
    engine_sandbox.start()
    done = subprocess.run(
        [sys.executable, "-m", "plugin_bridge.cli", "serve"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "listening" in done.stderr
    assert engine_sandbox.status()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"\xff\x00garbage", "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b"{}", "one ring"),
        (json.dumps(HELLO).encode(), "one ring"),
    ],
)
def test_a_peer_that_sends_nonsense_is_told_so_and_does_no_harm(engine_sandbox, message, words):
    engine_sandbox.start()
    assert words in send(message, [])
    assert engine_sandbox.status()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hello": 2}, "version 2"),
        ({"rate_hz": 10**9}, "rate_hz is 1000000000"),
        ({"latency": "many"}, "latency is 'many'"),
        ({"model": "../../etc/passwd"}, "no model's name"),
        ({"model": "nosuchmodel"}, "nosuchmodel"),
        ({"rate_hz": 20_000}, "20000 Hz, expected 32000 to 192000: set the DAW or the sound card"),
    ],
)
def test_a_hello_with_a_wrong_field_is_refused_with_the_reason(engine_sandbox, change, words):
    engine_sandbox.start()
    ring = make_ring({**HELLO, **change}["rate_hz"] if "rate_hz" in change else 44_100)
    assert words in send(json.dumps({**HELLO, **change}).encode(), [ring])
    os.close(ring)
    assert engine_sandbox.status()


def test_a_file_that_is_no_ring_is_refused(engine_sandbox, tmp_path):
    engine_sandbox.start()
    (tmp_path / "file").write_bytes(b"x" * 4096)
    with open(tmp_path / "file", "rb") as file:
        answer = send(json.dumps(HELLO).encode(), [file.fileno()])
    assert answer.startswith("error")
    assert engine_sandbox.status()


def test_peers_that_say_nothing_are_dropped(engine_sandbox):
    engine_sandbox.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.settimeout(30)
        peer.connect(str(engine_socket()))
        assert engine_sandbox.status()  # the engine is not held up by it
        assert peer.recv(10) == b""


def test_the_crash_of_one_audio_process_does_not_touch_another(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    first, second = PluginClient(offline=True), PluginClient(offline=True)
    x = noise(8192)
    pass_through(first, x)
    before = engine_sandbox.workers()
    os.kill(before[0], signal.SIGKILL)
    until(lambda: not first.attached, "the first track sees that its engine has gone")
    np.testing.assert_allclose(pass_through(second, x), x[:, : 8192 - HOP], atol=2e-7)
    again = PluginClient(offline=True)
    np.testing.assert_allclose(pass_through(again, x), x[:, : 8192 - HOP], atol=2e-7)


def test_the_engine_stops_clean_and_leaves_no_process_and_no_socket(engine_sandbox):
    engine_sandbox.start()
    tracks = [PluginClient(), PluginClient()]
    until(lambda: len(engine_sandbox.workers()) == 2, "both tracks are served")
    workers = engine_sandbox.workers()
    assert engine_sandbox.stop(signal.SIGTERM) == 0
    assert not engine_socket().exists()
    for pid in workers:
        assert not os.path.exists(f"/proc/{pid}")
    assert not any(track.attached for track in tracks)
    assert "has stopped" in engine_sandbox.engine_log.read_text()


def test_a_killed_engine_takes_its_audio_processes_along_and_can_be_started_anew(engine_sandbox):
    engine_sandbox.start(engine_sandbox.identity)
    track = PluginClient(offline=True)
    workers = engine_sandbox.workers()
    engine_sandbox.stop(signal.SIGKILL)
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), "they are gone")
    assert not track.attached
    engine_sandbox.start(engine_sandbox.identity)  # over the socket that was left
    x = noise(4096)
    np.testing.assert_allclose(
        pass_through(PluginClient(offline=True), x), x[:, : 4096 - HOP], atol=2e-7
    )


def test_without_an_engine_a_track_is_told_what_to_do(engine_sandbox):
    with pytest.raises(StemsteerError, match="no engine answers"):
        PluginClient()


@pytest.mark.parametrize(
    ("latency", "block", "tier"),
    [(512, 64, "direct"), (512, 256, "direct"), (512, 4096, "direct"), (1024, 64, "live"),
     (1024, 512, "live"), (1024, 4096, "live"), (4096, 512, "live"), (8192, 512, "studio")],
)  # fmt: skip
def test_the_latency_of_the_plugin_pays_the_tier(latency, block, tier):
    assert choose_tier(load_model("panorama").spec, 44_100, latency, block) == tier


def test_a_model_with_several_sources_is_not_for_a_plugin():
    with pytest.raises(StemsteerError, match="for each of guitar"):
        choose_tier(load_model("spain-xumx").spec, 44_100, 4096, 256)


def test_a_model_that_is_not_quick_enough_is_refused_with_what_to_do(engine_sandbox):
    engine_sandbox.start()
    assert PluginClient(latency=512, block=128).attached
    with pytest.raises(StemsteerError, match="steer needs a latency of 8320 samples for blocks of"):
        PluginClient(latency=512, block=128, model="steer-studio")
