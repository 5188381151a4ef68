"""Live: in step, without a click, and the same afterwards; over JACK where there is no card."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time

import mido
import numpy as np
import pedalboard
import pytest
import soundfile
from bridge import absent, need, until
from pythonosc.udp_client import SimpleUDPClient
from typer.testing import CliRunner

from plugin_bridge import cli, midiport, soundcard
from plugin_bridge.audiofile import AudioReader
from plugin_bridge.automation import Automation, Lane, Point
from plugin_bridge.automation.midi import ControllerMap
from plugin_bridge.board import Sheet
from plugin_bridge.commands.live import _finish
from plugin_bridge.host import Chain
from plugin_bridge.live import Live, Settings, play_file
from plugin_bridge.mixer import Mixer
from plugin_bridge.osc.packets import decode, encode
from plugin_bridge.strip import directions
from plugin_bridge.tape import Tape
from plugin_bridge.targets import Target
from realtime import Separator, StemsteerError, load_model

RATE = 44_100
GUITAR = [Target("guitar", -30.0)]


def panned(azimuth_deg, samples):
    theta = np.radians(azimuth_deg + 45)
    sound = np.random.default_rng(1).standard_normal(samples).astype(np.float32) * 0.1
    return np.stack([np.cos(theta) * sound, np.sin(theta) * sound]).astype(np.float32)


def offline(mixture, **options):
    separator = Separator(load_model("panorama"), RATE, targets=["guitar"], **options)
    if "conditions" not in options:
        separator.set("guitar", azimuth_deg=-30)
    out = np.concatenate([separator.process(mixture), separator.flush()], axis=2)
    return out[:, :, separator.latency :]


def play(session, mixture, block=256):
    """The session's answer, given time for every block: what it says when nothing is late."""
    out = []
    for first in range(0, mixture.shape[1], block):
        out.append(session.process(np.ascontiguousarray(mixture[:, first : first + block])))
        engine = session.engine
        while engine._written - engine._done >= session.strip.tier.hop:
            time.sleep(0.0002)
    return np.concatenate(out, axis=1)


def test_what_is_heard_is_the_target_by_the_declared_latency_later():
    mixture = panned(-30, RATE) + panned(20, RATE)
    with Live(load_model("panorama"), Settings(GUITAR, RATE)) as session:
        heard = play(session, mixture)
        latency = session.engine.latency
        assert session.latency_s == latency / RATE
        assert session.engine.counters.late_blocks == 0
    expected = offline(mixture)[0]
    assert np.abs(heard[:, latency:] - expected[:, : RATE - latency]).max() <= 1e-6


def test_levels_and_mode_are_heard_when_they_are_played():
    mixture = panned(-30, RATE)
    lanes = {
        ("guitar", "mode"): Lane([Point(0, 0, "step"), Point(0.5, 1)]),
        ("guitar", "gain"): Lane([Point(0.2, -6, "step"), Point(0.25, 0)]),
    }
    settings = Settings(GUITAR, RATE, automation=Automation(lanes))
    with Live(load_model("panorama"), settings) as session:
        heard = play(session, mixture)
        latency = session.engine.latency
        steering = session.strip.steering
    stems = offline(mixture)[:, :, : RATE - latency]
    steering.lanes = settings.automation
    (expected,) = steering.outputs(0, stems)
    assert np.abs(heard[:, latency:] - expected).max() <= 1e-6


def test_plugins_on_a_stem_are_heard_live_as_offline(tmp_path):
    (tmp_path / "chain.json").write_text('[{"plugin": "Reverb"}]')
    mixture = panned(-30, RATE) + panned(20, RATE)
    lanes = {("guitar", "gain"): Lane([Point(0, 0, "step"), Point(0.5, -20)])}
    chains = {"guitar": tmp_path / "chain.json"}
    settings = Settings(GUITAR, RATE, automation=Automation(lanes), chains=chains)
    with Live(load_model("panorama"), settings) as session:
        heard = play(session, mixture)
        latency = session.engine.latency
        assert "reverb/room_size" in session.board.controls("guitar")
        steering = session.strip.steering
    stems = offline(mixture)
    stems[0] *= steering.gain("guitar", 0, RATE)
    board = pedalboard.Pedalboard([pedalboard.Reverb()])
    expected = board.process(stems[0], RATE) + stems[1]
    assert np.abs(heard[:, latency:] - expected[:, : RATE - latency]).max() <= 1e-4


