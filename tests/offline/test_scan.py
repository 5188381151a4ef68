"""The stereo field: sources are found where they were put."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.offline import scan

RATE_HZ = 44_100


def melody(seed, seconds, level=0.1):
    """Notes of a few partials, one after the other: a source that others can be heard beside."""
    rng = np.random.default_rng(seed)
    tuning_hz = 110 * 2 ** rng.uniform(-0.04, 0.04)
    time_s = np.arange(RATE_HZ // 4) / RATE_HZ
    notes = []
    for _ in range(seconds * 4):
        pitch_hz = tuning_hz * 2 ** (rng.integers(0, 36) / 12)
        turns = [k * pitch_hz * time_s + rng.uniform() for k in range(1, 6)]
        partials = [np.sin(2 * np.pi * turn) / k for k, turn in enumerate(turns, 1)]
        notes.append(np.exp(-4 * time_s) * np.sum(partials, axis=0))
    return level * np.roll(np.concatenate(notes), rng.integers(time_s.size))


def pan(sound, azimuth_deg):
    theta = np.radians(azimuth_deg + 45)
    return np.stack([np.cos(theta) * sound, np.sin(theta) * sound], axis=1)


def write(path, azimuths_deg, seconds=8, rate_hz=RATE_HZ):
    song = sum(pan(melody(seed, seconds), az) for seed, az in enumerate(azimuths_deg))
    soundfile.write(path, song, rate_hz, subtype="PCM_24")
    return path


def field_of(path):
    with AudioReader(path) as source:
        return scan.scan(source)


@pytest.mark.parametrize(
    "azimuths_deg",
    [(-45,), (45,), (0,), (-33.3,), (-45, 45), (-30, 0, 30), (-40, -12, 7, 21), (-20, -10, 35)],
)
def test_panned_sources_are_found_within_two_degrees_and_nothing_else(tmp_path, azimuths_deg):
    found = [
        p.target.azimuth_deg for p in field_of(write(tmp_path / "a.wav", azimuths_deg)).peaks()
    ]
    assert len(found) == len(azimuths_deg)
    assert np.abs(np.array(found) - azimuths_deg).max() <= 2


def test_a_hard_panned_source_that_leaks_inverted_is_still_hard_panned(tmp_path):
    sound = melody(0, 4)
    for channels, azimuth_deg in (([1, -0.001], -45), ([-0.001, 1], 45)):
        soundfile.write(tmp_path / "a.wav", sound[:, None] * channels, RATE_HZ, subtype="FLOAT")
        field = field_of(tmp_path / "a.wav")
        assert [peak.target.azimuth_deg for peak in field.peaks()] == [azimuth_deg]
        assert field.out_of_phase < 0.01


def test_a_sound_shorter_than_a_window_is_seen(tmp_path):
    sound = np.zeros((3000, 2))
    sound[-200:] = pan(melody(0, 1)[:200], 20)
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ)
    assert [peak.target.azimuth_deg for peak in field_of(tmp_path / "a.wav").peaks()] == [20]


@pytest.mark.parametrize("rate_hz", [32_000, 96_000])
def test_sources_are_found_at_every_sample_rate(tmp_path, rate_hz):
    peaks = field_of(write(tmp_path / "a.wav", (-25, 15), rate_hz=rate_hz)).peaks()
    assert [round(p.target.azimuth_deg) for p in peaks] == pytest.approx([-25, 15], abs=2)


def test_neighbours_keep_out_of_each_others_way(tmp_path):
    left, right = field_of(write(tmp_path / "a.wav", (-5, 7))).peaks()
    assert left.target.width_deg <= 13
    assert right.target.width_deg <= 13


def test_the_field_over_time_shows_when_a_source_sounds(tmp_path):
    first, second = pan(melody(0, 4), -30), pan(melody(1, 4), 30)
    soundfile.write(tmp_path / "a.wav", np.concatenate([first, second]), RATE_HZ)
    field = field_of(tmp_path / "a.wav")
    left = field.over_time[:, scan.AZIMUTH_DEG < 0].sum(1)
    right = field.over_time[:, scan.AZIMUTH_DEG > 0].sum(1)
    half = len(left) // 2
    assert left[: half - 1].sum() > 0.95 * left.sum()
    assert right[half + 1 :].sum() > 0.95 * right.sum()


def test_independent_channels_are_diffuse_and_inverted_ones_out_of_phase(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (4 * RATE_HZ, 2))
    soundfile.write(tmp_path / "wide.wav", noise, RATE_HZ)
    soundfile.write(tmp_path / "inverted.wav", noise[:, :1] * [1, -1], RATE_HZ)
    wide, inverted = field_of(tmp_path / "wide.wav"), field_of(tmp_path / "inverted.wav")
    assert wide.diffuse > 0.15
    assert inverted.out_of_phase > 0.99
    assert inverted.diffuse < 0.01


def test_a_mono_file_is_in_the_centre(tmp_path):
    soundfile.write(tmp_path / "a.wav", melody(0, 2), RATE_HZ)
    (peak,) = field_of(tmp_path / "a.wav").peaks()
    assert (peak.target.name, peak.target.azimuth_deg) == ("centre", 0)


def test_silence_has_no_peaks(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((1000, 2)), RATE_HZ)
    assert field_of(tmp_path / "a.wav").peaks() == []


def test_what_scan_prints_goes_straight_into_render(tmp_path):
    song = str(write(tmp_path / "song.wav", (-30, 0, 30)))
    done = CliRunner().invoke(cli.app, ["scan", song, "--json"])
    assert [entry["name"] for entry in json.loads(done.stdout)] == ["left-30", "centre", "right-30"]
    (tmp_path / "targets.json").write_text(done.stdout)
    options = ["--targets", str(tmp_path / "targets.json"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(cli.app, ["render", song, *options, "--model", "panorama"])
    assert done.exit_code == 0, done.output
    for name, truth in (("left-30", 0), ("centre", 1), ("right-30", 2)):
        estimate, _ = soundfile.read(tmp_path / "out" / f"{name}.wav")
        others = [np.corrcoef(estimate.sum(1), melody(seed, 8))[0, 1] for seed in range(3)]
        assert np.argmax(others) == truth
        assert others[truth] > 0.85


def test_the_picture_is_a_png_of_some_size(tmp_path):
    song = str(write(tmp_path / "so$ng_{x}.wav", (-30, 20)))
    picture = tmp_path / "field.png"
    done = CliRunner().invoke(cli.app, ["scan", song, "--plot", str(picture)])
    assert done.exit_code == 0, done.output
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    from matplotlib.image import imread

    assert np.ptp(imread(picture)[..., :3]) > 0.8


def test_a_picture_that_cannot_be_written_is_said_so(tmp_path):
    song = str(write(tmp_path / "song.wav", (0,), seconds=1))
    done = CliRunner().invoke(cli.app, ["scan", song, "--plot", str(tmp_path / "no" / "x.png")])
    assert done.exit_code == 1
    assert "no such file or directory" in done.stderr


def test_a_picture_replaces_no_file_unless_told_so_and_never_the_song(tmp_path):
    song = write(tmp_path / "song.wav", (0,), seconds=1)
    before = song.read_bytes()
    done = CliRunner().invoke(cli.app, ["scan", str(song), "--plot", str(song), "--force"])
    assert (done.exit_code, song.read_bytes()) == (1, before)
    assert "is the input itself" in done.stderr
    picture = tmp_path / "field.png"
    picture.write_text("mine")
    command = ["scan", str(song), "--plot", str(picture)]
    done = CliRunner().invoke(cli.app, command)
    assert (done.exit_code, picture.read_text()) == (1, "mine")
    assert "is there already; replace it with --force" in done.stderr
    assert CliRunner().invoke(cli.app, [*command, "--force"]).exit_code == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["field.png", "song.wav"]
