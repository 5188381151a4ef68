"""Rendering from disk to disk, as a user asks for it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_bridge.control.target import Target
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.files.stem_files import StemFiles
from plugin_bridge.offline.render import RenderSettings, aligned_stems, render
from realtime import Separator, load_model
from tests.support.rendering import RATE_HZ, integers, left_over, panned, render_song


def test_a_direction_and_the_rest_come_out_as_files_like_the_input(song, tmp_path):
    done = render_song(song, "--azimuth", -30, "--width", 15, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    assert left_over(tmp_path / "out") == ["residual.wav", "target.wav"]
    for name in ("target", "residual"):
        info = soundfile.info(tmp_path / "out" / f"{name}.wav")
        assert (info.samplerate, info.frames, info.channels) == (RATE_HZ, 5 * RATE_HZ, 2)
        assert info.subtype == "PCM_16"


def test_the_report_lists_what_was_done(song, tmp_path):
    done = render_song(song, "--azimuth", -30, "--out", tmp_path / "out", "--json")
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


def test_a_target_that_is_hardly_there_is_said_and_no_other(tmp_path):
    soundfile.write(tmp_path / "a.wav", panned(-30, RATE_HZ, 1), RATE_HZ, subtype="FLOAT")
    arguments = (tmp_path / "a.wav", "--model", "panorama", "--out", tmp_path / "out", "--force")
    assert render_song(*arguments, "--azimuth", -30).stderr == ""
    said = render_song(*arguments, "--azimuth", "target=-30", "--azimuth", "x=40").stderr
    assert said.startswith("stemsteer: x: 40 dB or more below the rest, so there is little to take")
    assert said.count("\n") == 1
    soundfile.write(tmp_path / "a.wav", np.zeros((RATE_HZ, 2)), RATE_HZ)
    said = render_song(*arguments, "--azimuth", "target=-30", "--azimuth", "x=40").stderr
    assert said.startswith("stemsteer: every stem is silent"), "and nothing is below the rest"
    assert said.count("\n") == 1


def test_a_command_that_is_told_has_the_name_of_the_file_as_a_shell_takes_it(tmp_path):
    soundfile.write(tmp_path / "my song.wav", panned(-30, RATE_HZ, 1), RATE_HZ, subtype="FLOAT")
    directions = ("--azimuth", "target=-30", "--azimuth", "x=40", "--model", "panorama")
    done = render_song(tmp_path / "my song.wav", *directions, "--out", tmp_path / "out")
    assert f"`stemsteer scan '{tmp_path}/my song.wav'` shows what comes from where" in done.stderr


def test_a_mono_file_by_direction_is_answered_with_what_it_can_give(tmp_path):
    soundfile.write(tmp_path / "a.wav", panned(0, RATE_HZ, 1)[:, :1], RATE_HZ)
    done = render_song(tmp_path / "a.wav", "--azimuth", -30, "--out", tmp_path / "out")
    assert done.exit_code == 0
    expected = "a.wav is mono and has no directions: take a sound by --instrument\n"
    assert done.stderr == f"stemsteer: {tmp_path}/{expected}"


def test_sounds_of_before_beside_the_stems_are_named_and_stay(song, tmp_path):
    arguments = (song, "--model", "panorama", "--out", tmp_path / "out", "--force")
    first = render_song(*arguments, "--azimuth", "left=-30", "--azimuth", "right=25")
    assert first.stderr == ""
    (tmp_path / "out" / "notes.txt").write_text("mine")
    second = render_song(*arguments, "--azimuth", -30)
    assert second.stderr == (
        f"stemsteer: left.wav, right.wav in {tmp_path / 'out'} were there before and are no part "
        "of these stems, which add up to the mix without them\n"
    )
    assert "left.wav" in left_over(tmp_path / "out")
    (tmp_path / "out" / "left.wav").unlink()
    third = render_song(*arguments, "--azimuth", -30)
    assert f"right.wav in {tmp_path / 'out'} was there before and is no part" in third.stderr
    inside = render_song(
        song, "--model", "panorama", "--azimuth", -30, "--out", tmp_path, "--force"
    )
    assert inside.stderr == "", "the song itself is no stem"


@pytest.mark.parametrize("tier", ["direct", "live", "studio", "offline"])
def test_integer_stems_sum_to_the_mix_to_the_last_bit(song, tmp_path, tier):
    targets = tmp_path / "targets.json"
    targets.write_text(
        '[{"name": "left", "azimuth_deg": -30}, {"name": "right", "azimuth_deg": 25}]'
    )
    done = render_song(song, "--targets", targets, "--out", tmp_path / "out", "--tier", tier)
    assert done.exit_code == 0, done.output
    stems = [integers(tmp_path / "out" / f"{n}.wav") for n in ("left", "right", "residual")]
    assert np.array_equal(sum(stems), integers(song))


@pytest.mark.parametrize(("model", "below_db"), [("panorama", -20), ("steer", -12)])
def test_a_target_is_the_sound_of_its_direction_and_in_time_with_it(
    song, tmp_path, model, below_db
):
    out = tmp_path / "out"
    assert render_song(song, "--azimuth", -30, "--model", model, "--out", out).exit_code == 0
    estimate, _ = soundfile.read(out / "target.wav")
    truth = panned(-30, 5 * RATE_HZ, 1)
    error = np.square(estimate - truth).sum() / np.square(truth).sum()
    assert 10 * np.log10(error) < below_db  # 0 for silence and for the mix, +3 for another time


def test_the_separator_in_pieces_gives_what_render_writes(song, tmp_path):
    mixture = soundfile.read(song, dtype="float32")[0].T
    separator = Separator(load_model("panorama"), RATE_HZ, tier="offline")
    separator.set(azimuth_deg=-30, width_deg=20)
    pairs = list(aligned_stems(iter(np.array_split(mixture, 57, axis=1)), separator))
    assert np.array_equal(np.concatenate([p[0] for p in pairs], axis=1), mixture)
    target = np.concatenate([p[1] for p in pairs], axis=2)[0]
    done = render_song(
        song, "--azimuth", -30, "--out", tmp_path, "--subtype", "FLOAT", "--model", "panorama"
    )
    assert done.exit_code == 0
    written = soundfile.read(tmp_path / "target.wav", dtype="float32")[0].T
    assert np.abs(written - target).max() <= 1e-6


def test_a_file_shorter_than_the_latency_keeps_its_length(tmp_path):
    soundfile.write(tmp_path / "a.wav", panned(0, 7, 0), RATE_HZ, subtype="PCM_16")
    assert render_song(tmp_path / "a.wav", "--azimuth", 0, "--out", tmp_path).exit_code == 0
    total = integers(tmp_path / "target.wav") + integers(tmp_path / "residual.wav")
    assert np.array_equal(total, integers(tmp_path / "a.wav"))


def test_mono_and_other_rates_work(tmp_path):
    for rate_hz, channels in ((32_000, 2), (48_000, 1), (96_000, 2), (192_000, 1)):
        sound = panned(0, rate_hz, 0)[:, :channels]
        soundfile.write(tmp_path / "a.flac", sound, rate_hz, subtype="PCM_24")
        done = render_song(tmp_path / "a.flac", "--azimuth", 0, "--out", tmp_path, "--force")
        assert done.exit_code == 0, done.output
        info = soundfile.info(tmp_path / "residual.flac")
        assert (info.samplerate, info.channels, info.frames) == (rate_hz, channels, rate_hz)
        assert info.subtype == "PCM_24"


def test_remove_writes_only_what_is_left(song, tmp_path):
    where = tmp_path / "out"
    assert render_song(song, "--azimuth", -30, "--mode", "remove", "--out", where).exit_code == 0
    assert left_over(where) == ["residual.wav"]
    assert render_song(song, "--azimuth", -30, "--out", tmp_path / "both").exit_code == 0
    both = integers(tmp_path / "both" / "residual.wav")
    assert np.abs(both - integers(where / "residual.wav")).max() <= 1  # of 16 bits


def test_format_and_subtype_are_as_asked(song, tmp_path):
    done = render_song(
        song, "--azimuth", 0, "--format", "flac", "--subtype", "pcm_24", "--out", tmp_path
    )
    assert done.exit_code == 0
    assert soundfile.info(tmp_path / "target.flac").subtype == "PCM_24"


def test_clipped_samples_are_counted_and_said(tmp_path):
    soundfile.write(tmp_path / "a.wav", 8 * panned(0, RATE_HZ, 0), RATE_HZ, subtype="FLOAT")
    done = render_song(
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
        settings = RenderSettings([Target("a", 0)])
        render(source, load_model("panorama"), settings, tmp_path, progress=steps.append)
    assert sum(steps) == 5 * RATE_HZ
    assert len(steps) > 1


def test_many_targets_have_no_more_sound_in_memory_at_a_time_than_eight_have(tmp_path):
    song, model, most = tmp_path / "song.wav", load_model("panorama"), {}
    soundfile.write(song, panned(0, 9 * RATE_HZ, 0), RATE_HZ)
    for count in (1, 8, 32):
        steps = []
        settings = RenderSettings([Target(f"t{k}", k) for k in range(count)])
        with AudioReader(song) as source:
            render(source, model, settings, tmp_path / str(count), progress=steps.append)
        assert sum(steps) == 9 * RATE_HZ
        most[count] = max(steps)
    assert most == {1: 4 * RATE_HZ, 8: 4 * RATE_HZ, 32: RATE_HZ}


def test_what_ends_a_render_waits_for_the_block_that_is_being_written(song, tmp_path, monkeypatch):
    """A file that is closed while another thread encodes into it would end the process."""
    events, write, discard = [], StemFiles.write, StemFiles.discard

    def slow(self, *blocks):
        events.append(threading.current_thread() is threading.main_thread())
        time.sleep(0.2)
        write(self, *blocks)
        events.append("written")

    def noted(self):
        events.append("discarded")
        discard(self)

    def stop(samples):
        raise KeyboardInterrupt

    monkeypatch.setattr(StemFiles, "write", slow)
    monkeypatch.setattr(StemFiles, "discard", noted)
    settings = RenderSettings([Target("target", -30)])
    with AudioReader(song) as source, pytest.raises(KeyboardInterrupt):
        render(source, load_model("panorama"), settings, tmp_path / "out", progress=stop)
    assert events == [False, "written", "discarded"]
    assert not (tmp_path / "out").exists()


def test_the_steepest_null_of_a_shipped_network_is_no_fault_of_it(tmp_path):
    song = Path(__file__).parents[2] / "build" / "demo" / "mix.flac"
    done = render_song(
        song, "--azimuth", "-30", "--width", "25", "--json", "--out", tmp_path / "stems"
    )
    report = json.loads(done.stdout)
    assert report["model"] == "steer"
    assert report["model_faults"] == 0
