"""Live over a sound card: JACK where there is none, and a clear answer where there is nothing."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from plugin_bridge.live import audio_device
from realtime import StemsteerError
from tests.support.engine_sandbox import need
from tests.support.jack import jack_server
from tests.support.livesound import RATE, start, until_recorded

pytestmark = pytest.mark.realtime
STEMS = ("input", "target", "residual")


def test_an_echo_is_found_and_its_absence_said():
    noise = np.random.default_rng(0).standard_normal(5000)
    received = np.concatenate([np.zeros(777), 0.3 * noise, np.zeros(20_000)])
    assert (
        audio_device.find(noise, received + 0.01 * np.random.default_rng(1).standard_normal(25_777))
        == 777
    )
    for silence in (np.zeros(9000), np.random.default_rng(2).standard_normal(9000)):
        with pytest.raises(StemsteerError, match="by a cable"):
            audio_device.find(noise, silence)


def test_a_card_that_stops_is_not_measured_for_ever(monkeypatch):
    now_s = [0.0]

    def sleep(seconds):
        now_s[0] += seconds
        assert now_s[0] < 60, "it waits for ever"

    @contextlib.contextmanager
    def stopping(process, *_):
        process(np.zeros((2, 4410), np.float32))
        yield 0.0, audio_device.Flags()

    clock = SimpleNamespace(monotonic=lambda: now_s[0], sleep=sleep)
    monkeypatch.setattr(audio_device, "time", clock)
    monkeypatch.setattr(audio_device, "stream", stopping)
    with pytest.raises(StemsteerError, match=r"taken 0\.1 s of sound in 5\.6 s, expected 3\.6"):
        audio_device.measure_latency(None, RATE, 256)


def test_without_a_sound_card_it_says_what_to_do():
    if any(card.inputs for card in audio_device.devices()):
        pytest.skip("this machine has a sound card")
    done = CliRunner().invoke(cli.app, ["live", "--port", "0"])
    assert done.exit_code == 1
    assert "no sound card" in done.stderr
    assert "--input-file" in done.stderr
    assert "no sound card" in CliRunner().invoke(cli.app, ["live", "--devices"]).stdout


@pytest.mark.host
def test_it_runs_over_jack_and_lists_its_card(jack):
    process = start("live", "--devices")
    listed, words = process.communicate(timeout=60)
    assert "JACK Audio Connection Kit, 2 in, 2 out, 44100 Hz" in listed, words
    process = start("live", "--model", "panorama", "--port", 0, "--seconds", 3, "--slack", 2048)
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


@pytest.mark.host
def test_ctrl_c_ends_it_in_order(jack, tmp_path):
    process = start("live", "--model", "panorama", "--port", 0, "--record", tmp_path / "take")
    while "latency" not in (line := process.stderr.readline()):
        assert line, "it ended by itself"
    until_recorded(tmp_path / "take", 1.0)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    assert "recorded in" in words
    assert soundfile.info(tmp_path / "take" / "input.wav").frames > RATE // 2
    assert (tmp_path / "take" / "lanes.csv").read_text().startswith("seconds,")


def last_words(process):
    """What a program says until it ends, which it has to."""
    try:
        return process.communicate(timeout=60)[1]
    finally:
        process.kill()


@contextlib.contextmanager
def recording(monkeypatch, take):
    """A JACK server, and `live` that has recorded half a second of it."""
    with jack_server(monkeypatch, "-r", rate_hz=RATE, period=256) as server:
        process = start("live", "--model", "panorama", "--port", 0, "--record", take)
        while "latency" not in (line := process.stderr.readline()):
            assert line, "it ended by itself"
        until_recorded(take, 0.5)
        yield server, process


@pytest.mark.host
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_jack_server_is_told_and_what_was_recorded_is_whole(
    monkeypatch, tmp_path, number
):
    with recording(monkeypatch, tmp_path / "take") as (server, process):
        server.send_signal(number)
        words = last_words(process)
    assert process.returncode == 1
    assert words.splitlines()[-1].startswith("stemsteer: the JACK server has ended"), words
    assert "recorded in" in words
    assert {path.suffix for path in (tmp_path / "take").iterdir()} == {".wav", ".csv"}
    stems = [soundfile.read(tmp_path / "take" / f"{name}.wav")[0] for name in STEMS]
    frames = len(stems[1])
    assert RATE // 3 < frames <= len(stems[0])
    np.testing.assert_allclose(stems[1] + stems[2], stems[0][:frames], atol=1e-6)


@pytest.mark.host
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_session_ends_when_it_is_told_to_where_the_jack_server_hangs(
    monkeypatch, tmp_path, number
):
    with recording(monkeypatch, tmp_path / "take") as (server, process):
        server.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        process.send_signal(number)
        try:
            words = last_words(process)
        finally:
            server.send_signal(signal.SIGCONT)
    assert process.returncode == 0, words
    assert soundfile.info(tmp_path / "take" / "input.wav").frames > RATE // 2


@pytest.mark.host
def test_a_jack_server_that_hangs_is_told_and_that_it_goes_on(monkeypatch, tmp_path):
    with recording(monkeypatch, tmp_path / "take") as (server, process):
        server.send_signal(signal.SIGSTOP)
        try:
            assert "the JACK server, hangs" in process.stderr.readline()
        finally:
            server.send_signal(signal.SIGCONT)
        assert "the sound card asks for sound again" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        words = last_words(process)
    assert process.returncode == 0, words


@pytest.mark.host
def test_a_card_that_is_not_there_is_said(jack):
    process = start("live", "--device", "Scarlett", "--port", 0)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no sound card for input called 'Scarlett'" in words
