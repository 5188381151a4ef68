"""The bundled song is what its description says."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.commands import onnx_command
from tests.support.engine_sandbox import absent

FOLDER = Path(__file__).parents[2] / "build" / "demo"


@pytest.fixture(scope="module")
def song():
    return json.loads((FOLDER / "song.json").read_text())


@pytest.fixture(scope="module")
def mix(song):
    audio, rate_hz = soundfile.read(FOLDER / song["mix"])
    assert rate_hz == song["sample_rate"] == 44_100
    assert audio.shape == (song["frames"], 2)
    return audio.T


def panned(entry) -> np.ndarray:
    stem, _ = soundfile.read(FOLDER / entry["file"])
    angle = np.radians(entry["azimuth_deg"] + 45)
    return np.outer([np.cos(angle), np.sin(angle)], stem)


def test_the_panned_stems_sum_to_the_mix_within_the_rounding_of_16_bits(song, mix):
    total = sum(panned(entry) for entry in song["stems"])
    assert np.abs(total - mix).max() <= 0.51 / 32768


def test_the_song_lasts_15_to_20_seconds_and_takes_at_most_2_mib(song):
    assert 15 <= song["frames"] / song["sample_rate"] <= 20
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 2 * 2**20


def test_every_stem_is_heard_and_nothing_clips(song, mix):
    assert 4 <= len(song["stems"]) <= 5
    assert all(np.sqrt((panned(entry) ** 2).mean()) > 0.01 for entry in song["stems"])
    assert 0.3 < np.abs(mix).max() < 0.99


def test_files_that_are_there_are_kept(tmp_path):
    pytest.importorskip("fluidsynth", reason="needs libfluidsynth3", exc_type=ImportError)
    from models_onnx.data.rendering import demo_song
    from models_onnx.data.rendering.commands import demo_song as command

    (tmp_path / "bass.flac").write_bytes(b"mine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_song, "write_song", lambda _: {"stems": [], "frames": 0})
        found = onnx_command(command, "--out", tmp_path)
        assert found.exit_code == 1
        assert "bass.flac is there already: give another --out, or --force" in found.output
        assert onnx_command(command, "--out", tmp_path, "--force").exit_code == 0


def test_the_script_writes_the_song_that_is_bundled(song, tmp_path):
    pytest.importorskip("fluidsynth", reason="needs libfluidsynth3", exc_type=ImportError)
    from models_onnx.data.rendering.demo_song import FLUID, files_of, write_song
    from realtime.errors import StemsteerError

    try:
        assert FLUID.path
    except StemsteerError as error:
        absent(str(error))
    assert write_song(tmp_path) == song
    assert sorted(tmp_path.iterdir()) == sorted(files_of(tmp_path))
    for name in ["mix.flac", *(entry["file"] for entry in song["stems"])]:
        bundled, _ = soundfile.read(FOLDER / name)
        again, _ = soundfile.read(tmp_path / name)
        assert np.sqrt(((bundled - again) ** 2).mean()) < 1e-3, name
