"""Stems are judged by what is in their files, without knowing what is true."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from plugin_bridge.offline.stem_quality import SURER_DB, judge_stems
from tests.support.signals import pan

RATE_HZ = 44_100


def noise(seed, low, high, seconds=4):
    """Noise of a band of frequencies, shares of half the rate."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(seconds * RATE_HZ))
    place = np.linspace(0, 1, spectrum.size)
    return 0.1 * np.fft.irfft(spectrum * ((place > low) & (place < high)), seconds * RATE_HZ)


def judge(folder, mixture, stem, azimuth_deg=-30.0, width_deg=20.0):
    sounds = {"mix": mixture, "stem": stem, "residual": mixture - stem}
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.wav", sound, RATE_HZ, subtype="FLOAT")
    target = ("stem", folder / "stem.wav", azimuth_deg, width_deg)
    return judge_stems(folder / "mix.wav", [target], folder / "residual.wav")


OWN, OTHER = pan(noise(0, 0.05, 0.3), -30), pan(noise(1, 0.4, 0.6), 20)


def test_a_stem_that_is_the_source_is_clear(tmp_path):
    found = judge(tmp_path, OWN + OTHER, OWN)
    (stem,) = found.stems
    assert stem.verdict == "clear"
    assert stem.expected_sdr_db > 20
    assert stem.leakage_db < -20
    assert stem.left_behind_db is None or stem.left_behind_db < -40
    assert stem.level_difference_error_db < 0.1
    assert stem.active == 1
    assert found.null_db < -120


def test_what_leaks_is_said_with_where_it_comes_from(tmp_path):
    (stem,) = judge(tmp_path, OWN + OTHER, OWN + OTHER).stems
    assert stem.leakage_db == pytest.approx(-3, abs=2)
    assert stem.leakage_azimuth_deg == pytest.approx(20, abs=1)
    assert "comes from elsewhere, mostly +20°" in stem.verdict


def test_what_stays_behind_is_said(tmp_path):
    (stem,) = judge(tmp_path, OWN + OTHER, 0.4 * OWN).stems
    assert stem.left_behind_db == pytest.approx(20 * np.log10(0.6), abs=0.5)
    assert "stayed in the rest" in stem.verdict
    assert stem.expected_sdr_db < 5


def test_less_is_expected_of_a_stem_that_was_not_taken_from_a_direction(tmp_path):
    heard = 0.8 * OWN + 0.3 * OTHER
    (placed,) = judge(tmp_path, OWN + OTHER, heard).stems
    for somewhere in ((0.0, 90.0), (None, None)):
        (free,) = judge(tmp_path, OWN + OTHER, heard, *somewhere).stems
        expected = placed.expected_sdr_db - SURER_DB
        assert free.expected_sdr_db == pytest.approx(expected, abs=0.11)


def test_an_image_that_was_moved_is_measured(tmp_path):
    moved = OWN * [1, 10 ** (3 / 20)]
    (stem,) = judge(tmp_path, OWN + OTHER, moved).stems
    assert stem.level_difference_error_db == pytest.approx(3, abs=0.1)


def test_a_silent_stem_is_called_silent(tmp_path):
    (stem,) = judge(tmp_path, OWN + OTHER, 0 * OWN).stems
    assert stem.verdict.startswith("silent")
    assert (stem.expected_sdr_db, stem.leakage_db, stem.active) == (None, None, 0)


def test_activity_is_the_share_of_the_time(tmp_path):
    half = OWN.copy()
    half[len(half) // 2 :] = 0
    (stem,) = judge(tmp_path, half + OTHER, half).stems
    assert stem.active == pytest.approx(0.5, abs=0.03)


def test_stems_that_do_not_add_up_are_seen(tmp_path):
    for name, sound in {"mix": OWN + OTHER, "stem": OWN, "residual": 0.99 * OTHER}.items():
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE_HZ, subtype="FLOAT")
    target = ("stem", tmp_path / "stem.wav", -30.0, 20.0)
    found = judge_stems(tmp_path / "mix.wav", [target], tmp_path / "residual.wav")
    assert found.null_db == pytest.approx(-42, abs=2)


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_24", 24), ("PCM_32", 32)])
def test_integers_that_add_up_are_exact_and_a_single_step_is_seen(tmp_path, subtype, bits):
    full = 2.0 ** (bits - 1)
    mix, stem = (np.round(sound * full) for sound in (OWN + OTHER, OWN))
    for off, expected in ((0.0, None), (1.0, 1 / full)):
        rest = mix - stem
        rest[1000, 0] += off
        for name, sound in {"mix": mix, "stem": stem, "residual": rest}.items():
            soundfile.write(tmp_path / f"{name}.wav", sound / full, RATE_HZ, subtype=subtype)
        target = ("stem", tmp_path / "stem.wav", -30.0, 20.0)
        found = judge_stems(tmp_path / "mix.wav", [target], tmp_path / "residual.wav")
        assert found.null_peak == (expected or 0)
        assert (found.null_db is None) == (expected is None)


