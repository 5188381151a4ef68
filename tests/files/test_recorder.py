"""What `live --record` leaves in its folder."""

from __future__ import annotations

import socket
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from plugin_bridge.automation.formats.midi import ControllerMap
from plugin_bridge.claim import Claim
from plugin_bridge.files.audio_writer import AudioWriter
from plugin_bridge.files.recorder import StemRecorder
from realtime.errors import StemsteerError
from tests.support.commands import stemsteer
from tests.support.waiting import until

RATE = 44_100
TWICE_INVERTED = '[{"plugin": "Invert", "name": "a"}, {"plugin": "Invert", "name": "b"}]'


@pytest.fixture
def song(tmp_path):
    """A second of noise, panned to the left."""
    noise = np.random.default_rng(1).standard_normal(RATE) * 0.1
    path = tmp_path / "in.wav"
    soundfile.write(path, np.stack([noise, noise / 2], axis=1), RATE, subtype="FLOAT")
    return path


def live(song, take, *options, port=0):
    words = ("live", "--input-file", song, "--record", take, "--model", "panorama")
    return stemsteer(*words, *options, *(() if "--no-osc" in options else ("--port", port)))


@pytest.fixture
def taken():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        yield other.getsockname()[1]


@pytest.mark.parametrize("folder_there", [False, True])
def test_a_start_that_fails_says_why_and_leaves_nothing(song, tmp_path, taken, folder_there):
    take = tmp_path / "take"
    if folder_there:
        take.mkdir()
    (tmp_path / "old.wav").touch()
    for options, port, words in (
        ((), taken, "cannot listen for OSC"),
        (("--bind", "0.0.0.0"), 0, "name who may send"),
        (("--midi", "nothere"), 0, "MIDI"),
        (("--output-file", tmp_path / "old.wav"), 0, "is there already"),
        (("--output-file", tmp_path / "no" / "x.wav"), 0, "since there is no folder"),
    ):
        done = live(song, take, *options, port=port)
        assert done.exit_code == 1
        assert words in done.stderr
        assert "broke off" not in done.stderr
        assert not list(take.glob("*"))


def test_lanes_that_are_there_are_replaced_only_when_told_so(song, tmp_path):
    lanes = tmp_path / "take" / "lanes.csv"
    lanes.parent.mkdir()
    lanes.write_text("mine")
    done = live(song, lanes.parent, "--no-osc")
    assert (done.exit_code, lanes.read_text()) == (1, "mine")
    assert "lanes.csv is there already; replace it with --force" in done.stderr
    assert live(song, lanes.parent, "--no-osc", "--force").exit_code == 0
    assert lanes.read_text().startswith("seconds,")


def test_a_take_is_replaced_only_by_one_that_has_sound(song, tmp_path, taken):
    take = tmp_path / "take"
    take.mkdir()
    (take / "input.wav").write_text("mine")
    assert live(song, take, "--force", port=taken).exit_code == 1
    done = live(song, take, "--force", "--no-osc", "--output-file", tmp_path / "no" / "x.wav")
    assert done.exit_code == 1
    assert [path.name for path in take.iterdir()] == ["input.wav"]
    assert (take / "input.wav").read_text() == "mine"
    assert live(song, take, "--force", "--no-osc").exit_code == 0
    assert soundfile.info(take / "input.wav").frames > RATE / 4
    assert not list(take.glob("*.part"))


def test_what_a_crash_has_left_of_a_take_is_not_replaced_unasked(song, tmp_path):
    part = tmp_path / "take" / "target.wav.part"
    part.parent.mkdir()
    part.write_text("mine")
    done = live(song, part.parent, "--no-osc")
    assert (done.exit_code, part.read_text()) == (1, "mine")
    assert "target.wav.part is there already" in done.stderr


@pytest.mark.parametrize("name", ["input", "Input"])
def test_a_target_does_not_take_the_name_of_the_input(song, tmp_path, name):
    done = live(song, tmp_path / "take", "--no-osc", "--azimuth", f"{name}=-30")
    assert done.exit_code == 1
    assert "a target is called 'input'" in done.stderr
    assert not (tmp_path / "take").exists()


