"""The commands that train: what they refuse, how runs end and go on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from models_onnx.networks import checkpoints, registry
from models_onnx.training import train_spain, train_timbre, train_unet, widen
from models_onnx.training.train_steer import main
from realtime.errors import StemsteerError
from realtime.model import WEIGHTS
from tests.support.commands import onnx_command


@pytest.mark.parametrize(
    ("command", "words"),
    [(main, ("steer",)), (train_timbre.main, ()), (train_spain.main, ("band-none",)),
     (train_unet.main, ("query",))],
)  # fmt: skip
def test_a_scene_that_no_memory_holds_is_refused_in_one_line(
    tmp_path, monkeypatch, command, words
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("models_onnx.networks.registry.build", pytest.fail)
    found = asked(
        *words, "--data", "none", "--out", "run", "--steps", "1", "--seconds", "900",
        command=command,
    )  # fmt: skip
    assert found.exit_code == 1
    assert found.output == "error: --seconds 900: a scene is longer than 0 and at most 60 s\n"


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``good``, ``nan``, ``text`` of one song of two stems, and an ``empty`` one."""
    root = tmp_path_factory.mktemp("songs")
    (root / "empty").mkdir()
    for kind in ("good", "nan", "text"):
        (root / kind / "song").mkdir(parents=True)
        for name in ("piano", "bass"):
            sound = np.random.default_rng(len(name)).normal(0, 0.1, 44_100).astype(np.float32)
            sound[20_000:20_100] = np.nan if kind == "nan" else 0.0
            soundfile.write(root / kind / "song" / f"{name}.wav", sound, 44_100, subtype="FLOAT")
    (root / "text" / "song" / "bass.wav").write_text("not audio")
    (root / "torn.onnx").write_bytes((WEIGHTS / "steer.onnx").read_bytes()[:50_000])
    return root


def asked(*words: str, command=main):
    return onnx_command(command, *words)


TINY = ("--config", "tiny", "--scenes", "1", "--seconds", "0.5", "--threads", "1")
ONE = (*TINY, "--steps", "1")


@pytest.mark.parametrize(
    ("network", "data", "options", "told"),
    [
        ("steer", "missing", ONE, "missing is not a folder"),
        ("steer", "empty", ONE, "holds no songs"),
        ("steer", "text", ONE, "bass.wav"),
        ("steer", "nan", (*ONE, "--seconds", "1"), "no numbers (NaN)"),
        ("steer", "good=x", ONE, "the weight is 'x', expected FOLDER=WEIGHT"),
        ("steer", "good=-1", ONE, "the weight is '-1'"),
        ("steer", "good=nan", ONE, "the weight is 'nan'"),
        ("steer", "good=0", ONE, "all weights are 0"),
        ("other", "good", ONE, "there are: steer, spain-xumx"),
        ("spain-xumx", "good", (*ONE, "--config", "band-none"), "models_onnx train-spain"),
        ("steer", "good", (*ONE, "--config", "large"), "no configuration 'large'; it has: tiny"),
        ("steer", "good", (*ONE, "--snr", "inf"), "snr is inf, expected a finite number"),
        ("steer", "good", TINY, "hours or in steps, one of the two"),
        ("steer", "good", (*ONE, "--hours", "1"), "hours or in steps, one of the two"),
        ("steer", "good", (*ONE, "--device", "gpu"), "--device gpu"),
        ("steer", "good", (*ONE, "--config", "unaimed", "--only-aim"), "no aim to teach"),
        ("steer", "good", (*ONE, "--init", "nothing.onnx"), "nothing.onnx: no such file"),
        ("steer", "good", (*ONE, "--init", "nothing"), "no checkpoint at nothing"),
        ("steer", "good", (*ONE, "--init", "torn.onnx"), "torn.onnx is not an ONNX file"),
        ("steer", "good", (*ONE, "--validation", "empty"), "holds no songs"),
    ],
)
def test_what_a_user_gets_wrong_is_said_without_a_traceback(
    songs, tmp_path, monkeypatch, network, data, options, told
) -> None:
    monkeypatch.chdir(songs)
    found = asked(network, "--data", data, *options, "--out", str(tmp_path / "run"))
    assert found.exit_code == 1
    assert told in found.output
    assert not (tmp_path / "run" / checkpoints.FILE).exists()


