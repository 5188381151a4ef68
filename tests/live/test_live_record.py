"""What is moved while live sound is recorded: never lost, and rendered to the same sound."""

from __future__ import annotations

import re
import shlex
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pythonosc.udp_client import SimpleUDPClient
from typer.testing import CliRunner

from plugin_bridge.automation import (
    Automation,
    Lane,
    LaneConditions,
    Point,
    read_automation,
    write_automation,
)
from plugin_bridge.cli import app as cli
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.files.targets import Target
from plugin_bridge.live.file_device import play_file
from plugin_bridge.live.session import LiveSession, LiveSettings
from realtime import Separator
from realtime.errors import StemsteerError
from realtime.spec import Tier
from tests.support.fakes import FakeModel, fake_spec
from tests.support.livesound import RATE, panned, play, start, until_recorded
from tests.support.signals import noise
from tests.support.waiting import until

GUITAR = Target("guitar", -30.0)
TIERS = {
    "live": Tier(1024, 512, 256),
    "studio": Tier(4096, 4096, 1024, lookahead=4),
    "far": Tier(2048, 1024, 256, lookahead=14),
}


def steered(tier, crash_at=()):
    """A model without memory: a mask by the azimuth alone, which raises at calls of that number."""
    calls = []

    def rule(frames, spectrum, conditions):
        calls.append(1)
        if len(calls) in crash_at:
            raise RuntimeError("the model crashed")
        azimuth = conditions["direction"][:, :, 0]
        return (0.5 + azimuth / 100)[:, :, None, None].astype(np.float32)

    return FakeModel(rule, fake_spec(tiers={"live": TIERS[tier]}))


def performed(folder, tier, crash_at, moves, automation=None):
    """Play a second of noise in hops, with moves (hop, control, value); where it was cut."""
    model = steered(tier, crash_at)
    settings = LiveSettings(
        [GUITAR], RATE, block=TIERS[tier].hop, record_folder=folder,
        automation=automation or Automation(),
    )  # fmt: skip
    mixture, hop = noise(2, 2 * RATE), TIERS[tier].hop
    with LiveSession(model, settings) as session:
        for number, first in enumerate(range(0, mixture.shape[1] - hop, hop)):
            for when, name, value in moves:
                if when == number:
                    session.surface.set_value("guitar", name, value)
            play(session, mixture[:, first : first + hop], block=hop)
        assert session.processor.counters.faults == len(crash_at)
        return session.processor.latency


def rendered(folder, tier):
    """The same lanes, offline, on the recorded input."""
    lanes = read_automation(folder / "lanes.csv", RATE)
    model = steered(tier)
    conditions = LaneConditions(lanes, ["guitar"], TIERS[tier], RATE)
    separator = Separator(model, RATE, targets=["guitar"], conditions=conditions)
    sound = soundfile.read(folder / "input.wav", dtype="float32")[0].T.copy()
    stems = np.concatenate([separator.process(sound), separator.flush()], axis=2)
    stems = stems[:, :, separator.latency :]
    return conditions.outputs(0, stems)[0]


def moves_for(tier):
    """Moves in every tenth of the time, of what the model is told and of levels."""
    last = 2 * RATE // TIERS[tier].hop
    rng = np.random.default_rng(1)
    return [
        (round(last * share), name, float(value))
        for share in np.arange(0.05, 0.95, 0.05)
        for name, value in (("azimuth", rng.integers(-40, 40)), ("gain", rng.integers(-12, 0)))
    ]


@pytest.mark.parametrize("tier", TIERS)
def test_a_performance_renders_to_the_same_sound_with_every_look_ahead(tmp_path, tier):
    performed(tmp_path / "take", tier, (), moves_for(tier))
    live = soundfile.read(tmp_path / "take" / "guitar.wav", dtype="float32")[0].T
    again = rendered(tmp_path / "take", tier)[:, : live.shape[1]]
    assert live.shape[1] > 1.5 * RATE
    assert np.abs(live - again).max() <= 1e-6