@pytest.mark.parametrize("chain", [None, TWICE_INVERTED])
def test_the_stems_of_a_take_sum_to_its_input(song, tmp_path, chain):
    options = ["--no-osc", "--slack", "8192", "--seconds", "0.7"]  # too short to be late
    if chain:
        (tmp_path / "chain.json").write_text(chain)
        options += ["--chain", f"target={tmp_path / 'chain.json'}"]
    done = live(song, tmp_path / "take", *options)
    assert done.exit_code == 0, done.stderr
    names = ("input", "target", "residual")
    mixture, *stems = (soundfile.read(tmp_path / "take" / f"{name}.wav")[0] for name in names)
    length = len(stems[0])
    assert len(mixture) > length > RATE / 4
    assert np.abs(sum(stems) - mixture[:length]).max() < 1e-6


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--block", 0),
        ("--block", 8193),
        ("--slack", -1),
        ("--slack", 100_000_000),
        ("--seconds", -1),
        ("--seconds", 0),
        ("--rate", 8000),
        ("--port", 65_536),
    ],
)
def test_a_number_out_of_range_is_refused_with_its_range(song, tmp_path, option, value):
    done = live(song, tmp_path / "take", "--no-osc", option, value)
    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.stderr


def test_a_fault_of_the_engine_ends_in_status_1_and_what_came_in_is_kept(
    song, tmp_path, monkeypatch
):
    from plugin_bridge.live.output_stage import StemLevels

    update, hops = StemLevels.update, iter(range(10_000))

    def moody(*arguments):
        if next(hops) == 20:
            raise ValueError("a moody stage")
        update(*arguments)

    monkeypatch.setattr(StemLevels, "update", moody)
    done = live(song, tmp_path / "take", "--no-osc", "--slack", 8192)
    assert done.exit_code == 1
    assert "1 faults" in done.stderr
    assert (tmp_path / "take" / "lanes.csv").exists()
    assert soundfile.info(tmp_path / "take" / "input.wav").frames > RATE / 4


def test_a_mapping_calls_a_control_as_osc_does(tmp_path):
    (tmp_path / "map.json").write_text('{"10": "guitar.morph"}')
    moved = ControllerMap.read(tmp_path / "map.json").control_change(0, 10, 127)
    assert moved == (("guitar", "timbre_morph"), 1.0)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("[1]", "it is not a JSON object"),
        ('{"10": 5}', "5 names no control"),
        ('{"ten": "guitar.azimuth"}', "'ten' is no [channel:]controller"),
        ("{", "not a mapping"),
    ],
)
def test_a_mapping_that_is_none_is_answered_with_the_layout(tmp_path, mapping, words):
    file = tmp_path / "map.json"
    file.write_text(mapping)
    with pytest.raises(StemsteerError) as caught:
        ControllerMap.read(file)
    assert words in str(caught.value)
    assert 'expected {"[CHANNEL:]CONTROLLER": "TARGET.CONTROL"}' in str(caught.value)
    assert "AttributeError" not in str(caught.value)


def test_a_file_without_a_folder_is_not_sent_to_an_option_there_is_not(song, tmp_path):
    done = live(song, tmp_path / "take", "--no-osc", "--output-file", tmp_path / "no" / "x.wav")
    assert "make it, or choose another place" in done.stderr
    assert "--out\n" not in done.stderr


HOP = np.ones((2, 128), np.float32)


def recorder(folder, *, force=False):
    return StemRecorder(folder, ["a", "residual"], RATE, 2, force)


def put(tape, level):
    tape.put(level * HOP, np.stack([level * HOP, 0 * HOP]))


