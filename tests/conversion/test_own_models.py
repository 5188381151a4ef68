"""Models in our own form, which a user has trained: added, given by path, and refused."""

import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest

from plugin_bridge import trial
from realtime.encoder import load_encoder
from realtime.model import OnnxModel, load_model
from realtime.spec import Tier
from tests.support.commands import stemsteer
from tests.support.models import source_model, timbre_model
from tests.support.rendering import noise_song, render_song
from tests.support.unets import unet_file


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network by example as its export leaves it: its file, and its encoder beside it."""
    return unet_file(tmp_path_factory.mktemp("trained"), "query")


@pytest.fixture(autouse=True)
def added(tmp_path, monkeypatch):
    """A data folder of one's own; gives the folder of models that are added."""
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data" / "models"


def models(*words):
    return stemsteer("models", *words)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.onnx"))


def test_a_model_by_example_is_added_with_its_encoder_and_both_are_removed(
    trained, added, tmp_path
):
    encoder = f"encoders/{OnnxModel(trained).spec.encoder}.onnx"
    done = models("add", trained, "--name", "mine")
    assert done.exit_code == 0, done.output
    assert files(added) == [encoder, "mine.onnx"]
    song = noise_song(tmp_path)
    taken = render_song(song, "--model", "mine", "--like", "song.wav@0-1", "--out", "out")
    assert taken.exit_code == 0, taken.output
    assert models("add", trained, "--name", "other").exit_code == 0
    models("remove", "other")
    assert files(added) == [encoder, "mine.onnx"], "the encoder is needed by the other model"
    models("remove", "mine")
    assert files(added) == []


def test_a_model_by_example_without_its_encoder_is_added_and_what_is_missing_is_said(
    trained, added, tmp_path
):
    alone = shutil.copyfile(trained, tmp_path / "alone.onnx")
    done = models("add", alone)
    assert done.exit_code == 0, done.output
    identity = OnnxModel(trained).spec.encoder
    assert f"takes no examples yet: its encoder '{identity}' is not here" in done.stderr
    assert files(added) == ["alone.onnx"]


def test_a_model_whose_encoder_comes_along_gets_no_second_one(added, tmp_path):
    listen = load_encoder().spec.encoder
    path = timbre_model(tmp_path / "t.onnx", {"vocals": (1.0, 0.0)}, encoder=listen)
    done = models("add", path)
    assert done.exit_code == 0, done.output
    assert files(added) == ["t.onnx"]
    assert "encoder" not in done.stderr


def test_a_model_given_by_its_path_finds_the_encoder_beside_it(trained, tmp_path):
    song = noise_song(tmp_path)
    words = ("--model", str(trained), "--like", "song.wav@0-1", "--out", "out")
    done = render_song(song, *words)
    assert done.exit_code == 0, done.output
    kept = stemsteer("timbres", "add", "mine", "song.wav@0-1", "--model", trained)
    assert kept.exit_code == 0, kept.output


def test_another_model_that_is_called_as_a_tier_is_not_removed(added, tmp_path):
    for name in ("a", "b"):
        source_model(tmp_path / f"{name}.onnx", {"vocals": 0.5})
    for file, name in (("a", "mine"), ("a", "mine-studio"), ("b", "mine-live")):
        done = models("add", tmp_path / f"{file}.onnx", "--name", name, "--force")
        assert done.exit_code == 0, done.output
    done = models("remove", "mine")
    assert done.exit_code == 0, done.output
    assert files(added) == ["mine-live.onnx"]


def test_a_model_that_is_replaced_leaves_no_file_of_its_tiers(added, tmp_path):
    for name in ("a", "b"):
        source_model(tmp_path / f"{name}.onnx", {"vocals": 0.5})
    for name in ("mine", "mine-offline"):
        models("add", tmp_path / "a.onnx", "--name", name, "--force")
    assert files(added) == ["mine-offline.onnx", "mine.onnx"]
    loud = source_model(tmp_path / "loud.onnx", {"vocals": 1e6})
    assert models("add", loud, "--name", "mine", "--force").exit_code == 1
    assert files(added) == ["mine-offline.onnx", "mine.onnx"], "nothing goes where nothing comes"
    done = models("add", tmp_path / "b.onnx", "--name", "mine", "--force")
    assert done.exit_code == 0, done.output
    assert files(added) == ["mine.onnx"]
    assert load_model("mine", "offline").spec.name == "b"


