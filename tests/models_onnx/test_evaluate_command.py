"""The command that evaluates: its tables and reports, and what it refuses."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile

from models_onnx.evaluation import metrics
from models_onnx.evaluation.evaluate import main
from realtime import StemsteerError
from realtime.model import WEIGHTS
from tests.support.commands import onnx_command
from tests.support.engine_sandbox import absent
from tests.support.tones import RATE_HZ, tones, write_songs


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


def test_the_command_prints_tables_and_writes_its_numbers(songs: Path, tmp_path: Path) -> None:
    options = ["--data", str(songs), "--model", "panorama", "--scenes", "2", "--seconds", "0.5"]
    options += ["--error-scenes", "1", "--out", str(tmp_path / "new" / "v0.5")]
    result = asked(*options)
    assert result.exit_code == 0
    for text in ("panorama live", "oracle", "mix/N", "nearest other source", "wrong by"):
        assert text in result.output
    found = json.loads((tmp_path / "new" / "v0.5.json").read_text())
    assert found["facts"]["scenes"] == 2
    assert {row["system"] for row in found["rows"]} >= {"mix", "mix/N", "panorama", "oracle"}
    assert (tmp_path / "new" / "v0.5.png").read_bytes()[:4] == b"\x89PNG"


def test_two_files_of_one_name_are_two_systems(songs: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("mine", "yours"):
        Path(folder).mkdir()
        shutil.copy(WEIGHTS / "panorama.onnx", folder)
    models = ["mine/panorama.onnx", "yours/panorama.onnx", "mine/panorama.onnx"]
    options = ["--scenes", "1", "--seconds", "0.5", "--error-scenes", "0", "--out", "judged"]
    options += [word for name in models for word in ("--model", name)]
    done = asked("--data", songs, *options)
    assert done.exit_code == 0, done.output
    rows = json.loads(Path("judged.json").read_text())["rows"]
    found = [row["system"] for row in rows if row["target"] == rows[0]["target"]]
    assert sorted(found) == sorted(
        {"mix", "mix/N", "panorama", "oracle"}
        | {"mine/panorama.onnx live", "yours/panorama.onnx live"}
    )


def test_a_report_is_strict_json_whatever_songs_are_called(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "NaN").mkdir()
    for k, name in enumerate(("Infinity", "NaN")):
        sound = 0.1 * tones(np.random.default_rng(k), RATE_HZ)
        soundfile.write(tmp_path / "NaN" / f"{name}.wav", sound, RATE_HZ)
    monkeypatch.setattr(metrics, "si_sdr_db", lambda *_: float("-inf"))  # as of a silent estimate
    options = ["--data", str(tmp_path / "NaN"), "--scenes", "1", "--seconds", "0.5"]
    done = asked(*options, "--error-scenes", "0", "--out", str(tmp_path / "report"))
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert found["facts"]["data"] == "NaN"
    assert {row["instrument"] for row in found["rows"]} == {"NaN/Infinity", "NaN/NaN"}
    assert {row["si_sdr_db"] for row in found["rows"]} == {None}


asked = partial(onnx_command, main)


@pytest.mark.parametrize(
    ("data", "options", "told"),
    [
        ("missing", (), "missing is not a folder"),
        ("empty", (), "holds no songs"),
        ("text", (), "bass.wav"),
        ("nan", (), "no numbers (NaN)"),
        ("silent", (), "nothing to judge"),
        ("good", ("--model", "other"), "no model 'other'; there are:"),
        ("good", ("--model", "panorama", "--tier", "fast"), "it has direct, live, studio, offline"),
        ("good", ("--model", "spain-xumx"), "models_onnx spain-table"),
        ("good", ("--model", "plain.onnx"), "plain.onnx"),
        ("good", ("--out", "v1.2"), "v1.2.json is there already"),
        ("good", ("--out", "."), "--out .: expected the name of a file"),
        ("good", ("--out", "/"), "--out /: expected the name of a file"),
    ],
)
def test_what_a_user_gets_wrong_is_said_without_a_traceback(
    tmp_path, monkeypatch, data, options, told
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    for folder in ("text", "nan", "silent", "good"):
        Path(folder).mkdir()
        for k, name in enumerate(("piano", "bass")):
            sound = 0.1 * tones(np.random.default_rng(k), RATE_HZ) * (folder != "silent")
            sound[500:] *= np.nan if folder == "nan" else 1.0
            soundfile.write(f"{folder}/{name}.wav", sound, RATE_HZ, subtype="FLOAT")
    Path("text/bass.wav").write_text("not audio")
    Path("v1.2.json").write_text("kept")
    plain = onnx.load(WEIGHTS / "panorama.onnx")
    del plain.metadata_props[:]
    onnx.save(plain, "plain.onnx")
    found = asked("--data", data, "--scenes", "1", "--seconds", "0.5", *options)
    assert found.exit_code == 1
    assert told in " ".join(found.output.split())
    assert Path("v1.2.json").read_text() == "kept"


def test_the_word_synthetic_renders_held_out_songs(tmp_path, monkeypatch) -> None:
    soundfonts = pytest.importorskip("models_onnx.data.sounds.soundfonts", exc_type=ImportError)
    try:
        assert soundfonts.HELD_OUT[0].path
    except StemsteerError as error:
        absent(str(error))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("models_onnx.evaluation.evaluate.SYNTHETIC_HOURS", 0.001)
    render = pytest.importorskip("models_onnx.data.rendering.render")
    one = partial(render.render, workers=1)  # for one song two would each load the soundfont
    monkeypatch.setattr(render, "render", one)
    options = ["--data", "synthetic", "--scenes", "1", "--seconds", "1", "--error-scenes", "0"]
    done = asked(*options, "--out", "judged")
    assert done.exit_code == 0, done.output
    assert {"judged.json", "judged.png"} == {path.name for path in tmp_path.iterdir()}
    assert len(json.loads(Path("judged.json").read_text())["rows"]) >= 8  # 4 systems, 2 targets
