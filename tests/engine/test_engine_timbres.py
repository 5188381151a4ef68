"""Timbres on a track: given by OSC or learned by the plugin's switch, and kept by the project."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from plugin_bridge.cli.engine import _sound
from plugin_bridge.control.controls import INSTRUMENTS
from plugin_bridge.engine.client import PluginClient
from plugin_bridge.engine.shared.heard_memory import read_rows, shared_rows
from plugin_bridge.engine.shared.kept_timbres import KeptTimbres
from plugin_bridge.engine.shared.messages import MAX_TIMBRES
from plugin_bridge.timbre.timbre_library import TimbreLibrary
from plugin_bridge.timbre.vector import Timbre
from realtime import StemsteerError, load_model
from tests.support.engine_sandbox import noise
from tests.support.serve_process import BLOCK, HOP, ServeProcess, play, say_hello_again
from tests.support.track_timbres import ENCODER, FIRST, SECOND, drums_model, kept
from tests.support.waiting import until

SIZE = ENCODER.spec.size


@pytest.fixture
def model(tmp_path):
    return drums_model(tmp_path)


@pytest.fixture
def library(monkeypatch, tmp_path):
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path / "data"))
    own = TimbreLibrary()
    own.save("silence", Timbre(FIRST, ENCODER.spec.encoder))
    own.save("plain", Timbre(SECOND, ENCODER.spec.encoder))
    return own


def given(engine_sandbox, track, words):
    """Wait until the track has a timbre, and its plugin has the text to keep."""
    until(lambda: engine_sandbox.instances()[0]["timbres"]["like"] == words, words)
    until(lambda: track.attached and any(m.startswith("keep ") for m in track.messages), "kept")


def test_a_timbre_by_osc_crosses_over_and_is_kept_through_a_crash(engine_sandbox, model, library):
    server = ServeProcess(engine_sandbox, model=model)
    track = PluginClient(label="a", offline=True)
    np.testing.assert_allclose(play(track, 8, width=90)[2048:], 1, atol=1e-5)
    server.client.send_message("/stemsteer/a/like", "silence")
    given(engine_sandbox, track, "silence")
    assert server.ask("/stemsteer/get", "/stemsteer/a/like") == [
        ("/stemsteer/a/like", ("silence",))
    ]
    y = play(track, 20, width=90)
    assert np.abs(np.diff(y)).max() < 0.005, "no click"
    assert y[0] > 0.9, "it begins where the sound was"
    assert np.abs(y[int(0.06 * 44_100) + BLOCK :]).max() < 1e-5
    hops = engine_sandbox.busiest()["jumps"]
    os.kill(engine_sandbox.workers()[0], signal.SIGKILL)
    say_hello_again(track)
    assert np.abs(play(track, 20, width=90)[2048:]).max() < 1e-5, "the project keeps it"
    server.client.send_message("/stemsteer/a/like", "")
    until(lambda: not engine_sandbox.instances()[0]["timbres"]["like"], "taken back")
    until(lambda: abs(play(track, 20, width=90)[-1] - 1) < 1e-5, "it is heard again")
    np.testing.assert_allclose(play(track, 20, width=90)[-512:], 1, atol=1e-5)
    assert hops == engine_sandbox.busiest()["jumps"] == 0
    until(lambda: track.attached and track.hello["timbres"] == "", "nothing is kept")


def test_an_example_beside_the_plugins_instrument_is_heard_until_the_host_moves_morph(
    engine_sandbox, model, library
):
    server, drums = ServeProcess(engine_sandbox, model=model), INSTRUMENTS.index("drums")
    track = PluginClient(label="a", offline=True)
    play(track, 8, width=90, instrument=drums)
    server.client.send_message("/stemsteer/a/like", "silence")
    given(engine_sandbox, track, "silence")
    said = engine_sandbox.engine_log.read_text
    until(lambda: "a: like: silence; Morph is 1 now" in said(), "it is said")
    assert "set Timbre Morph to 1 in the host as well to keep it" in said()
    assert np.abs(play(track, 20, width=90, instrument=drums)[-512:]).max() < 1e-5
    (status,) = engine_sandbox.instances()
    assert _sound(status) == "drums, like silence, the example counts alone, Morph is 1"
    for morph in (0.5, 0):
        play(track, 20, width=90, instrument=drums, timbre_morph=morph)
    (status,) = engine_sandbox.instances()
    assert _sound(status) == "drums, like silence, the instrument counts alone, Morph is 0"


def test_the_plugins_switch_learns_what_it_hears_in_two_seconds(engine_sandbox, model, library):
    engine_sandbox.start(model)
    track = PluginClient(label="a", offline=True)
    x = noise(2 * 44_100)
    firsts = itertools.cycle(range(0, x.shape[1] - BLOCK, BLOCK))
    track.push(x[:, :BLOCK], width=90)

    def feed(blocks, learn):
        for first in itertools.islice(firsts, blocks):
            track.push(x[:, first : first + BLOCK], width=90, learn=learn)
            assert track.wait(track.position - BLOCK - HOP)

    def is_learned():  # of two seconds from when the audio process has seen what is asked
        feed(10, 0)
        return engine_sandbox.instances()[0]["timbres"]["like"]

    feed(20, 0)
    feed(20, 1)
    until(is_learned, "it is learned")
    given(engine_sandbox, track, "learned, 2 s")
    learned = KeptTimbres.from_text(track.hello["timbres"])
    assert learned.vectors["like"] @ ENCODER.encode(x) > 0.9
    assert "track" not in learned.to_text()


@pytest.mark.parametrize("why", ["a crash", "another latency"])
def test_what_was_learned_is_not_learned_again_by_the_next_audio_process(
    engine_sandbox, model, library, why
):
    def kept_messages():
        assert track.attached
        return sum(message.startswith("keep ") for message in track.messages)

    def feed(blocks, learn=0):
        for _ in range(blocks):
            track.push(x, width=90, learn=learn)
            assert track.wait(track.position - BLOCK - HOP)

    def is_kept(times):
        feed(10)
        return kept_messages() == times

    engine_sandbox.start(model)
    track, x = PluginClient(label="a", offline=True), noise(BLOCK)
    feed(20)
    feed(20, learn=1)
    until(lambda: is_kept(1), "it is learned")
    learned = track.hello["timbres"]
    if why == "a crash":
        os.kill(engine_sandbox.workers()[0], signal.SIGKILL)
    else:
        track.hello["latency"] = track.ring["latency"] = 2048
    say_hello_again(track)
    for _ in range(10):  # it looks whether it is to listen every tenth of a second
        feed(40)
        time.sleep(0.15)
    assert (kept_messages(), track.hello["timbres"]) == (1, learned)
    feed(20, learn=1)
    until(lambda: is_kept(2), "switched on again it is learned again")
    track.close()


def test_a_track_that_is_listened_to_is_learned_when_that_is_ended(engine_sandbox, model, library):
    server = ServeProcess(engine_sandbox, model=model)
    track = PluginClient(label="a", offline=True)
    x = noise(2 * 44_100)

    def feed(first, seconds):
        for at in range(first, first + int(seconds * 44_100), BLOCK):
            track.push(x[:, at : at + BLOCK], width=90)
            assert track.wait(track.position - BLOCK - HOP)

    def listens():
        """Return whether the audio process has made the memory for what it hears."""
        (worker,) = engine_sandbox.workers()
        files = Path(f"/proc/{worker}/fd").iterdir()
        return any("stemsteer-heard" in os.path.realpath(file) for file in files)

    def is_learned():  # a process that has no sound yet looks for news every tenth of a second
        time.sleep(0.3)
        track.push(x[:, 52_920 : 52_920 + HOP], width=90)
        return engine_sandbox.instances()[0]["timbres"]["like"]

    feed(0, 0.2)
    server.client.send_message("/stemsteer/a/learn", 10.0)
    until(lambda: "listening for 10 s" in engine_sandbox.engine_log.read_text(), "it is said")
    until(listens, "it listens")
    feed(8820, 1.0)
    server.client.send_message("/stemsteer/a/learn", 0.0)
    until(is_learned, "it is learned")
    words = engine_sandbox.instances()[0]["timbres"]["like"]
    assert words in ("learned, 1 s", "learned, 1.1 s")  # with what was played until it was ended
    given(engine_sandbox, track, words)
    learned = KeptTimbres.from_text(track.hello["timbres"])
    assert learned.vectors["like"] @ ENCODER.encode(x[:, 8820:52_920]) > 0.9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (kept(encoder="another"), "made by the encoder another"),
        (kept(np.ones(1, np.float32)), "has 1 numbers, t takes 64"),
        ("{", "are damaged"),
        ('{"encoder": "listen", "like": {"vector": "AAAA"}}', "are damaged"),
        ("x" * (MAX_TIMBRES + 1), "are damaged"),
        ("é" * 20_000, "are damaged"),
        ("🎸" * 12_000, "are damaged"),
        ("\x01" * 10_000, "are damaged"),
    ],
)
def test_what_a_project_keeps_and_cannot_be_used_is_told_and_not_lost(
    engine_sandbox, model, text, words
):
    engine_sandbox.start(model)
    track = PluginClient(label="a", offline=True, timbres=text)
    np.testing.assert_allclose(play(track, 8, width=90)[2048:], 1, atol=1e-5)
    until(lambda: track.attached and track.messages, "the plugin is told")
    assert words in track.messages[0]
    assert not track.messages[0].startswith("keep")
    assert track.hello["timbres"] == text
    assert words in engine_sandbox.instances()[0]["timbre_fault"]


def test_a_model_that_takes_no_timbre_says_so_and_plays(engine_sandbox, library):
    server = ServeProcess(engine_sandbox)
    track = PluginClient(label="a", offline=True, timbres=kept())
    np.testing.assert_allclose(play(track, 4)[-256:], 1, atol=1e-6)
    until(lambda: track.attached and track.messages, "the plugin is told")
    assert "identity takes no timbre: what the project keeps is unused" in track.messages[0]
    server.client.send_message("/stemsteer/a/like", "silence")
    until(lambda: "takes no timbre: choose one" in engine_sandbox.engine_log.read_text(), "told")
    assert track.hello["timbres"] == kept()


def test_a_timbre_is_compared_with_what_the_track_has_and_not_one_of_its_name_before(
    engine_sandbox, model, library
):
    server = ServeProcess(engine_sandbox, model=model)
    track = PluginClient(label="a")
    server.client.send_message("/stemsteer/a/instrument", "drums")
    until(lambda: engine_sandbox.instances()[0]["instrument"] == "drums", "it is taken")
    server.client.send_message("/stemsteer/a/unlike", "silence")
    until(lambda: engine_sandbox.instances()[0]["timbres"]["unlike"] == "silence", "it is given")
    track.close()
    until(lambda: not engine_sandbox.instances(), "the track is gone")
    track = PluginClient(label="a")
    server.client.send_message("/stemsteer/a/like", "silence")
    until(lambda: "a: like: " in engine_sandbox.engine_log.read_text(), "it is answered")
    until(lambda: engine_sandbox.instances()[0]["timbres"]["like"] == "silence", "it is taken")
    track.close()
    until(lambda: not engine_sandbox.instances(), "the track is gone")
    track = PluginClient(label="a", timbres=kept(FIRST))
    until(lambda: engine_sandbox.instances(), "the track is back")
    server.client.send_message("/stemsteer/a/unlike", "silence")
    until(lambda: "sound the same" in engine_sandbox.engine_log.read_text(), "it is refused")
    track.close()


def test_the_text_that_a_project_keeps_comes_back_as_it_was():
    made = KeptTimbres().changed("e", "like", FIRST, "solo.wav@1-3\x1b")
    made = made.changed("e", "unlike", SECOND, "drums")
    again = KeptTimbres.from_text(made.to_text())
    np.testing.assert_array_equal(again.vectors["like"], FIRST)
    np.testing.assert_array_equal(again.vectors["unlike"], SECOND)
    assert again.words == {"like": "solo.wav@1-3", "unlike": "drums"}
    assert len(made.to_text()) < MAX_TIMBRES
    assert set(again.changed("f", "like", SECOND, "").vectors) == {"like"}, "of one encoder"
    assert again.changed("e", "like", None, "").changed("e", "unlike", None, "").to_text() == ""


def test_rows_are_read_from_memory_that_holds_them():
    fd, rows = shared_rows(10)
    rows[:] = np.arange(40).reshape(10, 4)
    np.testing.assert_array_equal(read_rows(fd, 9), rows[:9])
    for samples in (0, -1, 11):
        with pytest.raises(ValueError, match="the memory has 160 bytes"):
            read_rows(fd, samples)
    os.close(fd)


def test_a_model_of_another_encoder_is_checked(model):
    with pytest.raises(StemsteerError, match="learn or give them anew"):
        KeptTimbres.from_text(kept(encoder="x")).check(load_model(model).spec)
