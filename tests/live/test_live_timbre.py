"""Timbres live: given by OSC or learned while the sound goes on, which crosses over to them."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import threading
import time

import numpy as np
import pytest
import soundfile

from plugin_bridge.automation import Automation, conditions_of, read_automation
from plugin_bridge.cli.keys import KeyActions, single_keys
from plugin_bridge.control.controls import INSTRUMENTS
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.control.target import Target, TimbrePair
from plugin_bridge.control.timbre_requests import Heard, Request, TimbreChange
from plugin_bridge.live.session import LiveSession, LiveSettings
from plugin_bridge.osc.packets import encode
from plugin_bridge.timbre.service import TimbreService
from plugin_bridge.timbre.timbre_library import TimbreLibrary
from plugin_bridge.timbre.vector import Timbre
from realtime import Separator, load_model
from tests.support.livesound import RATE, panned, play, said, start
from tests.support.models import timbre_model
from tests.support.timbres import sound
from tests.support.waiting import until

SIZE = 4
FIRST = np.eye(1, SIZE, dtype=np.float32)[0]


@pytest.fixture
def model(tmp_path):
    """The target is the mixture, less the square of the first number of its timbre."""
    return load_model(timbre_model(tmp_path / "t.onnx", {"drums": (0.0, 1.0, 0.0, 0.0)}))


@pytest.fixture
def quick_model(tmp_path):
    """A model that takes the timbres of the encoder that is shipped, and costs little."""
    spec = load_model("steer").spec
    drums = (0.0, 1.0) + (0.0,) * (spec.conditions["timbre"] - 2)
    return timbre_model(tmp_path / "quick.onnx", {"drums": drums}, encoder=spec.encoder)


def test_a_timbre_given_to_running_sound_crosses_over_without_a_click_or_a_new_start(model):
    mixture = panned(0, RATE)
    targets = [Target("guitar", 0.0, 90.0)]
    with LiveSession(model, LiveSettings(targets, RATE, slack=8192)) as session:
        latency, half = session.processor.latency, RATE // 2
        before = play(session, mixture[:, :half])
        session.surface.change_timbre(TimbreChange("guitar", "like", FIRST, "silence"))
        heard = np.concatenate([before, play(session, mixture[:, half:])], axis=1)
        assert session.surface.timbres("guitar") == {"encoder": "listen", "like": "silence"}
        assert session.processor.counters.jumps == 0
        assert session.output_stage.separator.frame == RATE // 256
    dry = mixture[:, : RATE - latency]
    wet = heard[:, latency:]
    steps = slice(half - 2048, half + 4096)
    share = np.convolve((wet * dry).sum(0), np.ones(256), "same")[steps]
    share /= np.convolve((dry * dry).sum(0), np.ones(256), "same")[steps]
    np.testing.assert_allclose(wet[:, : half - 4096], dry[:, : half - 4096], atol=2e-6)
    assert np.abs(wet[:, half + 4096 :]).max() < 1e-5
    there = np.flatnonzero((share > 0.05) & (share < 0.95))
    assert 0.02 * RATE < np.ptp(there) < 0.06 * RATE, "it takes fifty milliseconds"
    assert (np.diff(share) < 0.02).all(), "it only falls"


def test_an_example_beside_an_instrument_is_heard_and_the_take_has_it(
    quick_model, tmp_path, monkeypatch
):
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path / "data"))
    model, targets = load_model(quick_model), [Target("a", 0.0, 90.0, ("drums",))]
    first = np.eye(1, model.spec.conditions["timbre"], dtype=np.float32)[0]
    TimbreLibrary().save("silence", Timbre(first, model.spec.encoder))
    mixture, told = panned(0, RATE), []
    settings = LiveSettings(targets, RATE, slack=8192, record_folder=tmp_path / "take")
    with LiveSession(model, settings) as session:
        surface = session.surface
        service = TimbreService(surface, told.append)
        assert surface.timbres("a")["instruments"] == "drums"
        play(session, mixture[:, : RATE // 2])
        surface.requests.put(Request("a", "like", ("silence",)))
        until(lambda: told, "it is said")
        assert "Morph is 1 now" in told[0]
        play(session, mixture[:, RATE // 2 :])
        service.stop()
        surface.set_value("a", "instrument", 0.0)
        assert "instruments" not in surface.timbres("a")
    taken = soundfile.read(tmp_path / "take" / "a.wav", dtype="float32")[0].T
    assert np.abs(taken[:, : RATE // 2 - 4096] - mixture[:, : RATE // 2 - 4096]).max() < 1e-5
    assert np.abs(taken[:, RATE // 2 + 8192 :]).max() < 1e-5, "the example is silence"
    moved = read_automation(tmp_path / "take" / "lanes.csv", RATE).lane("a", "timbre_morph")
    assert [float(moved.at(second)) for second in (0.4, 0.6)] == [0, 1]

    tier = model.spec.tier_at("live", RATE)
    lanes = read_automation(tmp_path / "take" / "lanes.csv", RATE)
    pairs = {"a": TimbrePair(first)}
    conditions = conditions_of(model.spec, lanes, targets, tier, RATE, pairs)
    separator = Separator(model, RATE, targets=["a"], tier="live", conditions=conditions)
    again = np.concatenate([separator.process(mixture), separator.flush()], axis=2)[0]
    again = again[:, separator.latency :][:, : taken.shape[1]]
    assert np.abs(again[:, : RATE // 2] - taken[:, : RATE // 2])[:, :-4096].max() < 1e-6
    assert np.abs(again[:, RATE // 2 + 8192 :] - taken[:, RATE // 2 + 8192 :]).max() < 1e-6


def test_another_instrument_than_that_of_the_options_is_in_the_take_from_where_it_was_chosen(
    quick_model, tmp_path
):
    model, targets = load_model(quick_model), [Target("a", 0.0, 90.0, ("drums",))]
    mixture = panned(0, RATE)
    settings = LiveSettings(targets, RATE, slack=8192, record_folder=tmp_path / "take")
    with LiveSession(model, settings) as session:
        assert session.surface.value("a", "instrument") == INSTRUMENTS.index("drums")
        play(session, mixture[:, : RATE // 2])
        session.surface.set_value("a", "instrument", float(INSTRUMENTS.index("vocals")))
        play(session, mixture[:, RATE // 2 :])
    taken = soundfile.read(tmp_path / "take" / "a.wav", dtype="float32")[0].T
    lanes = read_automation(tmp_path / "take" / "lanes.csv", RATE)
    tier = model.spec.tier_at("live", RATE)
    conditions = conditions_of(model.spec, lanes, targets, tier, RATE)
    separator = Separator(model, RATE, targets=["a"], tier="live", conditions=conditions)
    again = np.concatenate([separator.process(mixture), separator.flush()], axis=2)[0]
    again = again[:, separator.latency :][:, : taken.shape[1]]
    assert np.abs(again - taken).max() < 1e-6


def test_what_is_listened_to_is_the_target_and_what_is_left(model):
    mixture = panned(0, RATE)
    with LiveSession(model, LiveSettings([Target("a", 0.0, 90.0)], RATE, slack=8192)) as session:
        session.surface.listen("a", 0.5)
        play(session, mixture)
        (heard,) = session.surface.requests.take_all()
    assert isinstance(heard, Heard)
    assert heard.target.shape == (2, RATE // 2)
    np.testing.assert_allclose(heard.target[:, 256:], mixture[:, : RATE // 2 - 256], atol=2e-6)
    assert np.abs(heard.residual).max() < 1e-5


def test_listening_ends_when_it_is_told(model):
    mixture = panned(0, RATE)
    with LiveSession(model, LiveSettings([Target("a", 0.0, 90.0)], RATE, slack=8192)) as session:
        session.surface.listen("a", 10.0)
        play(session, mixture[:, : RATE // 2])
        session.surface.listen("a", 0.0)
        play(session, mixture[:, RATE // 2 :])
        (heard,) = session.surface.requests.take_all()
    samples = heard.target.shape[1]
    assert 0 < samples < RATE
    np.testing.assert_allclose(heard.target[:, 256:], mixture[:, : samples - 256], atol=2e-6)


def switched(old, new, azimuth_deg, width_deg):
    """What `steer` makes of two sounds while a timbre changes to another, and without the change.

    The change is in the middle; the largest second differences around it and elsewhere are what a
    click would be in.
    """
    model, rng, hops = load_model("steer", "live"), np.random.default_rng(5), 400
    bass, drums = (sound(rng, name, hops * 256) for name in ("bass", "drums"))
    mixture = 0.5 * np.stack([bass + 0.2 * drums, 0.2 * bass + drums]).astype(np.float32)
    vectors = {name: np.array(z, np.float32) for name, z in model.spec.classes.items()}
    outputs = []
    for changes in ({0: old}, {0: old, hops // 2: new}):
        tier = model.spec.tier_at("live", RATE)
        targets = [Target("a", azimuth_deg, width_deg)]
        conditions = conditions_of(model.spec, Automation(), targets, tier, RATE)
        separator = Separator(
            model, RATE, targets=["a"], tier="live", block_multiple=256, conditions=conditions
        )
        parts = []
        for hop in range(hops):
            if hop in changes:
                conditions.timbres.set(0, "like", vectors.get(changes[hop]))
            parts.append(separator.process(mixture[:, hop * 256 : hop * 256 + 256])[0])
        outputs.append(np.concatenate(parts, axis=1))
    return outputs, hops // 2 * 256


@pytest.mark.parametrize(
    ("old", "new", "direction"),
    [
        ("bass", "drums", (0.0, 90.0)),
        ("", "bass", (0.0, 90.0)),
        ("bass", "", (0.0, 90.0)),
        ("", "bass", (-34.0, 15.0)),
    ],
)
def test_separated_sound_crosses_over_to_another_timbre_without_a_click(old, new, direction):
    (before, after), at = switched(old, new, *direction)
    np.testing.assert_array_equal(after[:, :at], before[:, :at])
    assert np.abs(after[:, at + 2560 :] - before[:, at + 2560 :]).max() > 1e-3, "it has changed"
    jumps = np.abs(np.diff(after, n=2)).max(0)
    around, elsewhere = jumps[at - 512 : at + 4096], np.delete(jumps, slice(at - 512, at + 4096))
    assert around.max() < 1.2 * elsewhere[8192:].max()


@pytest.mark.realtime
def test_like_and_learn_by_osc_while_a_file_plays(tmp_path, quick_model):
    """Real packets, while real files are read and sound is listened to beside the audio."""
    rng = np.random.default_rng(5)
    bass, drums = (sound(rng, name, 60 * RATE) for name in ("bass", "drums"))
    mixture = np.stack([bass + 0.2 * drums, 0.2 * bass + drums]).astype(np.float32)
    soundfile.write(tmp_path / "mix.wav", mixture.T, RATE, subtype="FLOAT")
    alone = np.stack([bass, 0.2 * bass]).astype(np.float32)
    soundfile.write(tmp_path / "bass.wav", alone.T[: 3 * RATE], RATE, subtype="FLOAT")
    process = start(
        "live", "--input-file", tmp_path / "mix.wav", "--record", tmp_path / "take",
        "--azimuth", -34, "--width", 15, "--model", quick_model, "--port", 0, "--slack", 16384,
    )  # fmt: skip
    words, errors = [], process.stderr
    threading.Thread(target=lambda: words.extend(errors), daemon=True).start()

    def told(pattern):
        until_s = time.monotonic() + 60
        while not (found := re.search(pattern, "".join(words))):
            assert time.monotonic() < until_s, "".join(words)
            time.sleep(0.02)
        return found

    port = int(told(r"port (\d+)")[1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        sender.send(encode("/stemsteer/target/learn", (1.0,)))
        told("target: listening for 1 s")
        told("target: like: learned, 1 s")
        sender.send(encode("/stemsteer/target/like", (str(tmp_path / "no.wav"),)))
        told("target: like: .*no.wav")
        sender.send(encode("/stemsteer/target/like", (str(tmp_path / "bass.wav"),)))
        told("target: like: .*bass.wav\n")
    process.send_signal(signal.SIGINT)
    process.wait(60)  # and nobody else reads what it says
    assert process.returncode == 0, words
    told("2 timbres changed, 1 requests refused")


@pytest.mark.realtime
def test_learn_is_an_option_and_needs_no_osc(tmp_path, quick_model):
    soundfile.write(tmp_path / "in.wav", panned(-30, 60 * RATE).T, RATE, subtype="FLOAT")
    learned = ("--model", quick_model, "--learn", 0.5), "target: like: learned, 0.5 s"
    refused = ("--model", "panorama", "--learn", 1), "target: learn: its model takes no timbre"
    for options, words in (learned, refused):
        process = start(
            "live", "--input-file", tmp_path / "in.wav", "--azimuth", -30, "--no-osc",
            "--slack", 16384, *options,
        )  # fmt: skip
        said(process, words)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
        assert process.returncode == 0, rest


def test_keys_of_the_terminal_ask_the_chosen_target():
    surface = MemorySurface(["guitar", "voice"])
    ours, terminal = os.openpty()
    with single_keys(terminal) as fd:
        keys = KeyActions(surface)
        os.write(ours, b"l2f9x")
        assert select.select([fd], [], [], 60)[0], "the terminal has them"
        keys.attend(fd)
    keys.attend(None)
    assert surface.requests.take_all() == [
        Request("guitar", "learn", (2.0,)),
        Request("voice", "like", ("",)),
    ]
    os.close(ours)
    os.close(terminal)


def test_without_a_terminal_there_are_no_keys():
    with single_keys() as fd:
        assert fd is None
