"""Spleeter's U-Net told a timbre as an ONNX file: the layers of the conversion, and FiLM.

Transposed convolutions are four plain ones each, and only the newest frames go up; see
`plugin_bridge.conversion.spleeter`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models_onnx.export.onnx_files import ExportError
from models_onnx.networks.timbre_unet import CODE_SCALE, TINY, TimbreUNet
from models_onnx.networks.unet.chunks import FRAMES, FULL_SCALE
from models_onnx.networks.unet.spleeter import (
    BINS,
    LEVELS,
    OLD_SCALE,
    SIDES,
    SLOPE,
    to_arrays,
)
from plugin_bridge.conversion.graph import Graph
from plugin_bridge.conversion.spleeter import Layers, last_columns, needed_columns
from realtime.atomic import atomic_write
from realtime.model import OnnxModel
from realtime.spec import ModelSpec

TOLERANCE = {False: 1e-4, True: 0.1}
"""Largest difference of a mask, with weights in float32, and with kernels in 8 bits."""


def export_timbre_unet(
    network: TimbreUNet, spec: ModelSpec, path: Path, *, small: bool = True
) -> Path:
    """Write the separator; the file appears only when it does what the network does.

    Parameters
    ----------
    small : whether kernels are stored in 8 bits, and other weights in float16.

    Raises
    ------
    ExportError : a mask differs by more than `TOLERANCE`.
    """
    with atomic_write(path) as part:
        write_graph(network, spec, part, small=small)
        check_agreement(network, part, TOLERANCE[small])
    return path


def check_agreement(network: TimbreUNet, path: Path, tolerance: float) -> float:
    """Return by how much masks of network and file differ; ExportError above `tolerance`."""
    model, size = OnnxModel(path), network.config.listen.size
    generator = torch.Generator().manual_seed(0)
    timbres = torch.randn(3, size, generator=generator)
    timbres *= torch.tensor([[1.0], [0.5], [0.0]]) / timbres.norm(dim=-1, keepdim=True)
    worst = 0.0
    for frames, newest in ((FRAMES, 30), (2 * FRAMES, 2 * FRAMES)):
        spectrum = 1e-3 * torch.randn(frames, SIDES, BINS, 2, generator=generator)
        with torch.no_grad():
            masks = network.eval()(spectrum[None].expand(3, -1, -1, -1, -1), timbres)
        expected = masks.transpose(0, 1)[-newest:].numpy()  # (newest, targets, 2, bins)
        found = model.run(spectrum.numpy(), newest, {"timbre": timbres.numpy()})
        worst = max(worst, float(np.abs(found - expected).max()))
    if not worst <= tolerance:
        raise ExportError(
            f"the exported {model.spec.name} differs from the network by {worst:.2e}, expected at "
            f"most {tolerance:.0e}: nothing was written"
        )
    return worst


def write_graph(network: TimbreUNet, spec: ModelSpec, path: Path, *, small: bool) -> None:
    """Write the separator as it is; see `export_timbre_unet`."""
    graph = Graph(half=small, eight_bits=small)
    newest = graph.add("Cast", "newest", to=7)
    parts = [graph.add("Gather", "spectrum", graph.integer(k), axis=3) for k in (0, 1)]
    squares = graph.add("Add", *(graph.add("Mul", part, part) for part in parts))
    scaled = graph.add("Mul", graph.add("Sqrt", squares), graph.floats(FULL_SCALE))
    # (frames, 2, bins) to (1, 2, frames, bins)
    magnitude = graph.add("Unsqueeze", graph.add("Transpose", scaled, perm=[1, 0, 2]),
                          graph.integers(0))  # fmt: skip
    length = graph.add("ReduceL2", "timbre", axes=[1], keepdims=1)  # (targets, 1)
    unit = graph.add("Div", "timbre", graph.add("Max", length, graph.floats(TINY)))
    code = graph.add("Mul", unit, graph.floats(CODE_SCALE))
    masks = _Told(graph, network, code).masks(magnitude, newest)
    asked = graph.add("Unsqueeze", graph.add("Min", length, graph.floats(1.0)),
                      graph.integers(2, 3))  # fmt: skip
    # asked · masks + (1 − asked) = 1 + asked · (masks − 1)
    less = graph.add("Mul", asked, graph.add("Sub", masks, graph.floats(1.0)))
    told = graph.add("Add", less, graph.floats(1.0))
    told = graph.add("Transpose", told, perm=[2, 0, 1, 3])  # (frames, targets, 2, bins)
    graph.save(
        path,
        spec,
        {
            "spectrum": ["frames", SIDES, BINS, 2],
            "timbre": ["targets", network.config.listen.size],
            "newest": [1],
        },
        {"masks": (told, ["served", "targets", SIDES, BINS])},
    )


class _Told:
    """The network's blocks in a graph; x (targets, channels, frames, bins)."""

    def __init__(self, graph: Graph, network: TimbreUNet, code: str) -> None:
        self._graph, self._unet, self._code = graph, network.unet, code
        self._layers = Layers(graph, to_arrays(network.unet))

    def masks(self, magnitude: str, newest: str) -> str:
        """Return masks (targets, 2, newest, bins) of magnitudes (1, 2, frames, bins)."""
        graph, layers = self._graph, self._layers
        value, skips = magnitude, list[str]()
        for level in range(1, LEVELS + 1):
            skips.append(self._filmed(layers.down(value, level), f"down.{level - 1}.film"))
            if level < LEVELS:
                value = layers.normalised(skips[-1], level)
        columns = needed_columns(graph, newest)
        value = self._up(last_columns(graph, skips[-1], columns[0]), 1)
        for step in range(2, LEVELS + 1):
            both = [last_columns(graph, part, columns[step - 1])
                    for part in (skips[LEVELS - step], value)]  # fmt: skip
            value = graph.add("Concat", *both, axis=1)
            if step < LEVELS:
                value = self._up(value, step)
        return last_columns(graph, self._last(value), newest)

    def _up(self, value: str, step: int) -> str:
        """Transposed convolution, ReLU, norm and FiLM: both are one scale and one shift."""
        graph = self._graph
        factor, shift = self._layers.norm(f"up{step}.3")
        scale, more = self._film(f"up.{step - 1}.film")
        activated = graph.add("Relu", self._layers.phases(f"up{step}.0", value)[0])
        by = graph.add("Mul", scale, graph.floats(factor[:, None, None]))
        added = graph.add("Add", graph.add("Mul", scale, graph.floats(shift[:, None, None])), more)
        by, added = (graph.add("Concat", *[one] * 4, axis=1) for one in (by, added))
        return self._layers.woven(graph.add("Add", graph.add("Mul", activated, by), added))

    def _last(self, value: str) -> str:
        graph, layers = self._graph, self._layers
        old = graph.add("Sigmoid", layers.left(layers.up(value, LEVELS)))
        old = graph.add("Mul", graph.add("Sub", old, graph.floats(0.5)), graph.floats(OLD_SCALE))
        opened = graph.add("Sigmoid", self._linear("last.gate"))  # (targets, channels)
        gate = graph.add("Unsqueeze", graph.add("Mul", opened, graph.floats(2.0)),
                         graph.integers(2, 3))  # fmt: skip
        fresh = graph.add("LeakyRelu", layers.phases("last.conv", value)[0], alpha=SLOPE)
        fresh = graph.add("Mul", layers.woven(fresh), gate)
        both = graph.add("Concat", fresh, old, axis=1)
        weight, bias = layers.weights("last.leave")
        logits = graph.add("Conv", both, weight, bias, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        return graph.add("Sigmoid", logits)

    def _filmed(self, value: str, name: str) -> str:
        scale, shift = self._film(name)
        return self._graph.add("Add", self._graph.add("Mul", value, scale), shift)

    def _film(self, name: str) -> tuple[str, str]:
        """Return 1 + scale and shift, (targets, channels, 1, 1) each."""
        graph = self._graph
        both = graph.add("Unsqueeze", self._linear(f"{name}.linear"), graph.integers(2, 3))
        half = self._array(f"{name}.linear.bias").size // 2
        scale, shift = (
            graph.add("Slice", both, graph.integers(a), graph.integers(b), graph.integers(1))
            for a, b in ((0, half), (half, 2 * half))
        )
        return graph.add("Add", scale, graph.floats(1.0)), shift

    def _linear(self, name: str) -> str:
        """Return a linear layer of the code, (targets, made)."""
        weight, bias = (self._array(f"{name}.{part}") for part in ("weight", "bias"))
        graph = self._graph
        product = graph.add("MatMul", self._code, graph.floats(weight.T))
        return graph.add("Add", product, graph.floats(bias))

    def _array(self, name: str) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._unet.state_dict()[name].numpy()
        return found