def test_a_model_is_not_replaced_where_the_file_of_another_would_be_taken_for_it(added, tmp_path):
    for name in ("a", "b"):
        source_model(tmp_path / f"{name}.onnx", {"vocals": 0.5})
    models("add", tmp_path / "b.onnx", "--name", "mine-live")
    for force in ([], ["--force"]):
        done = models("add", tmp_path / "a.onnx", "--name", "mine", *force)
        assert done.exit_code == 1
        assert "would be taken for 'mine' in its tier" in done.stderr
        assert "`stemsteer models remove mine-live` first\n" in done.stderr
    assert files(added) == ["mine-live.onnx"]


@pytest.mark.parametrize("named", [True, False], ids=["by --name", "by its file"])
def test_a_name_that_is_a_tier_of_another_model_needs_force(added, tmp_path, named):
    path = source_model(tmp_path / "steer-live.onnx", {"vocals": 0.5})
    words = ["add", path]
    if named:
        words = ["add", path.rename(tmp_path / "own.onnx"), "--name", "steer-live"]
    done = models(*words)
    assert done.exit_code == 1
    assert "'steer-live' would be taken for 'steer' in the tier 'live'" in done.stderr
    assert files(added) == []
    assert models(*words, "--force").exit_code == 0
    assert files(added) == ["steer-live.onnx"]


def test_the_weights_of_a_model_that_lie_beside_it_come_into_the_file(added, tmp_path):
    sources = {f"source {number}": 0.02 for number in range(50)}
    whole = onnx.load(source_model(tmp_path / "mine.onnx", sources))
    beside = {"save_as_external_data": True, "location": "mine.data", "size_threshold": 100}
    onnx.save(whole, tmp_path / "mine.onnx", **beside)
    done = models("add", tmp_path / "mine.onnx")
    assert done.exit_code == 0, done.output
    (tmp_path / "mine.data").unlink()  # the shares of the sources, 200 bytes
    assert load_model(added / "mine.onnx").spec.targets == tuple(sources)


@pytest.mark.parametrize("name", ["my model", "-x", "a:b@c"])
def test_a_name_that_is_taken_from_a_file_has_to_be_one(added, tmp_path, name):
    path = source_model(tmp_path / f"{name}.onnx", {"vocals": 0.5})
    done = models("add", path)
    assert done.exit_code == 1
    assert f"would be called {name!r}, expected letters, digits" in done.stderr
    assert files(added) == []
    assert models("add", path, "--name", "mine").exit_code == 0


def test_a_model_whose_targets_could_name_no_file_is_refused(added, tmp_path):
    done = models("add", source_model(tmp_path / "mine.onnx", {"a/../b": 0.5}))
    assert done.exit_code == 1
    assert "a target of this model is called 'a/../b', expected up to 200 bytes" in done.stderr
    assert files(added) == []


@pytest.mark.parametrize("rate_hz", [16_000, 384_000])
def test_a_model_of_another_rate_than_files_have_is_tried_at_the_nearest(added, tmp_path, rate_hz):
    path = source_model(tmp_path / "mine.onnx", {"vocals": 0.5}, sample_rate=rate_hz)
    done = models("add", path)
    assert done.exit_code == 0, done.output
    song = noise_song(tmp_path)
    taken = render_song(song, "--model", "mine", "--instrument", "vocals", "--out", "out")
    assert taken.exit_code == 0, taken.output


def test_a_model_that_asks_for_far_too_much_memory_is_refused_in_a_line(added, tmp_path):
    huge = {"offline": Tier(65_536, 65_536, 32_768, lookahead=1024)}
    path = source_model(tmp_path / "mine.onnx", {"vocals": 0.5}, sample_rate=1000, tiers=huge)
    render = ("render", noise_song(tmp_path), "--model", path, "--all", "--out", "out")
    for done in (models("add", path), stemsteer(*render)):
        assert done.exit_code == 1
        assert "stemsteer: model 'mine' asks for too much memory" in done.stderr
    assert files(added) == []


@pytest.mark.parametrize("name", ["foo.onnx", "efficientnet-lite0", "spleeter"])
def test_a_name_that_no_command_finds_or_that_is_of_another_kind_is_refused(added, tmp_path, name):
    path = source_model(tmp_path / "mine.onnx", {"vocals": 0.5})
    done = models("add", path, "--name", name)
    assert done.exit_code
    assert f"'{name}'" in done.stderr
    assert files(added) == []
    called = source_model(tmp_path / f"{name}.onnx", {"vocals": 0.5})
    done = models("add", called)
    assert done.exit_code == 1
    assert "another with --name" in done.stderr
    assert files(added) == []


