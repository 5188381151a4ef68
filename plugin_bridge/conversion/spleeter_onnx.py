"""Spleeter's networks out of ONNX files that others exported: their weights, never their graph.

No model is made of a graph from anywhere. Its layers must be those of the network, in their order;
then both are run on noise, and one that computes anything else is refused.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from plugin_bridge.conversion import spleeter
from plugin_bridge.conversion.archive import Arrays
from plugin_bridge.conversion.budget import MAX_BYTES
from plugin_bridge.conversion.spleeter import BINS, LEVELS
from plugin_bridge.trial import RUN_S, check
from realtime.errors import StemsteerError
from realtime.model import load_model, open_session
from realtime.spec import ModelSpec

FRAMES = 512  # of a file that leaves it open, as Spleeter's pieces
MAX_DIFFERENCE = 2e-3  # of factors, between a file with weights in float16 and ours
_PARTS = ("weight", "bias", "running_mean", "running_var")
_LAYERS = {
    "Conv": [*(f"down{k}_conv.1" for k in range(1, LEVELS + 1)), "up7.0"],
    "ConvTranspose": [f"up{k}.0" for k in range(1, LEVELS + 1)],
    "BatchNormalization": [
        *(f"down{k}_act.0" for k in range(1, LEVELS + 1)),
        *(f"up{k}.3" for k in range(1, LEVELS + 1)),
    ],
}


def read_network(path: Path) -> spleeter.UNet:
    """Read the network of one source from an ONNX file, whose graph runs in another process.

    Raises
    ------
    StemsteerError if it is broken, another network, or computes something else.
    """
    network = _network_of(path)
    check(compare, path, RUN_S)
    return network


def _network_of(path: Path) -> spleeter.UNet:
    graph = read_graph(path)
    constants = _constants(graph)
    weights: Arrays = {}
    for kind, layers in _LAYERS.items():
        nodes = [node for node in graph.node if node.op_type == kind]
        if kind == "BatchNormalization" and len(nodes) == len(layers) - 1:
            layers = [name for name in layers if name != f"down{LEVELS}_act.0"]  # unused there
        if len(nodes) != len(layers):
            raise StemsteerError(
                f"{path} is not Spleeter's network: {len(nodes)} times {kind}, expected "
                f"{len(layers)}"
            )
        for node, layer in zip(nodes, layers, strict=True):
            for part, name in zip(_PARTS, node.input[1:], strict=False):
                if name not in constants:
                    raise StemsteerError(f"{path}: the weights {name!r} of {layer} are computed")
                weights[f"{layer}.{part}"] = constants[name]
    for part in _PARTS:  # of the deepest batch norm, which nothing reads
        weights.setdefault(f"down{LEVELS}_act.0.{part}", np.ones(512, np.float32))
    return spleeter.UNet(weights, elu=any(node.op_type == "Elu" for node in graph.node))


def read_graph(path: Path) -> onnx.GraphProto:
    """Read the graph of an ONNX file.

    Raises
    ------
    StemsteerError if the file is none, damaged, empty or too long.
    """
    if path.stat().st_size > MAX_BYTES:
        raise StemsteerError(f"{path} has more than {MAX_BYTES >> 30} GB")
    try:
        graph: onnx.GraphProto = onnx.load(path, load_external_data=False).graph
    except Exception as error:  # protobuf raises classes of its own
        raise StemsteerError(
            f"{path} is not an ONNX file that can be read ({error}), expected a whole one: "
            "download or export it again"
        ) from None
    if not graph.node:
        raise StemsteerError(f"{path} holds no network, expected an ONNX file with one")
    return graph


def _constants(graph: onnx.GraphProto) -> Arrays:
    """What a graph holds fixed, by name; also behind the nodes Constant, Identity and Cast."""
    found = {one.name: _floats(one) for one in graph.initializer}
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            found[node.output[0]] = _floats(value)
        elif node.op_type in ("Identity", "Cast") and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def _floats(tensor: onnx.TensorProto) -> NDArray[np.float32]:
    if tensor.external_data:
        raise StemsteerError(
            f"it keeps its weights in other files ({tensor.name or 'a constant'}): export it as one"
        )
    try:
        array = numpy_helper.to_array(tensor)
        return np.ascontiguousarray(array, np.float32)
    except (ValueError, TypeError) as error:
        raise StemsteerError(f"the constant {tensor.name!r} cannot be read: {error}") from None


def compare(path: Path) -> None:
    """Run a file and the network of its weights on noise; raises StemsteerError if they differ."""
    network = _network_of(path)
    session = open_session(path)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        raise StemsteerError(
            f"{path} is not Spleeter's network: expected one input of float32, magnitudes "
            "(2, pieces, frames, 1024) or (pieces, 2, frames, 1024)"
        )
    told = inputs[0].shape
    frames = told[2] if isinstance(told[2], int) else FRAMES
    if frames < 1 or frames % 64 or frames > 4 * FRAMES:
        raise StemsteerError(f"{path} takes {frames} frames, expected a multiple of 64")
    drawn = np.random.default_rng(0).standard_normal((frames, 2, BINS, 2)).astype(np.float32)
    spectrum = drawn * np.float32(1e-3)
    magnitude = np.sqrt((spectrum**2).sum(-1)).transpose(1, 0, 2) * np.float32(2048)
    # magnitude (2, frames, bins)
    factors = _factors(network, spectrum).transpose(1, 0, 2)
    differences = []
    for axis in (1, 0):
        given = np.expand_dims(magnitude, axis)
        if any(isinstance(n, int) and n != m for n, m in zip(told, given.shape, strict=True)):
            continue
        try:
            got = session.run([outputs[0].name], {inputs[0].name: given})[0]
        except Exception:  # onnxruntime raises a dozen classes of its own
            continue
        if got.size == magnitude.size:
            got = got.reshape(magnitude.shape)
            differences += [np.abs(got - factors).max(), np.abs(got - factors * magnitude).max()]
    if not differences or not min(differences) <= MAX_DIFFERENCE:
        least = f"{min(differences):.2g}" if differences else "it does not run"
        raise StemsteerError(
            f"{path} does not compute what Spleeter's network does (difference {least}): refused"
        )


def _factors(network: spleeter.UNet, spectrum: NDArray[np.float32]) -> NDArray[np.float32]:
    """Factors (frames, 2, bins) by our own graph of the network."""
    spec = ModelSpec("checked", spleeter.OFFLINE_TIERS, {}, "channels", bins=BINS,
                     targets=("source",))  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "checked.onnx"
        spleeter.convert({"source": network}, file, spec, half=False)
        masks: NDArray[np.float32] = load_model(file).run(spectrum, len(spectrum))
    return masks[:, 0]
