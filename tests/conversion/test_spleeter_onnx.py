"""Spleeter's networks as others export them to ONNX become models, and nothing else does."""

import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from plugin_bridge.conversion import spleeter
from plugin_bridge.conversion.spleeter_onnx import read_network
from realtime import StemsteerError, find_model, load_model
from tests.support.commands import stemsteer
from tests.support.unet import ReferenceUNet, random_weights

pytestmark = pytest.mark.usefixtures("models")


class Exported(torch.nn.Module):
    """The network as exporters wrap it: pieces before or behind the channels, magnitudes out."""

    def __init__(self, weights, *, channels_first, magnitudes):
        super().__init__()
        self.network = ReferenceUNet(weights)
        self.channels_first, self.magnitudes = channels_first, magnitudes

    def forward(self, x):
        seen = x.permute(1, 0, 2, 3) if self.channels_first else x
        factors = self.network(seen)
        out = factors * seen if self.magnitudes else factors
        return out.permute(1, 0, 2, 3) if self.channels_first else out


def export(path, weights, *, channels_first=True, magnitudes=True, frames=64):
    path.parent.mkdir(exist_ok=True)
    example = torch.ones((2, 1, frames, 1024) if channels_first else (1, 2, frames, 1024))
    network = Exported(weights, channels_first=channels_first, magnitudes=magnitudes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (example,), str(path), opset_version=17, dynamo=False,
                          input_names=["x"], output_names=["y"])  # fmt: skip
    return path


@pytest.mark.parametrize("channels_first", [True, False])
@pytest.mark.parametrize("magnitudes", [True, False])
def test_the_weights_of_an_exported_network_are_read(tmp_path, channels_first, magnitudes):
    weights = random_weights()
    file = export(
        tmp_path / "vocals.onnx", weights, channels_first=channels_first, magnitudes=magnitudes
    )
    found = read_network(file).weights
    for name in spleeter.SHAPES:
        if "down6_act" not in name:  # nothing reads it, so an export leaves it out
            np.testing.assert_array_equal(found[name], weights[name])


def test_both_networks_make_the_two_files_that_a_checkpoint_makes(tmp_path, models):
    for seed, name in enumerate(("vocals", "accompaniment")):
        export(tmp_path / "spleeter" / f"{name}.onnx", random_weights(seed))
    done = stemsteer("models", "add", tmp_path / "spleeter", "--name", "mine")
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in models.iterdir()) == ["mine-offline.onnx", "mine.onnx"]
    assert load_model("mine").spec.targets == ("vocals",)


def test_the_singers_network_alone_serves_every_tier(tmp_path):
    export(tmp_path / "vocals.onnx", random_weights())
    done = stemsteer("models", "add", tmp_path / "vocals.onnx", "--name", "mine")
    assert done.exit_code == 0, done.output
    assert set(load_model("mine").spec.tiers) == {"live", "studio", "lookahead", "offline"}


def test_a_model_of_ours_is_added_as_it_is(tmp_path, models):
    theirs = tmp_path / "again.onnx"
    theirs.write_bytes(find_model("panorama").read_bytes())
    assert stemsteer("models", "add", theirs).exit_code == 0
    assert (models / "again.onnx").read_bytes() == theirs.read_bytes()


def changed(file, change):
    """Save a file again after `change` of its graph."""
    model = onnx.load(file)  # all of it is in this file
    change(model.graph)
    file.write_bytes(model.SerializeToString())


def louder(graph):
    """Give it another last layer: the weights are read, yet the network is another."""
    node = next(n for n in reversed(graph.node) if n.op_type == "Sigmoid")
    node.op_type = "HardSigmoid"


def fewer(graph):
    graph.node.remove(next(n for n in graph.node if n.op_type == "BatchNormalization"))


def kernels(graph):
    """The weights of convolutions, wherever the exporter puts them."""
    values = [a.t for node in graph.node for a in node.attribute if a.name == "value"]
    return [one for one in [*graph.initializer, *values] if len(one.dims) == 4]


def nothing(graph):
    for one in kernels(graph):
        broken = np.full(one.dims, np.nan, np.float32)
        one.CopyFrom(numpy_helper.from_array(broken, one.name))


def elsewhere(graph):
    one = kernels(graph)[0]
    one.ClearField("raw_data")
    one.data_location = onnx.TensorProto.EXTERNAL
    entry = one.external_data.add()
    entry.key, entry.value = "location", "passwords"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (louder, "does not compute what Spleeter's network does"),
        (fewer, "times BatchNormalization, expected"),
        (nothing, "NaN or Inf"),
        (elsewhere, "keeps its weights in other files"),
    ],
)
def test_a_graph_that_is_another_is_refused_with_the_reason(tmp_path, models, change, words):
    file = export(tmp_path / "vocals.onnx", random_weights())
    changed(file, change)
    with pytest.raises(StemsteerError, match=words):
        read_network(file)
    done = stemsteer("models", "add", file)
    assert done.exit_code != 0
    assert not models.exists() or list(models.iterdir()) == []


def test_files_that_are_no_networks_of_spleeters_are_refused(tmp_path):
    (tmp_path / "vocals.onnx").write_bytes(b"no graph at all")
    with pytest.raises(StemsteerError, match="not an ONNX file"):
        read_network(tmp_path / "vocals.onnx")
    for name, words in (("drums.onnx", "expected vocals.onnx alone"), ("x.whl", "is no package")):
        (tmp_path / name).write_bytes(b"")
        done = stemsteer("models", "add", tmp_path / name)
        assert done.exit_code != 0
        assert words in str(done.exception) + done.output
