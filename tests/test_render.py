"""Rendering from disk to disk, as a user asks for it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from plugin_bridge import cli
from plugin_bridge.audiofile import AudioReader
from plugin_bridge.render import render, separate
from plugin_bridge.targets import Target
from realtime import Separator, load_model

RATE_HZ = 44_100


def panned(azimuth_deg, samples, seed):
    """A chord of its own for every seed, (samples, 2)."""
    theta = np.radians(azimuth_deg + 45)
    chord_hz = np.random.default_rng(seed).uniform(100, 4000, 8)[:, None]
    sound = 0.06 * np.sin(2 * np.pi * chord_hz * np.arange(samples) / RATE_HZ).sum(0)
    return np.stack([np.cos(theta) * sound, np.sin(theta) * sound], axis=1)


@pytest.fixture
def song(tmp_path):
    """Five seconds: a chord on the left at -30 degrees, another on the right at 25."""
    path = tmp_path / "song.wav"
    samples = panned(-30, 5 * RATE_HZ, 1) + panned(25, 5 * RATE_HZ, 2)
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return path


def stemsteer(*arguments):
    return CliRunner().invoke(cli.app, ["render", *map(str, arguments)])


def integers(path):
    return soundfile.read(path, dtype="int32", always_2d=True)[0] >> 16


def left_over(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_direction_and_the_rest_come_out_as_files_like_the_input(song, tmp_path):
    done = stemsteer(song, "--azimuth", -30, "--width", 15, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    assert left_over(tmp_path / "out") == ["residual.wav", "target.wav"]
    for name in ("target", "residual"):
        info = soundfile.info(tmp_path / "out" / f"{name}.wav")
        assert (info.samplerate, info.frames, info.channels) == (RATE_HZ, 5 * RATE_HZ, 2)
        assert info.subtype == "PCM_16"


def test_the_report_lists_what_was_done(song, tmp_path):
    done = stemsteer(song, "--azimuth", -30, "--out", tmp_path / "out", "--json")
    report = json.loads(done.stdout)
    assert report["input"] == str(song)
    assert (report["sample_rate"], report["frames"]) == (RATE_HZ, 5 * RATE_HZ)
    assert report["latency_samples"] > 0
    assert report["real_time_factor"] > 0
    target, residual = report["stems"]
    samples, _ = soundfile.read(target["path"])
    assert (target["name"], target["azimuth_deg"], target["width_deg"]) == ("target", -30, 20)
    assert target["peak_db"] == pytest.approx(20 * np.log10(np.abs(samples).max()), abs=0.01)
    assert target["rms_db"] == pytest.approx(10 * np.log10((samples**2).mean()), abs=0.01)
    assert residual["azimuth_deg"] is None


@pytest.mark.parametrize("tier", ["direct", "live", "studio", "offline"])
def test_integer_stems_sum_to_the_mix_to_the_last_bit(song, tmp_path, tier):
    targets = tmp_path / "targets.json"
    targets.write_text(
        '[{"name": "left", "azimuth_deg": -30}, {"name": "right", "azimuth_deg": 25}]'
    )
    done = stemsteer(song, "--targets", targets, "--out", tmp_path / "out", "--tier", tier)
    assert done.exit_code == 0, done.output
    stems = [integers(tmp_path / "out" / f"{n}.wav") for n in ("left", "right", "residual")]
    assert np.array_equal(sum(stems), integers(song))


@pytest.mark.parametrize(("model", "below_db"), [("panorama", -20), ("steer", -12)])
def test_a_target_is_the_sound_of_its_direction_and_in_time_with_it(
    song, tmp_path, model, below_db
):
    out = tmp_path / "out"
    assert stemsteer(song, "--azimuth", -30, "--model", model, "--out", out).exit_code == 0
    estimate, _ = soundfile.read(out / "target.wav")
    truth = panned(-30, 5 * RATE_HZ, 1)
    error = np.square(estimate - truth).sum() / np.square(truth).sum()
    assert 10 * np.log10(error) < below_db  # 0 for silence and for the mix, +3 for another time


def test_the_separator_in_pieces_gives_what_render_writes(song, tmp_path):
    mixture = soundfile.read(song, dtype="float32")[0].T
    separator = Separator(load_model("panorama"), RATE_HZ, tier="offline")
    separator.set(azimuth_deg=-30, width_deg=20)
    pairs = list(separate(iter(np.array_split(mixture, 57, axis=1)), separator))
    assert np.array_equal(np.concatenate([p[0] for p in pairs], axis=1), mixture)
    target = np.concatenate([p[1] for p in pairs], axis=2)[0]
    done = stemsteer(
        song, "--azimuth", -30, "--out", tmp_path, "--subtype", "FLOAT", "--model", "panorama"
    )
    assert done.exit_code == 0
    written = soundfile.read(tmp_path / "target.wav", dtype="float32")[0].T
    assert np.abs(written - target).max() <= 1e-6


def test_a_file_shorter_than_the_latency_keeps_its_length(tmp_path):
    soundfile.write(tmp_path / "a.wav", panned(0, 7, 0), RATE_HZ, subtype="PCM_16")
    assert stemsteer(tmp_path / "a.wav", "--azimuth", 0, "--out", tmp_path).exit_code == 0
    total = integers(tmp_path / "target.wav") + integers(tmp_path / "residual.wav")
    assert np.array_equal(total, integers(tmp_path / "a.wav"))


def test_mono_and_other_rates_work(tmp_path):
    for rate_hz, channels in ((32_000, 2), (48_000, 1), (96_000, 2), (192_000, 1)):
        sound = panned(0, rate_hz, 0)[:, :channels]
        soundfile.write(tmp_path / "a.flac", sound, rate_hz, subtype="PCM_24")
        done = stemsteer(tmp_path / "a.flac", "--azimuth", 0, "--out", tmp_path, "--force")
        assert done.exit_code == 0, done.output
        info = soundfile.info(tmp_path / "residual.flac")
        assert (info.samplerate, info.channels, info.frames) == (rate_hz, channels, rate_hz)
        assert info.subtype == "PCM_24"


def test_remove_writes_only_what_is_left(song, tmp_path):
    where = tmp_path / "out"
    assert stemsteer(song, "--azimuth", -30, "--mode", "remove", "--out", where).exit_code == 0
    assert left_over(where) == ["residual.wav"]
    assert stemsteer(song, "--azimuth", -30, "--out", tmp_path / "both").exit_code == 0
    both = integers(tmp_path / "both" / "residual.wav")
    assert np.abs(both - integers(where / "residual.wav")).max() <= 1  # of 16 bits


def test_format_and_subtype_are_as_asked(song, tmp_path):
    done = stemsteer(
        song, "--azimuth", 0, "--format", "flac", "--subtype", "pcm_24", "--out", tmp_path
    )
    assert done.exit_code == 0
    assert soundfile.info(tmp_path / "target.flac").subtype == "PCM_24"


def test_clipped_samples_are_counted_and_said(tmp_path):
    soundfile.write(tmp_path / "a.wav", 8 * panned(0, RATE_HZ, 0), RATE_HZ, subtype="FLOAT")
    done = stemsteer(
        tmp_path / "a.wav", "--azimuth", 0, "--subtype", "PCM_16", "--out", tmp_path, "--json"
    )
    clipped = json.loads(done.stdout)["stems"][0]["clipped"]
    assert clipped > 0
    assert f"{clipped} samples beyond full scale were clipped" in done.stderr


def test_a_pipe_gets_no_progress_bar(song, tmp_path):
    command = [sys.executable, "-m", "plugin_bridge.cli", "render", song, "--azimuth", "0"]
    done = subprocess.run([*command, "--out", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout


def test_progress_reaches_the_length_of_the_file(song, tmp_path):
    steps = []
    with AudioReader(song) as source:
        render(source, load_model("panorama"), [Target("a", 0)], tmp_path, progress=steps.append)
    assert sum(steps) == 5 * RATE_HZ
    assert len(steps) > 1


def refused(words, folder, *arguments):
    """Run, expect one line on stderr with `words`, and no trace in `folder`."""
    before = left_over(folder)
    done = stemsteer(*arguments)
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
        ([], "say where: --azimuth DEG"),
        (["--azimuth", "0", "--tier", "quick"], "has no tier 'quick'"),
        (["--azimuth", "0", "--mode", "mute"], "mode is 'mute', expected one of isolate, remove"),
        (["--azimuth", "0", "--format", "mp3"], "format is 'mp3', expected one of wav, flac"),
        (["--azimuth", "0", "--subtype", "X"], "subtype is 'X', expected for wav one of"),
        (["--azimuth", "0", "--wiener", "-1"], "wiener is -1, expected a number of passes"),
        (["--azimuth", "0", "--model", "nought"], "no model 'nought'; there are"),
        (["--azimuth", "0", "--model", "/no/x.onnx"], "no model file at /no/x.onnx"),
        (["--azimuth", "0", "--targets", "x.json"], "leave --azimuth, --width out"),
        (["--targets", "/no/x.json"], "/no/x.json: no such file"),
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
        ("[]", "expected a list of targets"),
        ('{"name": "a"}', "expected a list of targets"),
        ('[{"azimuth_deg": 0}]', "target 1 lacks 'name'"),
        ('[{"name": "a", "azimuth_deg": 0}, {"name": "b"}]', "target 2 lacks 'azimuth_deg'"),
        ('[{"name": "a", "azimuth_deg": 90}]', "target 1: azimuth is 90°"),
        ('[{"name": "../a", "azimuth_deg": 0}]', "target name is '../a'"),
        ('[{"name": "Residual", "azimuth_deg": 0}]', "target name is 'Residual'"),
        ('[{"name": "a", "azimuth_deg": 0}, {"name": "A", "azimuth_deg": 1}]', "the same name"),
    ],
)
def test_wrong_targets_are_refused(song, tmp_path, text, words):
    (tmp_path / "targets.json").write_text(text)
    refused(words, tmp_path, song, "--targets", tmp_path / "targets.json", "--out", tmp_path / "o")


def test_samples_that_are_no_sound_leave_no_file(tmp_path):
    sound = panned(0, 9 * RATE_HZ, 0)
    sound[-1] = np.nan
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, subtype="FLOAT")
    arguments = (tmp_path / "a.wav", "--azimuth", 0, "--out", tmp_path / "new" / "out")
    refused("expected finite numbers", tmp_path, *arguments)


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
    assert stemsteer(song, "--azimuth", 0, "--out", tmp_path, "--force").exit_code == 0
    assert soundfile.info(tmp_path / "residual.wav").frames == 5 * RATE_HZ


def test_the_input_is_never_written_over(song, tmp_path):
    inside = tmp_path / "residual.wav"
    song.rename(inside)
    arguments = (inside, "--azimuth", 0, "--out", tmp_path, "--force")
    refused("is the input itself", tmp_path, *arguments)


def test_a_folder_that_cannot_be_made_is_said_so(song, tmp_path):
    arguments = (song, "--azimuth", 0, "--out", song / "out")
    refused("cannot be made (not a directory)", tmp_path, *arguments)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder closed even to root")
def test_a_folder_that_cannot_be_written_to_is_said_so(song, tmp_path):
    arguments = (song, "--azimuth", 0, "--out", "/proc/self", "--format", "flac")
    refused("/proc/self cannot be written to", tmp_path, *arguments)


def test_too_little_room_is_said_before_anything_is_done(song, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    arguments = (song, "--azimuth", 0, "--out", tmp_path / "out")
    refused("0 MB of room, the stems need 2 MB", tmp_path, *arguments)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_disk_that_fills_up_in_the_middle_leaves_no_file(song, tmp_path):
    program = (
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "from plugin_bridge.cli import main\nsys.argv[0] = 'stemsteer'\nmain()\n"
    )
    command = [sys.executable, "-c", program, "render", song, "--azimuth", "0"]
    before = left_over(tmp_path)
    done = subprocess.run([*command, "--out", tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert "the disk may be full" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert left_over(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_in_the_middle_leaves_no_file(tmp_path, number):
    long = np.tile(panned(0, RATE_HZ, 0), (200, 1))
    soundfile.write(tmp_path / "a.wav", long, RATE_HZ, subtype="PCM_16")
    where = tmp_path / "out"
    command = [sys.executable, "-m", "plugin_bridge.cli", "render", tmp_path / "a.wav"]
    process = subprocess.Popen(
        [*command, "--azimuth", "0", "--out", where], stderr=subprocess.PIPE, text=True
    )
    while not (where.exists() and any(p.stat().st_size > 100_000 for p in where.iterdir())):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(number)
    _, words = process.communicate(timeout=60)
    assert words == "stemsteer: stopped\n"
    assert process.returncode == 128 + number
    assert not where.exists()
