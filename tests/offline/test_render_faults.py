"""Rendering that cannot be done: it is refused, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.rendering import RATE_HZ, left_over, panned, render_song


def refused(words, folder, *arguments):
    """Run, expect one line on stderr with `words`, and no trace in `folder`."""
    before = left_over(folder)
    done = render_song(*arguments)
    assert done.exit_code != 0
    assert words in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.output
    assert done.stdout == ""
    assert left_over(folder) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--azimuth", "46"], "azimuth is 46°, expected -45 to 45"),
        (["--azimuth", "nan"], "azimuth is nan°"),
        (["--azimuth", "0", "--width", "0"], "width is 0°, expected 1 to 90"),
        (["--azimuth", "left"], "Invalid value for '--azimuth'"),
        ([], "say what: --instrument WORD, --picture FILE, --azimuth DEG"),
        (["--azimuth", "0", "--tier", "quick"], "has no tier 'quick'"),
        (["--azimuth", "0", "--mode", "mute"], "mode is 'mute', expected one of isolate, remove"),
        (["--azimuth", "0", "--format", "mp3"], "format is 'mp3', expected one of wav, flac"),
        (["--azimuth", "0", "--subtype", "X"], "subtype is 'X', expected for wav one of"),
        (["--azimuth", "0", "--wiener", "-1"], "wiener is -1, expected a number of passes"),
        (["--azimuth", "0", "--wiener", "1000000"], "expected a number of passes, 0 to 10"),
        (["--azimuth", "0", "--panel-bind", "foo"], "'--panel-bind': it is for the panel: give"),
        (["--azimuth", "0", "--format", ""], "what follows --format is empty"),
        (["--azimuth", "0", "--format="], "what follows --format= is empty"),
        (["--azimuth", "0", "--model", "nought"], "no model 'nought'; there are"),
        (["--azimuth", "0", "--model", "/no/x.onnx"], "no model file at /no/x.onnx"),
        (["--azimuth", "0", "--targets", "x.json"], "what to take and where: leave --azimuth out"),
        (["--width", "9", "--targets", "x.json", "--morph", "1"], "leave --width, --morph out"),
        (["--all", "--targets", "x.json"], "x.json says what to take and where: leave --all out"),
        (["--targets", "/no/x.json"], "/no/x.json: no such file"),
        (["--azimuth", "A=1", "--azimuth", "a=2"], "same name to some systems, 'A' and 'a'"),
    ],
)
def test_wrong_options_are_refused(song, tmp_path, arguments, words):
    if "--tier" in arguments:
        arguments = [*arguments, "--model", "panorama"]
    refused(words, tmp_path, song, *arguments, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "the list has no targets"),
        ('{"name": "a"}', "expected a list of targets"),
        ('[{"azimuth_deg": 0}]', "target 1 lacks 'name'"),
        ('[{"name": "a", "azimuth_deg": 0}, {"name": "b"}]', "target 2 lacks 'azimuth_deg'"),
        ('[{"name": "a", "azimuth_deg": 90}]', "target 1: azimuth is 90°"),
        ('[{"name": "a", "azimuth_deg": 1' + 400 * "0" + "}]", "is too large a number"),
        ('[{"name": "a", "azimuth_deg": 0, "azimuth_deg": 1}]', "'azimuth_deg' is twice"),
        ('[{"name": null, "azimuth_deg": 0}]', "target 1: name is None, expected a text in quotes"),
        ('[{"name": "a", "azimuth_deg": true}]', "azimuth_deg is True, expected a number"),
        ('[{"name": "a", "azimuth_deg": 0, "width_deg": "9"}]', "width_deg is '9', expected a num"),
        ('[{"name": "../a", "azimuth_deg": 0}]', "target name is '../a'"),
        ('[{"name": "Residual", "azimuth_deg": 0}]', "target name is 'Residual'"),
        ('[{"name": "a", "azimuth_deg": 0}, {"name": "A", "azimuth_deg": 1}]', "the same name"),
    ],
)
def test_wrong_targets_are_refused(song, tmp_path, text, words):
    (tmp_path / "targets.json").write_text(text)
    refused(words, tmp_path, song, "--targets", tmp_path / "targets.json", "--out", tmp_path / "o")


def test_lanes_for_too_many_targets_or_for_names_that_are_one_are_refused(song, tmp_path):
    for names, words in (
        ([f"t{k}" for k in range(300)], "there are 300 targets, expected at most 256"),
        (["A", "a"], "two targets have the same name to some systems, 'A' and 'a'"),
    ):
        rows = [f"0,{name},azimuth,1\n" for name in names]
        (tmp_path / "l.csv").write_text("seconds,target,control,value\n" + "".join(rows))
        lanes = ("--automation", tmp_path / "l.csv", "--model", "panorama")
        refused(words, tmp_path, song, *lanes, "--out", tmp_path / "out")


def test_samples_that_are_no_sound_leave_no_file(tmp_path):
    sound = panned(0, 9 * RATE_HZ, 0)
    for damage in (np.nan, 1.25e28):
        sound[-1] = damage
        soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, subtype="FLOAT")
        arguments = (tmp_path / "a.wav", "--azimuth", 0, "--out", tmp_path / "new" / "out")
        words = "expected finite numbers up to 1048576 (120 dB above full scale)"
        refused(words, tmp_path, *arguments)


def test_a_truncated_flac_leaves_no_file(tmp_path):
    soundfile.write(tmp_path / "a.flac", panned(0, 9 * RATE_HZ, 0), RATE_HZ)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) * 3 // 4])
    arguments = (tmp_path / "a.flac", "--azimuth", 0, "--out", tmp_path)
    refused("breaks off after", tmp_path, *arguments)


def test_files_that_are_there_are_kept_unless_forced(song, tmp_path):
    (tmp_path / "residual.wav").write_text("precious")
    refused("replace it with --force", tmp_path, song, "--azimuth", 0, "--out", tmp_path)
    assert (tmp_path / "residual.wav").read_text() == "precious"
    assert render_song(song, "--azimuth", 0, "--out", tmp_path, "--force").exit_code == 0
    assert soundfile.info(tmp_path / "residual.wav").frames == 5 * RATE_HZ


def test_the_input_is_never_written_over(song, tmp_path):
    inside = tmp_path / "residual.wav"
    song.rename(inside)
    arguments = (inside, "--azimuth", 0, "--out", tmp_path, "--force")
    refused("is the input itself", tmp_path, *arguments)


def test_a_folder_that_cannot_be_made_is_said_so(song, tmp_path):
    arguments = (song, "--azimuth", 0, "--out", song / "out")
    refused("cannot be made (not a directory)", tmp_path, *arguments)


def test_a_name_that_is_too_long_is_told_with_what_helps(song, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    longest = Path(251 * "y" + ".wav")  # 255 bytes, the most there are
    song.rename(longest)
    advice = "(file name too long); choose another with --out"
    refused(f"-stems cannot be made {advice}", tmp_path, longest, "--azimuth", 0)
    out = ("--azimuth", 0, "--out", "out", "--report")
    for name in (longest.with_suffix(".json"), 300 * "r" + ".json"):
        refused(f"{name}: file name too long; give a shorter one", tmp_path, longest, *out, name)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder closed even to root")
def test_a_folder_that_cannot_be_written_to_is_said_so(song, tmp_path):
    arguments = (song, "--azimuth", 0, "--out", "/proc/self", "--format", "flac")
    refused("/proc/self cannot be written to (no such file", tmp_path, *arguments)


def test_too_little_room_is_said_before_anything_is_done(song, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    arguments = (song, "--azimuth", 0, "--out", tmp_path / "out")
    refused("0 MB of room, the stems need 2 MB", tmp_path, *arguments)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("FSIZE", 300_000, "samples; the disk may be full"),  # in the middle
        ("FSIZE", 10, "broke off after 0 samples; the disk may be full"),
        ("NOFILE", 40, "too many files are open at once, one for each stem; ask for fewer targets"),
    ],
)
def test_a_limit_of_the_system_is_named_and_leaves_no_file(song, tmp_path, limit, value, words):
    targets = [{"name": f"t{k}", "azimuth_deg": k} for k in range(40 if limit == "NOFILE" else 1)]
    (tmp_path / "targets.json").write_text(json.dumps(targets))
    program = (
        f"import resource, sys\nresource.setrlimit(resource.RLIMIT_{limit}, ({value}, {value}))\n"
        "from plugin_bridge.cli.app import main\nsys.argv[0] = 'stemsteer'\nmain()\n"
    )
    command = [sys.executable, "-c", program, "render", song, "--model", "panorama"]
    command += ["--targets", tmp_path / "targets.json"]
    before = left_over(tmp_path)
    done = subprocess.run([*command, "--out", tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert left_over(tmp_path) == before


def rendering(folder, hangup=signal.SIG_DFL):
    """A process in the middle of a render, and the folder that it writes to.

    hangup : what it inherits for SIGHUP, whatever the tests run under: nohup ignores it.
    """
    long = np.tile(panned(0, RATE_HZ, 0), (200, 1))
    soundfile.write(folder / "a.wav", long, RATE_HZ, subtype="PCM_16")
    where = folder / "out"
    command = [sys.executable, "-m", "plugin_bridge.cli", "render", folder / "a.wav"]
    before = signal.signal(signal.SIGHUP, hangup)
    process = subprocess.Popen(
        [*command, "--azimuth", "0", "--model", "panorama", "--out", where],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    signal.signal(signal.SIGHUP, before)
    while not (where.exists() and any(p.stat().st_size > 100_000 for p in where.iterdir())):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    return process, where


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopping_in_the_middle_leaves_no_file(tmp_path, number):
    process, where = rendering(tmp_path)
    process.send_signal(number)
    _, words = process.communicate(timeout=60)
    assert words == "stemsteer: stopped\n"
    assert process.returncode == 128 + number
    assert not where.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_under_nohup_a_terminal_that_closes_ends_nothing(tmp_path):
    process, where = rendering(tmp_path, signal.SIG_IGN)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert left_over(where) == ["residual.wav", "target.wav"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
def test_a_name_that_is_not_utf8_is_rendered_and_drawn(song, tmp_path):
    named = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    song.rename(named)
    command = [sys.executable, "-m", "plugin_bridge.cli"]
    rest = ["--azimuth", "0", "--model", "panorama"]
    done = subprocess.run(
        [*command, "render", named, *rest], cwd=tmp_path, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    folder = os.fsencode(tmp_path) + b"/caf\xe9-stems"
    assert sorted(os.listdir(folder)) == [b"residual.wav", b"target.wav"]
    plot = tmp_path / "f.png"
    done = subprocess.run([*command, "scan", named, "--plot", plot], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert plot.read_bytes().startswith(b"\x89PNG")
