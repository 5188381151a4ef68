"""The stereo field: sources are found where they were put."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from plugin_bridge.cli.scan import when
from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.offline import scan
from plugin_bridge.offline.peaks import find_peaks
from plugin_bridge.offline.stokes import AZIMUTH_DEG
from tests.support.signals import pan

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


def test_of_what_stands_out_over_all_time_few_votes_make_it_surer_too():
    def sure(every):
        level = np.zeros((15, AZIMUTH_DEG.size))
        level[:, AZIMUTH_DEG == 0] = 1
        level[::every, AZIMUTH_DEG == -30] = 0.9
        left, _ = find_peaks(level, 15.0)
        assert left.target.azimuth_deg == -30
        return left.sure

    assert 0.2 < sure(5) < sure(3) < sure(1)


def test_neighbours_keep_out_of_each_others_way(tmp_path):
    left, right = field_of(write(tmp_path / "a.wav", (-5, 7))).peaks()
    assert left.target.width_deg <= 13
    assert right.target.width_deg <= 13


def test_the_field_over_time_shows_when_a_source_sounds(tmp_path):
    first, second = pan(melody(0, 4), -30), pan(melody(1, 4), 30)
    soundfile.write(tmp_path / "a.wav", np.concatenate([first, second]), RATE_HZ)
    field = field_of(tmp_path / "a.wav")
    left = field.over_time[:, AZIMUTH_DEG < 0].sum(1)
    right = field.over_time[:, AZIMUTH_DEG > 0].sum(1)
    half = len(left) // 2
    assert left[: half - 1].sum() > 0.95 * left.sum()
    assert right[half + 1 :].sum() > 0.95 * right.sum()


def write_parts(path, parts, seconds):
    """Write melodies at (azimuth, level, start, end), beside noise of a room that is everywhere."""
    song = np.random.default_rng(9).normal(0, 1e-4, (seconds * RATE_HZ, 2))
    for seed, (azimuth_deg, level, start_s, end_s) in enumerate(parts):
        part = pan(melody(seed, end_s - start_s, level), azimuth_deg)
        song[start_s * RATE_HZ : end_s * RATE_HZ] += part
    soundfile.write(path, song, RATE_HZ, subtype="PCM_24")
    return path


def test_a_source_of_ten_seconds_is_found_with_when(tmp_path):
    parts = [(0, 0.1, 0, 90), (-20, 0.05, 0, 90), (28, 0.05, 40, 50)]
    peaks = field_of(write_parts(tmp_path / "a.wav", parts, 90)).peaks()
    surest = sorted(peaks, key=lambda peak: -peak.sure)[:3]
    left, centre, brief = sorted(surest, key=lambda peak: peak.target.azimuth_deg)
    assert [p.target.azimuth_deg for p in (left, centre, brief)] == [-20, 0, 28]
    assert {p.target.azimuth_deg for p in peaks if p.sure > 0.75} == {-20, 0, 28}
    ((start_s, end_s),) = brief.target.stretches_s
    assert start_s == pytest.approx(40, abs=2.5)
    assert end_s == pytest.approx(50, abs=2.5)
    assert left.target.stretches_s == ((0, 90),)
    assert brief.level_db > -12  # where it is heard


def test_a_weak_source_beside_a_loud_centre_is_found(tmp_path):
    parts = [(0, 0.2, 0, 60), (-27, 0.2 * 10 ** (-16 / 20), 0, 60)]
    weak, centre = field_of(write_parts(tmp_path / "a.wav", parts, 60)).peaks()
    assert weak.target.azimuth_deg == pytest.approx(-27, abs=1)
    assert weak.sure > 0.7
    assert centre.level_db > weak.level_db + 10


def test_several_stretches_are_told_apart(tmp_path):
    parts = [(0, 0.1, 0, 60), (30, 0.08, 5, 20), (30, 0.08, 40, 55)]
    peaks = field_of(write_parts(tmp_path / "a.wav", parts, 60)).peaks()
    stretches_s = peaks[-1].target.stretches_s
    assert np.ravel(stretches_s) == pytest.approx([5, 20, 40, 55], abs=2.5)


def test_a_source_that_is_spread_is_wider_than_a_point(tmp_path):
    spectrum = np.fft.rfft(melody(0, 30))
    band = (np.linspace(0, RATE_HZ / 2, spectrum.size) / 150).astype(int)
    azimuths_deg = np.random.default_rng(1).uniform(-36, -24, band[-1] + 1)
    theta = np.radians(azimuths_deg[band] + 45)
    wide = np.fft.irfft(spectrum * [np.cos(theta), np.sin(theta)], axis=1).T
    soundfile.write(tmp_path / "a.wav", wide + pan(melody(50, 30), 20), RATE_HZ, subtype="PCM_24")
    *wide_peaks, point_peak = field_of(tmp_path / "a.wav").peaks()
    assert point_peak.target.azimuth_deg == 20
    assert all(-38 <= peak.target.azimuth_deg <= -22 for peak in wide_peaks)
    assert max(peak.spread_deg for peak in wide_peaks) > 2 * point_peak.spread_deg


def test_memory_and_the_field_do_not_grow_with_the_length(tmp_path):
    lengths = {}
    for seconds in (60, 900):
        low = np.zeros((seconds * 32_000, 2), np.int16)
        low[:, 0] = np.tile(np.arange(-500, 500), seconds * 32)
        soundfile.write(tmp_path / "a.wav", low, 32_000)
        lengths[seconds] = len(field_of(tmp_path / "a.wav").over_time)
    assert lengths == {60: 300, 900: 1800}
    assert scan.COLUMNS[1] == 4096  # columns of 1.8 s in two hours


def test_scan_says_in_words_when_a_source_is_heard():
    assert when([(0.0, 99.0)], 100) == "throughout"
    assert when([(12.4, 20.0), (61.0, 75.5)], 100) == "0:12–0:20, 1:01–1:16"
    assert when([(k, k + 1.0) for k in range(0, 60, 10)], 100).endswith("0:30–0:31 and 2 more")


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
    done = CliRunner().invoke(cli.app, ["scan", str(tmp_path / "a.wav"), "--no-instruments"])
    assert done.stdout == "there is nothing but silence: it may be a wrong export\n"


def test_where_no_direction_stands_out_that_is_said(tmp_path):
    left = melody(0, 1)
    soundfile.write(tmp_path / "a.wav", np.stack((left, -left), axis=1), RATE_HZ)
    done = CliRunner().invoke(cli.app, ["scan", str(tmp_path / "a.wav"), "--no-instruments"])
    assert done.stdout.startswith("no direction stands out\n0% of the energy is diffuse, 100% out")


@pytest.mark.parametrize(
    ("sides", "options", "why"),
    [
        ((0, 0), [], "there is nothing but silence: it may be a wrong export"),
        ((0, 0), ["--instruments"], "there is nothing but silence: it may be a wrong export"),
        ((1, -1), [], "no direction stands out"),
        ((1, -1), ["--instruments"], "no instrument is heard surely enough to be named"),
    ],
)
def test_a_program_gets_a_list_without_entries_and_who_runs_it_the_reason(
    tmp_path, sides, options, why
):
    click = np.zeros(44_100)
    click[22_050] = 0.001
    soundfile.write(tmp_path / "a.wav", np.outer(click, sides), RATE_HZ, "FLOAT")
    done = CliRunner().invoke(cli.app, ["scan", str(tmp_path / "a.wav"), "--json", *options])
    assert (done.exit_code, json.loads(done.stdout)) == (0, [])
    assert done.stderr == f"{why}\n"


def test_a_few_samples_have_a_direction_and_no_stretch(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full((10, 2), 0.1), RATE_HZ)
    (peak,) = field_of(tmp_path / "a.wav").peaks()
    assert (peak.target.azimuth_deg, peak.target.stretches_s) == (0, ())


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
    for name, words in (
        ("no/x.png", "x.png cannot be written, since there is no folder"),
        ("x.svg", "x.svg: the picture is written as .png"),
    ):
        done = CliRunner().invoke(cli.app, ["scan", song, "--plot", str(tmp_path / name)])
        assert (done.exit_code, done.stdout) == (1, "")  # before it is worked out
        assert words in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["song.wav"]


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


def test_the_picture_calls_directions_as_the_table_does():
    pytest.importorskip("matplotlib")
    from plugin_bridge.offline.scan_plot import _degrees

    told = [_degrees(deg) for deg in (-29.5, -30.0, 0.0, 12.5)]
    assert told == ["−29.5°", "−30°", "0°", "+12.5°"]
