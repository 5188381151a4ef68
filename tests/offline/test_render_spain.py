"""Models with targets of their own at the command line: directions by name."""

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from models_onnx.export import export
from models_onnx.networks.spain import config as spain_config
from plugin_bridge.automation import read_automation
from plugin_bridge.cli import app as cli
from plugin_bridge.cli.sounds import SoundOptions
from plugin_bridge.cli.targets import TargetOptions
from tests.support.rendering import integers, render_song
from tests.support.spain import tiny

BAND = spain_config.TASKS["band"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    network = tiny()
    for decoder in network.decoders:  # masks of a quarter, more or less: nothing clips
        decoder.scale.data *= 0.1
        decoder.mean.data.fill_(0.25)
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    spec = spain_config.spec(network.config)
    return export(network.streaming(), spec, path, states=network.states())


def directions(done):
    assert done.exit_code == 0, done.output
    return {s["name"]: s["azimuth_deg"] for s in json.loads(done.stdout)["stems"]}


def test_sources_are_pointed_at_by_name_and_the_rest_stand_in_the_centre(song, model, tmp_path):
    out = tmp_path / "out"
    options = ("--azimuth", "guitar=-30", "--azimuth", "piano=20", "--model", model, "--json")
    found = directions(render_song(song, *options, "--out", out))
    assert found == {"guitar": -30, "strings": 0, "bass": 0, "piano": 20, "residual": None}
    stems = sum(integers(out / f"{name}.wav") for name in (*BAND, "residual"))
    assert np.array_equal(stems, integers(song))  # to the last bit


def test_another_direction_of_one_source_gives_another_stem(song, model, tmp_path):
    for folder, azimuth in (("a", "-30"), ("b", "30")):
        options = ("--azimuth", f"guitar={azimuth}", "--model", model, "--out", tmp_path / folder)
        assert render_song(song, *options).exit_code == 0
    guitars = [soundfile.read(tmp_path / f / "guitar.wav")[0] for f in "ab"]
    assert np.abs(guitars[0] - guitars[1]).max() > 3e-4


def test_a_source_moves_by_its_lane(song, model, tmp_path):
    lanes = tmp_path / "lanes.csv"
    lanes.write_text("seconds,guitar.azimuth\n0,-30\n2,-30\n2.1,30\n")
    options = ("--model", model, "--automation", lanes, "--out", tmp_path / "moved", "--json")
    found = directions(render_song(song, *options))
    assert list(found) == [*BAND, "residual"]
    still = ("--model", model, "--azimuth", "guitar=-30", "--out", tmp_path / "still")
    assert render_song(song, *still).exit_code == 0
    moved, same = (soundfile.read(tmp_path / f / "guitar.wav")[0] for f in ("moved", "still"))
    assert np.abs(moved - same)[: int(1.9 * 44_100)].max() < 1e-4
    assert np.abs(moved - same)[int(2.2 * 44_100) :].max() > 3e-4


def test_a_file_of_targets_names_sources_of_the_model(song, model, tmp_path):
    file = tmp_path / "targets.json"
    file.write_text('[{"name": "piano", "azimuth_deg": 20}]')
    found = directions(
        render_song(song, "--targets", file, "--model", model, "--out", tmp_path / "o", "--json")
    )
    assert found == {"guitar": 0, "strings": 0, "bass": 0, "piano": 20, "residual": None}


def test_a_width_that_counts_for_nothing_is_said_and_not_shown(song, model, tmp_path):
    words = ("--model", model, "--azimuth", "guitar=-30", "--width", "9")
    done = render_song(song, *words, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "is told where a sound is and no width: the width is left aside" in done.stderr
    assert "-30°" in done.stdout
    assert "9°" not in done.stdout.split("of sound")[0]
    again = ("--out", tmp_path / "again", "--report", tmp_path / "r.json", "--json")
    done = render_song(song, *words, *again)
    assert {stem["width_deg"] for stem in json.loads(done.stdout)["stems"]} == {None}
    assert all(
        s["leakage_db"] is not None for s in json.loads((tmp_path / "r.json").read_text())["stems"]
    )
    quiet = render_song(song, *words[:4], "--out", tmp_path / "quiet")
    assert "width" not in quiet.stderr


def test_several_directions_by_name_do_for_any_model(song, tmp_path):
    options = ("--azimuth", "left=-30", "--azimuth", "right=25", "--model", "panorama")
    found = directions(render_song(song, *options, "--out", tmp_path / "out", "--json"))
    assert found == {"left": -30, "right": 25, "residual": None}


@pytest.mark.parametrize(
    ("azimuths", "words"),
    [
        (["-30"], "say which, --azimuth guitar=-30"),
        (["drums=0"], "no target drums; it has guitar, strings, bass, piano"),
        (["guitar=0", "guitar=1"], "'guitar' is there twice: give each direction a name"),
        (["guitar=0", "10"], "with names or one without, not both"),
        (["=10"], "expected DEG, or NAME=DEG"),
        (["guitar=left"], "expected DEG, or NAME=DEG"),
        ([], "say what: --instrument WORD, --picture FILE, --azimuth"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(song, model, tmp_path, azimuths, words):
    options = [part for azimuth in azimuths for part in ("--azimuth", azimuth)]
    done = render_song(song, *options, "--model", model, "--out", tmp_path / "out")
    assert done.exit_code != 0
    plain = " ".join(done.output.replace("│", " ").split())
    assert words in plain
    assert not (tmp_path / "out").exists()


def test_lanes_and_names_together_make_the_targets(tmp_path):
    file = tmp_path / "lanes.csv"
    file.write_text("seconds,b.azimuth\n0,10\n")
    targets = TargetOptions(["a=5"]).wanted(read_automation(file, 44_100), (), SoundOptions(), {})
    assert [(t.name, t.azimuth_deg) for t in targets] == [("a", 5), ("b", 0)]


def test_live_plays_a_model_with_targets_of_its_own(song, model, tmp_path):
    done = CliRunner().invoke(
        cli.app,
        ["live", "--model", str(model), "--azimuth", "guitar=-30", "--input-file", str(song),
         "--output-file", str(tmp_path / "heard.wav"), "--record", str(tmp_path / "take"),
         "--no-osc"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert soundfile.info(tmp_path / "heard.wav").frames >= soundfile.info(song).frames
    names = {p.stem for p in (tmp_path / "take").glob("*.wav")}
    assert {*BAND, "residual"} <= names
