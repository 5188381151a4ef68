"""Live: in step, without a click, and the same afterwards."""

from __future__ import annotations

import re
import signal
import time

import numpy as np
import pedalboard
import pytest
import soundfile
import typer
from pythonosc.udp_client import SimpleUDPClient

from plugin_bridge.automation import Automation, Lane, Point
from plugin_bridge.cli.live_display import report_session, table
from plugin_bridge.control.metering import direction_histogram
from plugin_bridge.control.target import Target
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.files.recorder import StemRecorder
from plugin_bridge.hosting.chain import PluginChain
from plugin_bridge.hosting.stem_mixer import StemMixer
from plugin_bridge.live.audio_device import Flags
from plugin_bridge.live.file_device import play_file
from plugin_bridge.live.session import LiveSession, LiveSettings
from realtime import StemsteerError, load_model
from tests.support.commands import stemsteer
from tests.support.fakes import FakeModel, fake_spec, slow_runs
from tests.support.livesound import GUITAR, RATE, offline, panned, play, start

pytestmark = pytest.mark.realtime


def test_what_is_heard_is_the_target_by_the_declared_latency_later():
    mixture = panned(-30, RATE) + panned(20, RATE)
    with LiveSession(load_model("panorama"), LiveSettings(GUITAR, RATE)) as session:
        heard = play(session, mixture)
        latency = session.processor.latency
        assert session.latency_s == latency / RATE
        assert session.processor.counters.late_blocks == 0
    expected = offline(mixture)[0]
    assert np.abs(heard[:, latency:] - expected[:, : RATE - latency]).max() <= 1e-6


def test_levels_and_mode_are_heard_when_they_are_played():
    mixture = panned(-30, RATE)
    lanes = {
        ("guitar", "mode"): Lane([Point(0, 0, "step"), Point(0.5, 1)]),
        ("guitar", "gain"): Lane([Point(0.2, -6, "step"), Point(0.25, 0)]),
    }
    settings = LiveSettings(GUITAR, RATE, automation=Automation(lanes))
    with LiveSession(load_model("panorama"), settings) as session:
        heard = play(session, mixture)
        latency = session.processor.latency
        conditions = session.output_stage.conditions
    stems = offline(mixture)[:, :, : RATE - latency]
    conditions.lanes = settings.automation
    (expected,) = conditions.outputs(0, stems)
    assert np.abs(heard[:, latency:] - expected).max() <= 1e-6


def test_plugins_on_a_stem_are_heard_live_as_offline(tmp_path):
    (tmp_path / "chain.json").write_text('[{"plugin": "Reverb"}]')
    mixture = panned(-30, RATE) + panned(20, RATE)
    lanes = {("guitar", "gain"): Lane([Point(0, 0, "step"), Point(0.5, -20)])}
    chains = {"guitar": tmp_path / "chain.json"}
    settings = LiveSettings(GUITAR, RATE, automation=Automation(lanes), chains=chains)
    with LiveSession(load_model("panorama"), settings) as session:
        heard = play(session, mixture)
        latency = session.processor.latency
        assert "reverb/room_size" in session.surface.controls("guitar")
        conditions = session.output_stage.conditions
    stems = offline(mixture)
    stems[0] *= conditions.gain("guitar", 0, RATE)
    board = pedalboard.Pedalboard([pedalboard.Reverb()])
    expected = board.process(stems[0], RATE) + stems[1]
    assert np.abs(heard[:, latency:] - expected[:, : RATE - latency]).max() <= 1e-4


