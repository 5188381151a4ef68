"""What is moved while the sound runs acts at once, and sounds the same when it is rendered."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from pythonosc.udp_client import SimpleUDPClient
from typer.testing import CliRunner

from plugin_bridge.automation import (
    Automation,
    Lane,
    LaneConditions,
    Point,
    read_automation,
)
from plugin_bridge.automation.live_lanes import LiveLanes
from plugin_bridge.automation.move_log import MoveLog
from plugin_bridge.automation.move_recorder import MoveRecorder
from plugin_bridge.cli import app as cli
from plugin_bridge.control.controls import REMOTE_CONTROLS, control
from plugin_bridge.control.servers import running
from plugin_bridge.osc import OscServer
from plugin_bridge.osc.packets import encode
from realtime import Separator, load_model

RATE = 44_100
START = {"guitar": {"azimuth": -30.0}}
CURVE = Automation({("guitar", "width"): Lane([Point(0, 10), Point(1, 60)])})


def stream(lanes, moves, noise, block=128):
    """The stems of a live stream into which `moves` (sample, control, value) are played."""
    model = load_model("panorama")
    tier = model.spec.tier_at("live", RATE)
    conditions = LaneConditions(lanes, ["guitar"], tier, RATE, START)
    separator = Separator(model, RATE, targets=["guitar"], conditions=conditions)
    out = []
    for first in range(0, noise.shape[1], block):
        for sample, name, value in moves:
            if first <= sample < first + block:
                lanes.set_value("guitar", name, value)
        out.append(separator.process(np.ascontiguousarray(noise[:, first : first + block])))
    return np.concatenate(out, axis=2), conditions


def playing(automation, log=None):
    frame_s = load_model("panorama").spec.tier("live").hop / RATE
    return LiveLanes(automation, ["guitar"], START, frame_s, log=log)


@pytest.fixture
def noise():
    return np.random.default_rng(7).standard_normal((2, RATE), np.float32) * np.float32(0.1)


MOVES = [(4000, "azimuth", 20.0), (4500, "azimuth", 30.0), (20_000, "width", 80.0),
         (30_000, "azimuth", -45.0), (30_001, "azimuth", 0.0)]  # fmt: skip


def test_a_recorded_performance_renders_as_it_sounded(noise, tmp_path):
    log = MoveLog(tmp_path / "a.csv")
    lanes = playing(CURVE, log)
    log.start(lanes.lanes_at_start())
    live, _ = stream(lanes, MOVES, noise)
    log.close()
    offline, _ = stream(read_automation(tmp_path / "a.csv", RATE), [], noise, block=RATE)
    assert np.abs(live - offline).max() <= 1e-6
    untouched, _ = stream(CURVE, [], noise)
    assert np.abs(live - untouched).max() > 0.01


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
@pytest.mark.parametrize(("name", "value"), [("instrument", 8.0), ("strength", 1.0)])
def test_a_recorded_move_acts_on_no_frame_before_the_one_that_it_acted_on(rate_hz, name, value):
    """A share of 1e-15 would count: it is not 0, and a model may ask whether there is a timbre."""
    tier = load_model("panorama").spec.tier_at("live", rate_hz)
    frame_s = tier.hop / rate_hz
    smoothing_s = control(name).smoothing_s
    for frame in range(9, 100_009, 97):
        lanes = LiveLanes(Automation(), ["guitar"], {"guitar": {name: 0.0}}, frame_s)
        time_s = tier.position_of(frame) / rate_hz
        lanes.set_value("guitar", name, value)
        lanes.commit_moves(time_s)
        recorded = LaneConditions(lanes, ["guitar"], tier, rate_hz)
        times_s = (tier.position_of(frame - 1) + tier.hop * np.arange(12.0)) / rate_hz
        if name == "instrument":
            share = recorded.instrument_shares("guitar", times_s)[:, int(value)]
        else:
            share = recorded.values("guitar", name, times_s)
        assert share[0] == 0, frame
        assert share[1] == pytest.approx(frame_s / smoothing_s, rel=1e-4)
        assert share[-1] == pytest.approx(1)


def test_what_only_a_host_can_set_is_no_control_of_live_sound():
    assert playing(Automation()).controls("guitar") == REMOTE_CONTROLS


def test_a_move_acts_on_the_next_frame_and_has_arrived_after_the_smoothing(noise):
    lanes = playing(Automation())
    model = load_model("panorama")
    tier = model.spec.tier("live")
    conditions = LaneConditions(lanes, ["guitar"], tier, RATE, START)
    before = conditions(0, 100)["direction"][:, 0, 0]
    lanes.set_value("guitar", "azimuth", 30.0)
    after = conditions(100, 100)["direction"][:, 0, 0]
    assert (before == -30).all()
    assert -30 < after[0] < after[1]
    arrived = int(np.ceil(0.02 * RATE / tier.hop))
    assert after[arrived] == pytest.approx(30, abs=1e-4)
    assert np.diff(after).max() < 60 / (arrived - 2)


def test_moved_lanes_stay_short_however_long_they_are_moved():
    lanes = playing(Automation())
    for k in range(5_000):
        lanes.set_value("guitar", "azimuth", float(k % 40))
        lanes.commit_moves(k * 0.003)
    assert len(lanes.lane("guitar", "azimuth").points) < 100


def test_after_a_reset_of_the_stream_values_stay_where_they_were(noise):
    lanes = playing(Automation())
    conditions = LaneConditions(
        lanes, ["guitar"], load_model("panorama").spec.tier("live"), RATE, START
    )
    conditions(0, 100)
    lanes.set_value("guitar", "azimuth", 30.0)
    conditions(100, 100)
    conditions.origin = 200 * conditions.tier.hop  # the stream starts anew, time goes on
    assert (conditions(0, 10)["direction"][:, 0, 0] == 30).all()
    lanes.set_value("guitar", "azimuth", -10.0)
    assert conditions(10, 20)["direction"][-1, 0, 0] == pytest.approx(-10, abs=1e-4)


def test_a_surface_shows_where_a_lane_is_until_it_is_moved(noise):
    lanes = playing(CURVE)
    assert lanes.value("guitar", "azimuth") == -30
    lanes.commit_moves(0.5)
    assert lanes.value("guitar", "width") == pytest.approx(35)
    lanes.set_value("guitar", "width", 12.0)
    lanes.commit_moves(0.9)
    assert lanes.value("guitar", "width") == 12


@pytest.mark.realtime
def test_osc_reaches_the_surface_within_five_milliseconds():
    """The rest of the way to the sound is the next frame, at most one hop later."""
    lanes = playing(Automation())
    server = OscServer(lanes, port=0)
    with running(server, print):
        client = SimpleUDPClient("127.0.0.1", server.port)

        def arrived_s(value):
            began = time.perf_counter()
            client.send_message("/stemsteer/guitar/azimuth", value)
            while lanes.value("guitar", "azimuth") != value:
                time.sleep(0.0001)
                assert time.perf_counter() - began < 60
            return time.perf_counter() - began

        for _ in range(10):  # a busy machine may be slow for some seconds
            median_s = np.median([arrived_s(float(k % 40) + 1) for k in range(100)])
            if median_s < 0.005:
                break
    assert median_s < 0.005


def test_a_recording_begins_with_its_first_move(tmp_path):
    now_s = 100.0
    log = MoveLog(tmp_path / "a.csv")
    log.start({})
    recording = MoveRecorder(["guitar"], log, clock=lambda: now_s)
    recording.set_value("guitar", "azimuth", -30.0)
    now_s = 102.5
    recording.set_value("guitar", "azimuth", 10.0)
    now_s = 102.5001
    recording.set_value("guitar", "azimuth", 11.0)
    log.close()
    lane = read_automation(tmp_path / "a.csv", RATE).lanes["guitar", "azimuth"]
    assert [(p.time_s, p.value) for p in lane.points] == [(0, -30), (2.5, 11)]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_record_writes_what_was_sent_when_it_is_stopped(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "plugin_bridge.cli", "record", tmp_path / "a.csv",
         "--targets", "guitar", "--port", "0"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    line = process.stderr.readline()
    port = int(line.rsplit(" ", 1)[1])
    begun_s = time.monotonic()
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(30)
        client.connect(("127.0.0.1", port))
        client.send(encode("/stemsteer/guitar/azimuth", (-30.0,)))
        client.send(encode("/stemsteer/ping", ()))
        client.recv(1000)  # the move is done
        time.sleep(0.3)
        client.send(encode("/stemsteer/guitar/azimuth", (20.0,)))
        client.send(encode("/stemsteer/guitar/mode", ("remove",)))
        client.send(encode("/stemsteer/drums/azimuth", (1.0,)))
        assert "/stemsteer/drums/azimuth" in process.stderr.readline()  # so are those before it
    lasted_s = time.monotonic() - begun_s
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    assert "3 points" in words
    assert "1 unknown_address" in words
    lanes = read_automation(tmp_path / "a.csv", RATE).lanes
    azimuth = lanes["guitar", "azimuth"].points
    assert [(point.value, point.shape) for point in azimuth] == [(-30, "step"), (20, "step")]
    assert 0.299 < azimuth[1].time_s < lasted_s
    assert lanes["guitar", "mode"].points[0].value == 1


def test_record_never_writes_over_a_file(tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    done = CliRunner().invoke(cli.app, ["record", str(tmp_path / "a.csv"), "--port", "0"])
    assert (done.exit_code, (tmp_path / "a.csv").read_text()) == (1, "mine")
    assert "is there already" in done.stderr


def test_record_that_cannot_listen_leaves_no_file(tmp_path):
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(cli.app, ["record", str(tmp_path / "a.csv"), "--port", port])
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "cannot listen for OSC" in done.stderr


def test_the_layout_and_the_pattern_file_are_written_out(tmp_path):
    done = CliRunner().invoke(cli.app, ["osc", "--export", str(tmp_path / "daw")])
    assert done.exit_code == 0
    assert sorted(os.listdir(tmp_path / "daw")) == ["Stemsteer.ReaperOSC", "Stemsteer.tosc"]