def test_render_writes_and_prints_a_report(tmp_path):
    soundfile.write(tmp_path / "song.wav", OWN + OTHER, RATE_HZ, subtype="PCM_24")
    command = ["render", str(tmp_path / "song.wav"), "--azimuth", "-30", "--model", "panorama"]
    command += ["--out", str(tmp_path / "out"), "--report", str(tmp_path / "report.json")]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 0, done.output
    assert "how sure" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["null_db"] is None
    assert report["stems"][0]["verdict"].split(";")[0] in ("clear", "good")
    again = CliRunner().invoke(cli.app, [*command, "--out", str(tmp_path / "more")])
    assert again.exit_code == 1
    assert "is there already" in again.stderr
    assert not (tmp_path / "more").exists()


def render_with_report(folder, report, *arguments):
    """Render a direction into `folder`/out, with a report."""
    soundfile.write(folder / "song.wav", OWN, RATE_HZ)
    command = ["render", str(folder / "song.wav"), "--azimuth", "-30", "--model", "panorama"]
    command += ["--out", str(folder / "out"), "--report", str(folder / report)]
    return CliRunner().invoke(cli.app, [*command, *arguments])


def test_columns_that_are_blank_without_one_direction_say_why(tmp_path):
    (tmp_path / "lanes.csv").write_text("seconds,target.azimuth\n0,-30\n1,30\n")
    blank = "target: leakage and left are blank, since they are told of a direction that stays"
    for arguments, is_said in (
        ((), False),
        (("--width", "90"), True),
        (("--automation", str(tmp_path / "lanes.csv")), True),
    ):
        done = render_with_report(tmp_path, "report.json", *arguments, "--force")
        assert done.exit_code == 0
        assert (blank in " ".join(done.stdout.split())) == is_said


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ("out/target.wav", "target.wav is to be a stem; choose another place for the report"),
        ("out/../out/residual.wav", "residual.wav is to be a stem"),
        ("nowhere/report.json", "report.json cannot be written, since there is no folder"),
        ("/sys/report.json", "/sys cannot be written to ("),
    ],
)
def test_a_report_that_can_have_no_place_is_refused_before_anything_is_rendered(
    tmp_path, report, words
):
    for arguments in ([], ["--force"]):
        done = render_with_report(tmp_path, report, *arguments)
        assert done.exit_code == 1
        assert words in done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]


def test_a_report_may_lie_beside_its_stems_and_replaces_nothing_that_came_meanwhile(
    tmp_path, monkeypatch
):
    assert render_with_report(tmp_path, "out/report.json").exit_code == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["stems"]
    (tmp_path / "out" / "report.json").unlink()

    def judge_late(*paths):
        (tmp_path / "out" / "report.json").write_text("mine")
        return judge_stems(*paths)

    (tmp_path / "out").rename(tmp_path / "before")
    monkeypatch.setattr("plugin_bridge.offline.stem_quality.judge_stems", judge_late)
    done = render_with_report(tmp_path, "out/report.json")
    assert done.exit_code == 1
    assert "is there already" in done.stderr
    assert (tmp_path / "out" / "report.json").read_text() == "mine"


def test_a_report_of_stems_that_are_no_parts_of_the_mix_is_refused(tmp_path):
    soundfile.write(tmp_path / "song.wav", OWN, RATE_HZ)
    command = ["render", str(tmp_path / "song.wav"), "--azimuth", "0", "--mode", "remove"]
    done = CliRunner().invoke(cli.app, [*command, "--report", str(tmp_path / "report.json")])
    assert done.exit_code == 2
    said = " ".join(done.stderr.replace("│", " ").split())
    assert "leave --chain and --mode remove out" in said


def render_with_lane(folder, name, *values):
    """Render a direction with a report and a lane of one control, a second between its values."""
    rows = "".join(f"{time_s},{value}\n" for time_s, value in enumerate(values))
    (folder / "lanes.csv").write_text(f"seconds,{name}\n{rows}")
    return render_with_report(folder, "report.json", "--automation", str(folder / "lanes.csv"))


@pytest.mark.parametrize(
    ("name", "values"),
    [("gain", (-6,)), ("gain", (0, -6, 0)), ("mix", (1, 0.5)), ("mode", (1,)), ("bypass", (0, 1))],
)
def test_a_report_of_stems_whose_levels_are_moved_is_refused(tmp_path, name, values):
    done = render_with_lane(tmp_path, name, *values)
    assert done.exit_code == 2
    assert f"leave the lanes of {name} out" in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "value"), [("gain", 0), ("mix", 1), ("azimuth", -20)])
def test_a_report_takes_lanes_that_leave_the_levels_as_they_are(tmp_path, name, value):
    done = render_with_lane(tmp_path, name, value)
    assert done.exit_code == 0, done.output
    null_db = json.loads((tmp_path / "report.json").read_text())["null_db"]
    assert null_db is None or null_db < -90, "within the rounding of 16 bits"