def test_a_plugin_that_fails_is_named_and_the_sound_goes_on_dry(capsys):
    class Moody(PluginChain):
        def process(self, piece):
            raise StemsteerError("a plugin changed its latency")

    mixture = panned(20, RATE)
    with LiveSession(load_model("panorama"), LiveSettings(GUITAR, RATE)) as session:
        stage = session.output_stage
        stage.mixer = StemMixer(
            {"guitar": Moody({}, 0, RATE, 2, "x")}, stage.conditions, 2, block_multiple=128
        )
        heard = play(session, mixture)
        assert session.processor.counters.faults > 0
        assert session.fault == "a plugin changed its latency"
        report_session(session, None)
        assert re.search(
            r"a plugin changed.*\n.*\d times sound was left out", capsys.readouterr().err
        )
    assert np.abs(heard[:, RATE // 2 :]).max() > 0.05


@pytest.mark.parametrize(("moved", "told"), [("gain", True), ("azimuth", False)])
def test_a_record_whose_stems_do_not_add_up_is_told_at_the_end(tmp_path, capsys, moved, told):
    settings = LiveSettings(GUITAR, RATE, record_folder=tmp_path / "take")
    with LiveSession(load_model("panorama"), settings) as session:
        session.surface.set_value("guitar", moved, -6.0)
        play(session, panned(20, RATE // 2))
        report_session(session, tmp_path / "take", "again")
    words = "gain: where moved, the stems do not add up to the input"
    assert (words in capsys.readouterr().err) is told


def test_a_model_that_gives_no_masks_is_told_at_the_end(capsys):
    spec = fake_spec(mask_axes="mixture")
    model = FakeModel(lambda *_: np.full((1, 1, 1, 1), np.nan), spec)
    with LiveSession(model, LiveSettings(GUITAR, RATE)) as session:
        play(session, panned(20, RATE // 2))
        session.output_stage.reset()  # as a jump does
        report_session(session, None)
    assert re.search(r"the model gave \d+ times what is no mask", capsys.readouterr().err)


def test_late_runs_and_damaged_samples_are_told_while_it_runs_and_at_the_end(capsys):
    mixture = panned(20, RATE // 4)
    mixture[:, 5_000] = np.nan
    drums = [Target("drums", 0.0, 90.0, instruments=("drums",))]
    with LiveSession(slow_runs(0.1), LiveSettings(drums, RATE)) as session:
        play(session, mixture)
        late = session.output_stage.separator.late_runs
        caption = table(session, Flags()).caption
        report_session(session, None)
    told = capsys.readouterr().err
    for words in (f"{late} runs of the model came too late", "2 damaged samples"):
        assert words in caption
        assert f"stemsteer: {words}" in told
    assert late > 0


def test_the_meters_tell_levels_and_directions():
    with LiveSession(load_model("panorama"), LiveSettings(GUITAR, RATE)) as session:
        play(session, panned(-30, RATE))
        meters = session.surface.meters("guitar")
    assert meters["level_target"][0] == pytest.approx(-23, abs=1.5)
    assert meters["level_residual"][0] < -35
    assert int(np.argmax(meters["directions"])) in (7, 8)  # -31 to -29, -29 to -27 degrees
    assert sum(meters["directions"]) == pytest.approx(1)
    assert set(meters) >= {"latency", "load", "dropouts"}
    assert not direction_histogram(np.zeros((2, 2048), np.float32)).any()


def test_a_tape_never_waits_and_never_writes_over(tmp_path):
    tape = StemRecorder(tmp_path, ["guitar", "residual"], RATE, 2, force=False)
    tape.start(0)
    hop = np.ones((2, 128), np.float32)
    for _ in range(50):
        tape.put(hop, np.stack([hop, 2 * hop]))
    tape.close()
    assert tape.dropped_hops == 0
    assert np.array_equal(soundfile.read(tmp_path / "residual.wav")[0], np.full((6400, 2), 2.0))
    with pytest.raises(StemsteerError, match="is there already"):
        StemRecorder(tmp_path, ["guitar", "residual"], RATE, 2, force=False)


def test_a_performance_recorded_live_renders_to_the_same_sound(tmp_path):
    """OSC over a wire while the engine runs; then its lanes, offline, on the recorded input."""
    seconds = 3
    soundfile.write(
        tmp_path / "in.wav", (panned(-30, seconds * RATE) + panned(20, seconds * RATE)).T, RATE,
        subtype="FLOAT",
    )  # fmt: skip
    process = start(
        "live", "--input-file", tmp_path / "in.wav", "--record", tmp_path / "take",
        "--azimuth", -30, "--model", "panorama", "--port", 0, "--slack", 8192,
    )  # fmt: skip
    port = int(re.search(r"port (\d+)", process.stderr.readline())[1])
    client = SimpleUDPClient("127.0.0.1", port)
    for value in (-20.0, 0.0, 20.0, 10.0):
        time.sleep(0.4)
        client.send_message("/stemsteer/target/azimuth", value)
        client.send_message("/stemsteer/1/width/norm", 0.3 + value / 100)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    assert " 0 faults" in words  # late blocks are heard dry, and recorded all the same
    options = ("--model", "panorama", "--tier", "live", "--subtype", "FLOAT", "--azimuth", -30)
    arguments = [
        "render", tmp_path / "take" / "input.wav", "--automation", tmp_path / "take" / "lanes.csv",
        *options, "--out", tmp_path / "again",
    ]  # fmt: skip
    done = stemsteer(*arguments)
    assert done.exit_code == 0, done.output
    live = soundfile.read(tmp_path / "take" / "target.wav", dtype="float32")[0]
    again = soundfile.read(tmp_path / "again" / "target.wav", dtype="float32")[0]
    length = min(len(live), seconds * RATE)
    assert length > 2.5 * RATE
    assert np.abs(live[:length] - again[:length]).max() <= 1e-6
    plain = offline(soundfile.read(tmp_path / "take" / "input.wav", dtype="float32")[0].T.copy())
    assert np.abs(live[:length] - plain[0].T[:length]).max() > 0.01


def test_a_file_in_the_place_of_a_card_is_heard_at_its_pace(tmp_path):
    soundfile.write(tmp_path / "in.wav", panned(-30, RATE)[0], RATE, subtype="FLOAT")
    began = time.monotonic()
    with (
        AudioReader(tmp_path / "in.wav") as reader,
        LiveSession(load_model("panorama"), LiveSettings(GUITAR, RATE, slack=8192)) as session,
    ):
        play_file(session, reader, tmp_path / "out.wav", block=256)
        latency = session.processor.latency
    assert time.monotonic() - began > 1
    assert soundfile.info(tmp_path / "out.wav").frames == RATE + latency


def test_a_file_is_played_as_long_as_was_asked_and_none_is_replaced_unasked(tmp_path):
    soundfile.write(tmp_path / "in.wav", panned(-30, 20 * RATE)[0], RATE)
    options = (
        "live", "--input-file", tmp_path / "in.wav", "--model", "panorama", "--no-osc",
        "--seconds", 0.5, "--output-file",
    )  # fmt: skip

    def run(*more):
        return stemsteer(*options, *more)

    assert run(tmp_path / "out.wav").exit_code == 0
    assert RATE / 2 < soundfile.info(tmp_path / "out.wav").frames < RATE
    assert "is there already" in run(tmp_path / "out.wav").stderr
    assert run(tmp_path / "out.wav", "--force").exit_code == 0
    assert "is the input itself" in run(tmp_path / "in.wav", "--force").stderr
    assert soundfile.info(tmp_path / "in.wav").frames == 20 * RATE


def test_options_of_osc_without_osc_are_refused(song):
    words = ("live", "--input-file", song, "--model", "panorama", "--no-osc", "--seconds", 0.1)
    for option in (("--port", 9999), ("--strict",)):
        done = stemsteer(*words, *option)
        assert done.exit_code == 2
        said = f"'{option[0]}': it is for OSC: leave --no-osc out"
        assert said in " ".join(done.stderr.replace("│", " ").split())


def test_an_interrupt_right_after_the_first_word_ends_it_as_later(song, tmp_path, monkeypatch):
    say = typer.echo

    def say_and_interrupt(words, **how):
        say(words, **how)
        if words.startswith("listening"):
            raise KeyboardInterrupt(signal.SIGINT)

    monkeypatch.setattr("plugin_bridge.cli.live.typer.echo", say_and_interrupt)
    words = ("live", "--input-file", song, "--model", "panorama", "--port", 0)
    done = stemsteer(*words, "--record", tmp_path / "take")
    assert (done.exit_code, done.exception) == (0, None)
    assert not (tmp_path / "take").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--output-file", "out.wav"), "goes with --input-file"),
        (("--midi-map", "map.json"), "goes with --midi"),
    ],
)
def test_an_option_that_would_do_nothing_is_said(options, words):
    done = stemsteer("live", *options)
    assert (done.exit_code, words in done.stderr) == (2, True), done.stderr
