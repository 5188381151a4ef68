"""The command that judges by timbre: its tables, and what it refuses."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from models_onnx.evaluation import timbre_scenes
from models_onnx.evaluation.by_timbre import main
from models_onnx.evaluation.timbre_scenes import real_songs
from models_onnx.export.gains import main as gains_main
from realtime.errors import StemsteerError
from realtime.model import load_model
from tests.support.commands import onnx_command
from tests.support.timbre_songs import write_named, write_shards
from tests.support.timbres import RATE_HZ
from tests.support.unets import unet_file


def test_named_stems_are_judged_by_the_command(songs: Path, model: Path, tmp_path: Path) -> None:
    folder = write_named(tmp_path / "named", songs)
    words = ("--model", str(model), "--real", str(folder), "--by", "name")
    result = asked(*words, "--out", str(tmp_path / "rows.json"))
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "rows.json").read_text())
    named = [row for row in rows if row["system"] == "name" and not row["absent"]]
    assert {row["instrument"] for row in named} == {"drums", "bass", "vocals"}
    assert len(named) == 6


@pytest.mark.parametrize("name", ["steer", "query-unet"])
def test_a_model_by_name_finds_its_own_encoder_in_any_folder(
    songs: Path, model: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(model.parent)  # with an encoder of another model
    assert Path("encoders/listen.onnx").is_file()
    result = asked("--model", name, "--real", str(songs), "--by", "query")
    assert result.exit_code == 0, result.output


def test_what_is_no_folder_of_songs_is_said(
    songs: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "shards").mkdir()
    write_shards(tmp_path / "shards")
    nobody = tmp_path / "nobody" / "song"
    nobody.mkdir(parents=True)
    for number in range(2):
        noise = np.random.default_rng(number).normal(0, 0.1, 20_000)
        soundfile.write(nobody / f"stem_0{number}.wav", noise, RATE_HZ)
    for folder, told in (
        ("missing", "missing is not a folder"),
        ("empty", "empty has no <song>/METADATA.yaml"),
        ("empty", "<song>/<stem>.wav"),
        ("shards", "holds songs of the renderer: give it as --data"),
        ("nobody", "nothing to judge: in no song do two different instruments sound"),
    ):
        result = asked("--model", str(model), "--real", str(tmp_path / folder))
        assert result.exit_code == 1
        assert told in result.output
    monkeypatch.setattr(timbre_scenes, "MOST_STEMS_S", 0.5)
    with pytest.raises(StemsteerError, match="minutes of stems, expected at most"):
        real_songs(tmp_path / "nobody")


def test_every_way_of_asking_is_in_the_table(songs: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    command = ["--model", str(model), "--real", str(songs), "--out", str(out)]
    result = asked(*command)
    assert result.exit_code == 0, result.output
    rows = json.loads(out.read_text())
    found = {row["system"] for row in rows}
    assert found == {"direction", "name", "together", "query", "few", "few, against", "both",
                     "learned", "iterative", "true", "mix", "mix/N", "panorama",
                     "oracle"}  # fmt: skip
    for system in found:
        own = [r for r in rows if r["system"] == system and not r["absent"]]
        assert {r["instrument"] for r in own} == {"drums", "bass", "vocals"}
        assert len(own) == 6
    gains = {s: np.mean([r["gain_db"] for r in rows if r["system"] == s and not r["absent"]])
             for s in found}  # fmt: skip
    assert gains["mix"] == pytest.approx(0, abs=1e-6)
    assert gains["oracle"] > 5
    absent = {row["instrument"] for row in rows if row["absent"]}
    assert "violin" in absent
    assert "drums" not in absent
    assert "not there" in result.output


def test_one_way_may_be_asked_for_and_an_unknown_one_is_named(songs: Path, model: Path) -> None:
    command = ["--model", str(model), "--real", str(songs), "--by", "name"]
    result = asked(*command, "--codec", "mp3")
    assert result.exit_code == 0, result.output
    assert "query" not in result.output
    result = asked(*command, "--codec", "wma")
    assert "--codec wma: expected mp3 or ogg" in result.output
    result = asked(*command, "--by", "smell")
    assert result.exit_code == 1
    assert "--by smell: expected one of direction, name" in result.output
    assert ', few, "few, against", both' in result.output
    result = asked("--model", "panorama", "--real", str(songs))
    assert "takes no timbre" in result.output


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a model that is told names, and has no encoder."""
    return unet_file(tmp_path_factory.mktemp("named"), "activity")


def test_a_model_without_an_encoder_is_asked_by_names(
    songs: Path, named: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.json"
    result = asked("--model", str(named), "--real", str(songs), "--out", str(out))
    assert result.exit_code == 0, result.output
    rows = json.loads(out.read_text())
    assert {r["system"] for r in rows} == {"name", "together", "mix", "mix/N", "panorama", "oracle"}
    by_name = [r for r in rows if r["system"] == "name" and not r["absent"]]
    assert {r["instrument"] for r in by_name} == {"drums", "bass", "vocals"}
    found = onnx_command(gains_main, named, "--measured", out)
    assert found.exit_code == 0, found.output
    assert set(load_model(named).spec.gains_db["live"]) == {"drums", "bass", "vocals"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--by", "query"),
            "--by query: MODEL takes no examples, it can be asked by name, together",
        ),
        (("--by", "name", "--by", "few, against"), "--by few, against: MODEL takes no examples"),
        (
            ("--by", "both"),
            "--by both: MODEL takes no direction, it can be asked by name, together",
        ),
        (("--off", "4"), "--off: MODEL takes no direction"),
        (("--encoder", "listen"), "MODEL is told names alone: leave out --encoder"),
    ],
)
def test_what_a_model_without_an_encoder_cannot_be_asked_is_said(
    songs: Path, named: Path, words: tuple[str, ...], told: str
) -> None:
    result = asked("--model", str(named), "--real", str(songs), *words)
    assert result.exit_code == 1
    assert told.replace("MODEL", str(named)) in result.output


def test_songs_without_the_instruments_of_a_model_are_said(songs: Path, tmp_path: Path) -> None:
    model = unet_file(tmp_path, "label-none")
    result = asked("--model", str(model), "--real", str(songs))
    assert result.exit_code == 1
    assert "the songs have none, but bass, drums, vocals" in result.output


asked = partial(onnx_command, main)


def test_the_table_has_directions_that_are_off(songs: Path, model: Path) -> None:
    command = ["--model", str(model), "--real", str(songs), "--by", "direction", "--off", "8"]
    result = asked(*command)
    assert result.exit_code == 0, result.output
    assert "both, 8° off" in " ".join(result.output.replace("│", " ").split())
