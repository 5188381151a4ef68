"""Lanes inside `stemsteer serve`: they follow the host's song until an override takes one over."""

from __future__ import annotations

import numpy as np

from plugin_bridge.automation import Lane, LaneConditions, Point, read_automation
from plugin_bridge.control.controls import BY_NAME
from plugin_bridge.engine.client import PluginClient
from realtime import Separator, load_model
from tests.support.engine_sandbox import noise
from tests.support.serve_process import BLOCK, HOP, RATE_HZ, ServeProcess, play
from tests.support.waiting import until


def lanes_file(folder, text):
    path = folder / "lanes.csv"
    path.write_text(text)
    return path


def expected_at(lane, first, frames):
    times_s = (first + np.arange(frames)) / RATE_HZ
    return 10 ** (lane.mean(times_s - 0.01, 0.02) / 20)


def test_lanes_follow_the_song_of_the_host(engine_sandbox, tmp_path):
    lane = Lane([Point(1.0, -24.0), Point(3.0, 0.0)])
    lanes = lanes_file(tmp_path, "seconds,bass.gain,2.gain,mix\n1,-24,-3,1\n3,0,,\n")
    engine_sandbox.start(engine_sandbox.identity, "--automation", str(lanes))
    track, other, third = (PluginClient(label=n, offline=True) for n in ("bass", "", "third"))
    begin = 2 * RATE_HZ - 20 * BLOCK
    y = play(track, 40, song_position=begin)
    np.testing.assert_allclose(y, expected_at(lane, begin, len(y)), atol=2e-4)
    # the host goes back to another place, then stands there
    y = play(track, 4, song_position=RATE_HZ)
    np.testing.assert_allclose(y[-256:], expected_at(lane, RATE_HZ + 3 * BLOCK, 256), atol=2e-4)
    np.testing.assert_allclose(play(other, 4, song_position=0)[-256:], 10 ** (-3 / 20), atol=1e-4)
    np.testing.assert_allclose(play(third, 4, song_position=0)[-256:], 1, atol=1e-6)


def test_the_tracks_that_lanes_move_are_told_as_it_starts(engine_sandbox, tmp_path):
    lanes = lanes_file(
        tmp_path, "seconds,bass.gain,lead_vocal.azimuth,residual.eq/gain_db\n0,0,1,2\n"
    )
    engine_sandbox.start(engine_sandbox.identity, "--automation", str(lanes))
    assert f"{lanes} moves bass, lead_vocal; `stemsteer status`" in engine_sandbox.said()
    assert "lanes of the residual and of plugins on stems move nothing" in engine_sandbox.said()


def test_an_override_takes_a_lane_over_until_the_song_starts_again(engine_sandbox, tmp_path):
    lanes = lanes_file(tmp_path, "seconds,a.gain\n0,-20\n")
    server = ServeProcess(engine_sandbox, "--automation", str(lanes))
    track = PluginClient(label="a", offline=True)
    np.testing.assert_allclose(play(track, 8, song_position=0)[-256:], 0.1, atol=1e-5)
    server.client.send_message("/stemsteer/a/gain", -6.0)
    until(lambda: server.ask("/stemsteer/get", "/stemsteer/a/gain")[0][1] == (-6,), "set")
    y = play(track, 8, song_position=8 * BLOCK)
    np.testing.assert_allclose(y[-256:], 10 ** (-6 / 20), atol=1e-5)
    track.ring["offline"] = 0  # a render whose song stands has the stream for a song
    play(track, 2)
    np.testing.assert_allclose(play(track, 8, song_position=0)[-256:], 0.1, atol=1e-5)
    y = play(track, 8, song_position=8 * BLOCK, gain=-12.0)  # the plugin's parameter moves
    np.testing.assert_allclose(y[-256:], 10 ** (-12 / 20), atol=1e-5)


def test_a_render_without_a_song_has_the_stream_for_one(engine_sandbox, tmp_path):
    lanes = lanes_file(tmp_path, "samples,gain\n0,-20\n8192,-20\n8192,0\n")
    engine_sandbox.start(engine_sandbox.identity, "--automation", str(lanes))
    y = play(PluginClient(offline=True), 24)
    smoothing = BY_NAME["gain"].smoothing_s * RATE_HZ
    np.testing.assert_allclose(y[: int(8192 - smoothing)], 0.1, atol=1e-5)
    np.testing.assert_allclose(y[int(8192 + smoothing) :], 1.0, atol=1e-5)


def test_the_same_lanes_live_and_rendered_give_the_same_sound(engine_sandbox, tmp_path):
    lanes = lanes_file(tmp_path, "seconds,a.azimuth,a.width\n0,-40,15\n1,40,25\n")
    engine_sandbox.start("panorama", "--automation", str(lanes))
    x = noise(BLOCK * 80)
    track = PluginClient(label="a", offline=True)
    start = track.position
    for k in range(80):
        track.push(x[:, BLOCK * k : BLOCK * (k + 1)], song_position=BLOCK * k)
        assert track.wait(track.position - HOP)
    y = track.read(start + 19 * BLOCK, 60 * BLOCK)

    model = load_model("panorama")
    tier = model.spec.tier_at("live", RATE_HZ)
    conditions = LaneConditions(read_automation(lanes, RATE_HZ), ["a"], tier, RATE_HZ)
    separator = Separator(model, RATE_HZ, targets=["a"], block_multiple=HOP, conditions=conditions)
    whole = np.concatenate([separator.process(b) for b in np.split(x, 160, axis=1)], axis=2)
    expected = whole[0, :, separator.latency :][:, 19 * BLOCK : 79 * BLOCK]
    np.testing.assert_allclose(y, expected, atol=1e-6)


def test_a_track_that_is_called_otherwise_follows_the_lanes_of_its_new_name(
    engine_sandbox, tmp_path
):
    lanes = lanes_file(tmp_path, "seconds,bass.gain,old.gain\n0,-20,-6\n")
    engine_sandbox.start(engine_sandbox.identity, "--automation", str(lanes))
    track, other = PluginClient(track="old", offline=True), PluginClient(track="bass")
    workers, at = engine_sandbox.workers(), 0

    def gain():
        nonlocal at
        y = play(track, 4, song_position=at)
        at += 4 * BLOCK
        return float(y[-1])

    assert abs(gain() - 10 ** (-6 / 20)) < 1e-4
    other.close()
    until(lambda: len(engine_sandbox.instances()) == 1, "the other one is gone")
    track.rename(track="bass")
    until(lambda: engine_sandbox.instances()[0]["name"] == "bass", "it is called otherwise")
    until(lambda: abs(gain() - 0.1) < 1e-4, "it follows the other lane")
    track.rename(track="none")
    until(lambda: abs(gain() - 1) < 1e-4, "no lane is for it")
    assert engine_sandbox.workers() == workers[:1]
    assert track.attached
    track.close()