def test_of_two_that_add_a_model_of_one_name_one_is_told_that_it_is_there(
    added, tmp_path, monkeypatch
):
    other = source_model(tmp_path / "other.onnx", {"bass": 0.5})
    check = trial.check

    def late(*words):
        check(*words)
        shutil.copy(other, added / "mine.onnx")

    monkeypatch.setattr(trial, "check", late)
    path = source_model(tmp_path / "mine.onnx", {"vocals": 0.5})
    done = models("add", path)
    assert done.exit_code == 1
    assert "mine.onnx is there by now: another command" in done.stderr
    assert load_model("mine").spec.targets == ("bass",)
    assert models("add", path, "--force").exit_code == 0
    assert load_model("mine").spec.targets == ("vocals",)
    assert files(added) == ["mine.onnx"]


def test_a_model_without_windows_at_the_rate_of_most_files_is_refused(added, tmp_path):
    tiers = {"offline": Tier(64, 64, 32)}
    path = source_model(tmp_path / "m.onnx", {"vocals": 0.5}, tiers=tiers, sample_rate=768_000)
    done = models("add", path)
    assert done.exit_code == 1
    assert "has no windows at 44100 Hz" in done.stderr
    assert files(added) == []


@pytest.mark.parametrize("content", ["cut", "text", "empty"])
def test_a_damaged_file_is_said_to_be_damaged(added, tmp_path, content):
    path = source_model(tmp_path / "mine.onnx", {"vocals": 0.5})
    path.write_bytes({"cut": path.read_bytes()[:-100], "text": b"hello", "empty": b""}[content])
    done = models("add", path)
    assert done.exit_code == 1
    assert "mine.onnx " in done.stderr
    said = "holds no network" if content == "empty" else "download or export it again"
    assert said in done.stderr
    assert "spec" not in done.stderr
    assert files(added) == []


@pytest.mark.parametrize("name", ["vocals.pth", "mine.onnx", "4stems.tar.gz"])
def test_a_pipe_is_refused_and_not_waited_for(added, tmp_path, name):
    os.mkfifo(tmp_path / name)
    done = models("add", tmp_path / name)
    assert done.exit_code == 1
    assert "is neither a file nor a folder" in done.stderr


def test_a_pipe_among_the_models_is_removed_and_not_waited_for(added, tmp_path):
    added.mkdir(parents=True)
    os.mkfifo(added / "x.onnx")
    program = f"timeout 20 {sys.executable} -m plugin_bridge.cli models"
    removed = subprocess.run([*program.split(), "remove", "x"], capture_output=True, text=True)
    assert removed.returncode == 0, removed.stderr
    assert files(added) == []


def test_a_folder_that_is_called_as_an_archive_is_a_folder(added, tmp_path):
    (tmp_path / "x.tar.gz").mkdir()
    done = models("add", tmp_path / "x.tar.gz")
    assert done.exit_code == 1
    assert "x.tar.gz is no weights that are known" in done.stderr


def without_spec(path, target):
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, target)
    return target


def test_an_onnx_file_without_our_spec_is_said_to_lack_it(added, tmp_path):
    path = source_model(tmp_path / "mine.onnx", {"vocals": 0.5})
    done = models("add", without_spec(path, tmp_path / "nometa.onnx"))
    assert done.exit_code == 1
    assert (
        "carries no Stemsteer spec (metadata key 'stemsteer', see realtime/spec.py)" in done.stderr
    )
    unknown = models("add", tmp_path / "nothing.here")
    assert "a model file of ours" in unknown.stderr
    several = tmp_path / "several"
    several.mkdir()
    for name in ("a", "b"):
        source_model(several / f"{name}.onnx", {"vocals": 0.5})
    assert "added one by one" in models("add", several).stderr
    assert files(added) == []


@pytest.mark.parametrize(
    ("share", "words"), [(1e6, "reach 1e+06, 120 dB above the mix"), (np.nan, "NaN or Inf")]
)
def test_masks_that_are_none_are_refused_for_their_true_reason(added, tmp_path, share, words):
    done = models("add", source_model(tmp_path / "mine.onnx", {"vocals": share}))
    assert done.exit_code == 1
    assert words in done.stderr
    assert files(added) == []
