"""Models in our own form, which a user has trained: added, given by path, and refused."""

import shutil

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from realtime.encoder import load_encoder
from realtime.model import OnnxModel, load_model
from tests.support.models import source_model, timbre_model
from tests.support.rendering import noise_song, stemsteer
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
    return CliRunner().invoke(cli.app, ["models", *map(str, words)])


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
    taken = stemsteer(song, "--model", "mine", "--like", "song.wav@0-1", "--out", "out")
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
    done = stemsteer(song, *words)
    assert done.exit_code == 0, done.output
    kept = CliRunner().invoke(
        cli.app, ["timbres", "add", "mine", "song.wav@0-1", "--model", str(trained)]
    )
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