@pytest.mark.parametrize("tier", TIERS)
def test_it_does_so_also_after_the_engine_has_jumped(tmp_path, tier):
    hop = TIERS[tier].hop
    at = (RATE // hop // 2, RATE // hop)
    performed(tmp_path / "take", tier, at, moves_for(tier))
    live = soundfile.read(tmp_path / "take" / "guitar.wav", dtype="float32")[0].T
    again = rendered(tmp_path / "take", tier)[:, : live.shape[1]]
    assert live.shape[1] > 1.5 * RATE
    differs = np.flatnonzero(np.abs(live - again).max(0) > 1e-6)
    # only where the model was started anew: what it had not given yet, and a window
    reach = TIERS[tier].latency + TIERS[tier].synthesis + hop + 0.02 * RATE
    cuts = [(number - 1 - k) * hop for k, number in enumerate(at)]
    assert differs.size
    for cut in cuts:
        differs = differs[np.abs(differs - cut) > reach]
    assert differs.size == 0


def test_lanes_that_run_go_on_where_they_were_after_a_jump(tmp_path):
    lanes = Automation({("guitar", "azimuth"): Lane([Point(0, -40), Point(2, 40)])})
    performed(tmp_path / "take", "live", (100,), [(250, "gain", -6.0)], lanes)
    live = soundfile.read(tmp_path / "take" / "guitar.wav", dtype="float32")[0].T
    again = rendered(tmp_path / "take", "live")[:, : live.shape[1]]
    assert np.abs(live - again)[:, RATE:].max() <= 1e-6


@pytest.mark.parametrize(
    "options",
    [
        ("--azimuth", "guitar=-30"),  # by live's own choice of a model
        ("--instrument", "a b=drums", "--unlike", "a b=in.wav@0-1", "--instrument", "bass"),
        ("--model", "query-unet", "--like", "in.wav@0-1"),  # which takes no direction
        ("--model", "panorama", "--tier", "direct", "--chain", "target=gain.json"),
        ("--targets", "targets.json"),
    ],
)
def test_a_take_is_made_again_by_the_command_that_is_told(tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    soundfile.write("in.wav", panned(-30, RATE).T, RATE, subtype="FLOAT")
    Path("gain.json").write_text('[{"plugin": "Gain"}]')
    Path("targets.json").write_text('[{"name": "low", "azimuth_deg": -30, "instrument": "bass"}]')
    words = ["live", "--input-file", "in.wav", "--record", "take", "--no-osc", *options]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    program, *words = shlex.split(re.search(r"to make it again: (.*)", done.stderr)[1])
    assert program == "stemsteer"
    done = CliRunner().invoke(cli.app, [*words, "--out", "again", "--subtype", "FLOAT"])
    assert done.exit_code == 0, done.output
    for path in Path("again").glob("*.wav"):
        if path.name != "mix.wav":  # of a chain
            live, again = (soundfile.read(Path(f) / path.name)[0] for f in ("take", "again"))
            assert np.abs(live - again[: len(live)]).max() <= 1e-4


@pytest.mark.parametrize("automated", [False, True])
def test_moves_are_on_the_disk_within_a_second_whatever_ends_it(tmp_path, automated):
    soundfile.write(tmp_path / "in.wav", panned(-30, 60 * RATE).T, RATE)
    lanes = {("target", "azimuth"): Lane([Point(0, -40), Point(60, 40)])}
    write_automation(tmp_path / "song.csv", lanes)
    options = ("--automation", tmp_path / "song.csv") if automated else ("--azimuth", -30)
    process = start(
        "live", "--input-file", tmp_path / "in.wav", "--record", tmp_path / "take", *options,
        "--model", "panorama", "--port", 0, "--slack", 8192,
    )  # fmt: skip
    port = int(re.search(r"port (\d+)", process.stderr.readline())[1])
    client = SimpleUDPClient("127.0.0.1", port)
    until_recorded(tmp_path / "take", 0.5)

    def are_kept(value: float) -> bool:
        with suppress(StemsteerError, KeyError):  # in the middle of a line; no move of it yet
            lanes = read_automation(tmp_path / "take" / "lanes.csv", RATE).lanes
            last = [lanes["target", name].points[-1].value for name in ("azimuth", "mix")]
            return last == pytest.approx([value, value / 100])
        return False

    for value in (10.0, 20.0, 33.0):  # a second each, and what a crowded machine takes beside it
        client.send_message("/stemsteer/target/azimuth", value)
        client.send_message("/stemsteer/target/mix", value / 100)
        until(partial(are_kept, value), f"{value} is on the disk")
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = read_automation(tmp_path / "take" / "lanes.csv", RATE).lanes
    for name, last in (("azimuth", 33.0), ("mix", 0.33)):
        points = kept["target", name].points
        assert points[-1].value == pytest.approx(last)
        assert len(points) >= 4
    if automated:
        assert kept["target", "azimuth"].points[0] == Point(0.0, -40.0)


def test_record_keeps_its_moves_whatever_ends_it(tmp_path):
    process = start("record", tmp_path / "a.csv", "--targets", "guitar", "--port", 0)
    port = int(re.search(r"port (\d+)", process.stderr.readline())[1])
    client = SimpleUDPClient("127.0.0.1", port)
    for value in (-30.0, 20.0):
        client.send_message("/stemsteer/guitar/azimuth", value)
        time.sleep(0.1)

    def kept():
        with suppress(StemsteerError, KeyError):  # in the middle of a line; no move of it yet
            lanes = read_automation(tmp_path / "a.csv", RATE).lanes
            return [point.value for point in lanes["guitar", "azimuth"].points]
        return []

    until(lambda: len(kept()) == 2, "both are on the disk")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert kept() == [-30, 20]


def playing_to(path, *options):
    """A `stemsteer live` of ten seconds into a file that is there already."""
    soundfile.write(path.with_name("in.wav"), panned(-30, 10 * RATE).T, RATE)
    path.write_bytes(b"of before")
    process = start(
        "live", "--input-file", path.with_name("in.wav"), "--output-file", path, "--force",
        "--model", "panorama", "--no-osc", "--slack", 8192, *options,
    )  # fmt: skip
    hidden = path.with_name(f".{path.name}.{process.pid}.part")
    until(lambda: hidden.exists() and hidden.stat().st_size > 200_000, "it plays")
    return process


def hidden_beside(path):
    return list(path.parent.glob(".*.part"))


def test_a_file_of_what_is_played_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.wav"
    process = playing_to(path)
    assert path.read_bytes() == b"of before"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.read_bytes() == b"of before"
    process = playing_to(path)
    process.send_signal(signal.SIGINT)  # that is how a session ends
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    assert RATE / 2 < soundfile.info(path).frames < 11 * RATE
    assert hidden_beside(path) == [], "what the killed one left is gone, too"


def test_names_that_a_file_system_takes_for_one_are_refused_before_any_sound():
    with pytest.raises(ValueError, match="the same name to some systems, 'a' and 'A'"):
        LiveSettings([Target("a", 0), Target("A", 1)], RATE)


def test_a_session_that_fails_leaves_the_file_of_before(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "in.wav", panned(-30, RATE).T, RATE)
    (tmp_path / "out.wav").write_bytes(b"of before")
    with (
        AudioReader(tmp_path / "in.wav") as reader,
        LiveSession(steered("live"), LiveSettings([GUITAR], RATE)) as session,
    ):
        played = []

        def process(block):
            played.append(block)
            if len(played) == 20:
                raise OSError("the card is gone")
            return np.zeros_like(block)

        monkeypatch.setattr(session, "process", process)
        with pytest.raises(OSError, match="gone"):
            play_file(session, reader, tmp_path / "out.wav", block=256, force=True)
    assert (tmp_path / "out.wav").read_bytes() == b"of before"
    assert hidden_beside(tmp_path / "out.wav") == []


def test_a_damaged_sample_of_a_card_spoils_neither_the_take_nor_what_is_shown(tmp_path):
    mixture = noise(2, RATE)
    mixture[0, RATE - 1_000] = np.nan
    settings = LiveSettings([GUITAR], RATE, record_folder=tmp_path / "take")
    with LiveSession(steered("live"), settings) as session:
        play(session, mixture)
        assert sum(session.surface.meters("guitar")["directions"]) == pytest.approx(1)
    names, sounds = ("input", "guitar", "residual"), []
    for name in names:
        with AudioReader(tmp_path / "take" / f"{name}.wav") as reader:
            sounds.append(np.concatenate(list(reader.blocks(65_536)), axis=1))
    length = sounds[1].shape[1]
    assert length > RATE // 2
    assert np.abs(sounds[0][:, :length] - sounds[1] - sounds[2]).max() < 1e-6