def test_a_plugin_that_fails_is_named_and_the_sound_goes_on_dry(capsys):
    class Moody(Chain):
        def process(self, piece):
            raise StemsteerError("a plugin changed its latency")

    mixture = panned(20, RATE)
    with Live(load_model("panorama"), Settings(GUITAR, RATE)) as session:
        strip = session.strip
        strip.mixer = Mixer({"guitar": Moody({}, 0, RATE, 2, "x")}, strip.steering, 2, block=128)
        heard = play(session, mixture)
        assert session.engine.counters.faults > 0
        assert strip.fault == "a plugin changed its latency"
        _finish(session, None)
        assert re.search(
            r"a plugin changed.*\n.*\d times sound was left out", capsys.readouterr().err
        )
    assert np.abs(heard[:, RATE // 2 :]).max() > 0.05


def test_the_meters_tell_levels_and_directions():
    with Live(load_model("panorama"), Settings(GUITAR, RATE)) as session:
        play(session, panned(-30, RATE))
        meters = session.board.meters("guitar")
    assert meters["level_target"][0] == pytest.approx(-23, abs=1.5)
    assert meters["level_residual"][0] < -35
    assert int(np.argmax(meters["directions"])) in (7, 8)  # -31 to -29, -29 to -27 degrees
    assert sum(meters["directions"]) == pytest.approx(1)
    assert set(meters) >= {"latency", "load", "dropouts"}
    assert not directions(np.zeros((2, 2048), np.float32)).any()


def test_a_midi_controller_moves_what_it_is_mapped_to():
    board = Sheet(["guitar", "bass"])
    hear = midiport.listener(board, ControllerMap.of_table())
    hear(mido.Message("control_change", control=10, value=127).bytes())
    hear(mido.Message("note_on", note=10, velocity=0).bytes())
    hear(mido.Message("program_change", program=10).bytes())
    hear(mido.Message("control_change", control=3, value=1).bytes())
    assert board.value("guitar", "azimuth") == board.value("bass", "azimuth") == 45
    mapped = midiport.listener(board, ControllerMap({(1, 74): ("bass", "width")}))
    mapped(mido.Message("control_change", channel=1, control=74, value=0).bytes())
    assert (board.value("bass", "width"), board.value("guitar", "width")) == (1, 20)


@pytest.mark.parametrize("mapping", ['{"10": "guitarr.azimuth"}', '{"10": "guitar.reverb"}'])
def test_a_mapping_to_what_there_is_not_is_said(tmp_path, mapping):
    (tmp_path / "map.json").write_text(mapping)
    with pytest.raises((StemsteerError, ValueError), match="guitar"):
        ControllerMap.read(tmp_path / "map.json").check_targets(["guitar"])


def test_a_midi_input_that_is_not_there_is_said():
    with (
        pytest.raises(StemsteerError, match="no MIDI input called 'no such controller'"),
        midiport.opened("no such controller", print),
    ):
        pass


def test_an_echo_is_found_and_its_absence_said():
    noise = np.random.default_rng(0).standard_normal(5000)
    heard = np.concatenate([np.zeros(777), 0.3 * noise, np.zeros(20_000)])
    assert (
        soundcard.find(noise, heard + 0.01 * np.random.default_rng(1).standard_normal(25_777))
        == 777
    )
    for silence in (np.zeros(9000), np.random.default_rng(2).standard_normal(9000)):
        with pytest.raises(StemsteerError, match="by a cable"):
            soundcard.find(noise, silence)


def test_a_tape_never_waits_and_never_writes_over(tmp_path):
    tape = Tape(tmp_path, ["guitar", "residual"], RATE, 2, force=False)
    tape.start(0)
    hop = np.ones((2, 128), np.float32)
    for _ in range(50):
        tape.take(hop, np.stack([hop, 2 * hop]))
    tape.close()
    assert tape.lost == 0
    assert np.array_equal(soundfile.read(tmp_path / "residual.wav")[0], np.full((6400, 2), 2.0))
    with pytest.raises(StemsteerError, match="is there already"):
        Tape(tmp_path, ["guitar", "residual"], RATE, 2, force=False)


# --- as a user meets it ---


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "plugin_bridge.cli", *map(str, arguments)],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


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
    assert " 0 faults" in words
    if not re.search(r"\b0 late", words):
        assert (
            "late" in words
        )  # the machine was busy: heard dry for a moment, recorded all the same

    options = ("--model", "panorama", "--tier", "live", "--subtype", "FLOAT", "--azimuth", -30)
    arguments = [
        "render", tmp_path / "take" / "input.wav", "--automation", tmp_path / "take" / "lanes.csv",
        *options, "--out", tmp_path / "again",
    ]  # fmt: skip
    done = CliRunner().invoke(cli.app, [str(word) for word in arguments])
    assert done.exit_code == 0, done.output
    live = soundfile.read(tmp_path / "take" / "target.wav", dtype="float32")[0]
    again = soundfile.read(tmp_path / "again" / "target.wav", dtype="float32")[0]
    length = min(len(live), seconds * RATE)
    assert length > 2.5 * RATE
    assert np.abs(live[:length] - again[:length]).max() <= 1e-6
    plain = offline(soundfile.read(tmp_path / "take" / "input.wav", dtype="float32")[0].T.copy())
    assert np.abs(live[:length] - plain[0].T[:length]).max() > 0.01


def test_without_a_sound_card_it_says_what_to_do():
    if any(card.inputs for card in soundcard.devices()):
        pytest.skip("this machine has a sound card")
    done = CliRunner().invoke(cli.app, ["live", "--port", "0"])
    assert done.exit_code == 1
    assert "no sound card" in done.stderr
    assert "--input-file" in done.stderr
    assert "no sound card" in CliRunner().invoke(cli.app, ["live", "--devices"]).stdout


@pytest.fixture
def jack(monkeypatch):
    """A JACK server with the dummy backend: a card without a card."""
    need("jackd")
    name = f"stemsteer-{os.getpid()}"
    environment = {"JACK_DEFAULT_SERVER": name, "JACK_NO_AUDIO_RESERVATION": "1"}
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    server = subprocess.Popen(
        ["jackd", "-n", name, "-r", "-d", "dummy", "-r", str(RATE), "-p", "256"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(2)
    yield environment
    server.terminate()
    server.wait(timeout=20)


@pytest.mark.host
def test_it_runs_over_jack_and_lists_its_card(jack):
    process = start("live", "--devices")
    listed, words = process.communicate(timeout=60)
    assert "JACK Audio Connection Kit, 2 in, 2 out, 44100 Hz" in listed, words
    process = start("live", "--model", "panorama", "--port", 0, "--seconds", 3, "--slack", 2048)
    time.sleep(1)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    blocks, late, faults = map(int, re.search(r"(\d+) blocks, (\d+) late, (\d+) f", words).groups())
    assert blocks > 100, "three seconds are 516 blocks; a crowded machine may need more for a start"
    assert late < blocks, "something came in time"
    assert faults == 0
    assert re.search(r"latency \d+\.\d ms: engine \d+\.\d, sound card \d+\.\d", words)


@pytest.mark.host
def test_the_latency_of_a_card_is_measured_by_a_cable(jack):
    need("jack_lsp", "jack_connect")
    process = start("live", "--measure-latency")
    wired = False
    while process.poll() is None and not wired:
        ports = subprocess.run(["jack_lsp"], capture_output=True, text=True).stdout.split()
        outs = [p for p in ports if ":out" in p and not p.startswith("system")]
        ins = [p for p in ports if ":in" in p and not p.startswith("system")]
        if outs and ins:
            wired = subprocess.run(["jack_connect", outs[0], ins[0]]).returncode == 0
        time.sleep(0.1)
    measured, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    samples = int(re.match(r"(\d+) samples", measured)[1])
    assert 256 <= samples <= 2048


CONTROLLER = """
import sys, rtmidi
port = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, "Faders")
port.open_virtual_port("out")
print("ready", flush=True)
for line in sys.stdin:
    port.send_message([int(word) for word in line.split()])
"""


@pytest.fixture
def controller(jack):
    """A MIDI controller on JACK, in a process of its own: send(status, number, value)."""
    rtmidi = pytest.importorskip("rtmidi")
    if rtmidi.API_UNIX_JACK not in rtmidi.get_compiled_api():
        absent("JACK in python-rtmidi")
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    yield lambda *message: print(*message, file=process.stdin, flush=True)
    process.stdin.close()
    process.wait(timeout=20)


def asked(port, address):
    """What a running program says a control is."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(encode("/stemsteer/get", (address,)), ("127.0.0.1", port))
        return decode(client.recv(8192))[0].arguments[0]


def said(process, words):
    """The line of the error stream with `words` in it."""
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended without {words!r}")


@pytest.mark.host
def test_a_midi_controller_on_jack_moves_what_is_heard(controller, tmp_path):
    listed, words = start("live", "--devices").communicate(timeout=60)
    assert "Faders:out  (Jack)" in listed, words
    soundfile.write(tmp_path / "in.wav", panned(-30, 60 * RATE).T, RATE)
    (tmp_path / "map.json").write_text('{"2:10": "guitar.azimuth"}')
    process = start(
        "live", "--input-file", tmp_path / "in.wav", "--record", tmp_path / "take",
        "--azimuth", "guitar=30", "--azimuth", "bass=0", "--model", "panorama", "--port", 0,
        "--midi", "faders", "--midi-map", tmp_path / "map.json", "--slack", 8192,
    )  # fmt: skip
    port = int(re.search(r"port (\d+)", said(process, "for OSC"))[1])
    assert "Faders:out (Jack)" in said(process, "for MIDI")
    time.sleep(1)
    aim = -45 + 90 * (21 * 128 + 43) / (128 * 128 - 1)

    def turned():  # more than once: a JACK client that misses a cycle loses its events
        controller(0xB0, 10, 64)  # another channel
        controller(0xB1, 10, 21)
        controller(0xB1, 42, 43)  # its fine part
        return abs(asked(port, "/stemsteer/guitar/azimuth") - aim) < 1e-3

    until(turned, "it is moved")
    assert asked(port, "/stemsteer/bass/azimuth") == 0
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    heard = soundfile.read(tmp_path / "take" / "guitar.wav")[0]
    before, after = (np.std(piece) for piece in (heard[: RATE // 2], heard[-RATE // 2 :]))
    assert after > 0.05 > 10 * before
    with (
        pytest.raises(StemsteerError, match="'Pads'; there are Faders:out"),
        midiport.opened("Pads", print),
    ):
        pass


@pytest.mark.host
def test_ctrl_c_ends_it_in_order(jack, tmp_path):
    process = start("live", "--model", "panorama", "--port", 0, "--record", tmp_path / "take")
    while "latency" not in (line := process.stderr.readline()):
        assert line, "it ended by itself"
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    assert "recorded in" in words
    assert soundfile.info(tmp_path / "take" / "input.wav").frames > RATE // 2
    assert (tmp_path / "take" / "lanes.csv").read_text().startswith("seconds,")


@pytest.mark.host
def test_a_card_that_is_not_there_is_said(jack):
    process = start("live", "--device", "Scarlett", "--port", 0)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no sound card for input called 'Scarlett'" in words


def test_a_file_in_the_place_of_a_card_is_heard_at_its_pace(tmp_path):
    soundfile.write(tmp_path / "in.wav", panned(-30, RATE)[0], RATE, subtype="FLOAT")
    began = time.monotonic()
    with (
        AudioReader(tmp_path / "in.wav") as reader,
        Live(load_model("panorama"), Settings(GUITAR, RATE, slack=8192)) as session,
    ):
        play_file(session, reader, tmp_path / "out.wav", block=256)
        latency = session.engine.latency
    assert time.monotonic() - began > 1
    assert soundfile.info(tmp_path / "out.wav").frames == RATE + latency


def test_a_file_is_played_as_long_as_was_asked_and_none_is_replaced_unasked(tmp_path):
    soundfile.write(tmp_path / "in.wav", panned(-30, 20 * RATE)[0], RATE)
    options = (
        "live", "--input-file", tmp_path / "in.wav", "--model", "panorama", "--no-osc",
        "--seconds", 0.5, "--output-file",
    )  # fmt: skip

    def run(*more):
        return CliRunner().invoke(cli.app, [str(word) for word in (*options, *more)])

    assert run(tmp_path / "out.wav").exit_code == 0
    assert RATE / 2 < soundfile.info(tmp_path / "out.wav").frames < RATE
    assert "is there already" in run(tmp_path / "out.wav").stderr
    assert run(tmp_path / "out.wav", "--force").exit_code == 0
    assert "is the input itself" in run(tmp_path / "in.wav", "--force").stderr
    assert soundfile.info(tmp_path / "in.wav").frames == 20 * RATE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--output-file", "out.wav"), "goes with --input-file"),
        (("--midi-map", "map.json"), "goes with --midi"),
    ],
)
def test_an_option_that_would_do_nothing_is_said(options, words):
    done = CliRunner().invoke(cli.app, ["live", *options])
    assert (done.exit_code, words in done.stderr) == (2, True), done.stderr