@pytest.mark.parametrize(
    "wrong", [("--steps", "0"), ("--steps", "-3"), ("--hours", "0"), ("--scenes", "0"),
              ("--seconds", "0"), ("--threads", "0"), ("--seed", "-1"), ("--rate", "-1"),
              ("--snr", "-0.1"), ("--snr", "nan")]
)  # fmt: skip
def test_numbers_out_of_range_are_refused(songs, tmp_path, wrong) -> None:
    found = asked("steer", "--data", str(songs / "good"), *wrong, "--out", str(tmp_path / "run"))
    assert found.exit_code == 2
    assert wrong[0] in found.output


def test_a_run_by_command_says_where_it_ended_and_goes_on(songs, tmp_path) -> None:
    out = tmp_path / "run"
    for steps in ("1", "2"):
        words = ("steer", "--data", str(songs / "good"), *TINY, "--steps", steps, "--out", str(out))
        assert f"step {steps}, 100.0%; done" in asked(*words).output
    (out / checkpoints.FILE).write_bytes((out / checkpoints.FILE).read_bytes()[:3000])
    found = asked(*words)
    assert found.exit_code == 1
    assert "not a checkpoint that can be read" in found.output


def test_a_run_by_command_trains_on_the_hops_of_the_network(songs, tmp_path) -> None:
    """Not on those of the tier direct, whose frames are half as far apart."""
    words = ("--data", str(songs / "good"), *ONE, "--out", str(tmp_path / "run"))
    assert asked("steer", *words).exit_code == 0
    found = checkpoints.load(tmp_path / "run")
    _, spec, _ = registry.build("steer", "tiny")
    assert spec.tier(found["tier"]).hop == found["about"]["sizes"]["hop"]


def test_a_folder_whose_name_has_an_equals_sign_is_a_folder(songs, tmp_path) -> None:
    (tmp_path / "a=1").symlink_to(songs / "good")
    words = ("--data", str(tmp_path / "a=1"), *ONE, "--out", str(tmp_path / "run"))
    assert asked("steer", *words).exit_code == 0
    assert checkpoints.load(tmp_path / "run")["data"] == ["a=1: 1 songs, weight 1"]


@pytest.mark.parametrize(
    ("command", "words"),
    [(main, ("steer", *TINY)), (train_unet.main, ("tiny-query", "--scenes", "1")),
     (train_timbre.main, ("--config", "tiny", "--scenes", "1", "--targets", "2"))],
)  # fmt: skip
def test_a_run_does_not_go_on_with_other_songs_that_are_called_the_same(
    songs, tmp_path, command, words
) -> None:
    out = tmp_path / "run"
    for folder in ("one", "two"):
        shutil.copytree(songs / "good", tmp_path / folder / "good")
    words = (*words, "--seconds", "0.5", "--out", out, "--data")
    first = asked(*words, tmp_path / "one" / "good", "--steps", "1", command=command)
    assert first.exit_code == 0, first.output
    before = (out / checkpoints.FILE).read_bytes()
    found = asked(*words, tmp_path / "two" / "good", "--steps", "2", command=command)
    assert found.exit_code == 1, found.output
    assert "holds a run with other songs: give what it was begun with" in found.output
    assert (out / checkpoints.FILE).read_bytes() == before
    again = asked(*words, tmp_path / "one" / "good", "--steps", "2", command=command)
    assert "step 2, 100.0%; done" in again.output
    _, spec, _ = registry.restore(out)
    assert spec.training["data"] == ["good: 1 songs, weight 1"]


def test_ctrl_c_is_said_in_one_word() -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    found = asked(command=stopped)
    assert found.exit_code == 130
    assert found.output == "stopped\n"


def test_widened_weights_are_no_run_and_replace_none(songs, tmp_path) -> None:
    words = (str(WEIGHTS / "steer.onnx"), "--out", str(tmp_path))
    assert (
        "not a configuration to widen to"
        in asked(*words, "--config", "tiny", command=widen.main).output
    )
    assert asked(*words, command=widen.main).exit_code == 0
    before = (tmp_path / checkpoints.FILE).read_bytes()
    found = asked(*words, command=widen.main)
    assert found.exit_code == 1
    assert "is there already" in found.output
    run = ("steer", "--data", str(songs / "good"), "--config", "studio", "--steps", "1")
    found = asked(*run, "--out", str(tmp_path))
    assert found.exit_code == 1
    assert "give it to --init" in found.output
    assert (tmp_path / checkpoints.FILE).read_bytes() == before


def test_weights_of_another_network_are_told_in_a_line(songs) -> None:
    network, _, _ = registry.build("steer", "tiny")
    with pytest.raises(StemsteerError, match="does not hold the weights") as told:
        registry.load_weights(network, WEIGHTS / "steer.onnx")
    assert len(str(told.value)) < 400