@pytest.mark.parametrize("hop", [64, 1024])
def test_ten_seconds_wait_for_the_disk_whatever_the_hop(tmp_path, hop):
    tape, sound = recorder(tmp_path), np.ones((2, hop), np.float32)  # that nobody writes
    kept = 0
    while tape.put(sound, np.stack([sound, sound])):
        kept += hop
        assert kept < 20 * RATE, "memory is bounded"
    assert kept / RATE == pytest.approx(10, abs=0.1)
    assert tape.dropped_hops == 1


def test_a_disk_that_is_quick_enough_loses_nothing_however_long_it_takes(tmp_path, monkeypatch):
    monkeypatch.setattr("plugin_bridge.files.recorder.QUEUED_S", 0.1)
    tape = recorder(tmp_path)
    tape.start(0)
    for _ in range(500):
        until(lambda: tape.put(HOP, np.stack([HOP, HOP])), "there is room again")
    tape.close()
    assert soundfile.info(tmp_path / "a.wav").frames == 500 * 128


@pytest.mark.parametrize("force", [False, True])
def test_of_two_recordings_into_one_folder_the_second_is_refused_before_it_plays(tmp_path, force):
    first, second = (recorder(tmp_path, force=force) for _ in range(2))  # both find nothing there
    first.start(0)
    with pytest.raises(StemsteerError, match="is being written by another"):
        second.start(0)
    put(first, 0.5)
    first.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.wav", "input.wav", "residual.wav"]  # fmt: skip
    assert np.array_equal(soundfile.read(tmp_path / "a.wav")[0], np.full((128, 2), 0.5))


def test_a_recording_that_has_ended_since_is_not_replaced(tmp_path):
    first, second = (recorder(tmp_path) for _ in range(2))
    first.start(0)
    put(first, 0.5)
    first.close()
    with pytest.raises(StemsteerError, match="is there already"):
        second.start(0)
    assert soundfile.info(tmp_path / "a.wav").frames == 128


def test_a_file_that_has_appeared_meanwhile_is_not_replaced_unasked(tmp_path):
    tape = recorder(tmp_path)
    tape.start(0)
    put(tape, 0.5)
    (tmp_path / "a.wav").write_text("of another program")
    with pytest.raises(StemsteerError, match=r"what was recorded is in .*a\.wav\.part"):
        tape.close()
    assert (tmp_path / "a.wav").read_text() == "of another program"
    assert soundfile.info(tmp_path / "input.wav").frames == 128
    assert soundfile.info(tmp_path / "a.wav.part").frames == 128


def test_the_parts_of_a_killed_recording_give_way_to_force(tmp_path):
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from plugin_bridge.files.recorder import StemRecorder\n"
        "StemRecorder(Path(sys.argv[1]), ['a', 'residual'], 44100, 2, False).start(0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)])
    assert (tmp_path / "a.wav.part").exists()
    with pytest.raises(StemsteerError, match=r"is there already; replace it with --force"):
        recorder(tmp_path)
    tape = recorder(tmp_path, force=True)
    tape.start(0)
    put(tape, 0.5)
    tape.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.wav", "input.wav", "residual.wav"]  # fmt: skip


def test_a_file_of_what_is_played_is_written_by_one_session(song, tmp_path):
    out = tmp_path / "o.wav"
    with Claim(out):
        done = live(song, tmp_path / "take", "--no-osc", "--output-file", out, "--force")
    assert done.exit_code == 1
    assert "o.wav is being written by another" in done.stderr
    assert not out.exists()
    assert not list((tmp_path / "take").glob("*"))


def test_a_file_of_what_is_played_replaces_none_that_has_appeared(song, tmp_path, monkeypatch):
    out = tmp_path / "o.wav"
    close = AudioWriter.close

    def appear(writer):
        close(writer)
        out.write_text("of another program")

    monkeypatch.setattr(AudioWriter, "close", appear)
    words = ("live", "--input-file", song, "--output-file", out, "--model", "panorama")
    done = stemsteer(*words, "--no-osc", "--seconds", "0.2")
    assert done.exit_code == 1
    assert "o.wav has been made by another program" in done.stderr
    assert out.read_text() == "of another program"
