"""EfficientNet-Lite0 from its weights to a graph that gives probabilities of ImageNet's classes.

Tan & Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019; its
*lite* form has no squeeze-and-excitation and ReLU6 instead of swish. Batch norms are folded into
the convolutions before them; all of these pad as TensorFlow's SAME does, more behind than before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.conversion.archive import Arrays
from plugin_bridge.conversion.graph import Graph
from plugin_bridge.picture.spec import PICTURE_KEY, PictureSpec
from realtime.errors import StemsteerError

SIZE = 224
CLASSES = 1000
EPSILON = 1e-3
STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3),
          (5, 2, 6, 192, 4), (3, 1, 6, 320, 1))  # fmt: skip
"""Of each stage: kernel, stride, expansion, channels, blocks."""
STEM, HEAD = 32, 1280


@dataclass(frozen=True)
class Block:
    """An inverted residual block: expand, depthwise convolution, project."""

    name: str
    kernel: int
    stride: int
    given: int
    expanded: int
    made: int

    @property
    def has_shortcut(self) -> bool:
        return self.stride == 1 and self.given == self.made


def blocks() -> Iterator[Block]:
    """Yield the blocks of the network, in order."""
    given, number = STEM, 0
    for kernel, stride, expansion, made, count in STAGES:
        for k in range(count):
            yield Block(f"_blocks.{number}", kernel, stride if k == 0 else 1, given,
                        given * expansion, made)  # fmt: skip
            given, number = made, number + 1


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights by their names in the checkpoint."""
    found: dict[str, tuple[int, ...]] = {}

    def conv(name: str, norm: str, shape: tuple[int, ...]) -> None:
        found[f"{name}.weight"] = shape
        found.update({f"{norm}.{part}": shape[:1] for part in _NORM})

    conv("_conv_stem", "_bn0", (STEM, 3, 3, 3))
    for block in blocks():
        if block.expanded != block.given:
            shape = (block.expanded, block.given, 1, 1)
            conv(f"{block.name}._expand_conv", f"{block.name}._bn0", shape)
        shape = (block.expanded, 1, block.kernel, block.kernel)
        conv(f"{block.name}._depthwise_conv", f"{block.name}._bn1", shape)
        shape = (block.made, block.expanded, 1, 1)
        conv(f"{block.name}._project_conv", f"{block.name}._bn2", shape)
    conv("_conv_head", "_bn1", (HEAD, STAGES[-1][3], 1, 1))
    return found | {"_fc.weight": (CLASSES, HEAD), "_fc.bias": (CLASSES,)}


_NORM = ("weight", "bias", "running_mean", "running_var")


def convert(arrays: Arrays, path: Path, spec: PictureSpec) -> None:
    """Write the graph: ``image`` (1, 3, 224, 224), (x − 127) / 128, to ``probabilities`` (1, 1000).

    Raises StemsteerError if the weights are not those of this network.
    """
    for name, shape in shapes().items():
        found = arrays.get(name)
        if found is None or found.shape != shape:
            there = "missing" if found is None else f"of shape {found.shape}"
            raise StemsteerError(f"the weight {name} is {there}, expected {shape}")
    network = _Network(arrays)
    value, size = network.conv("image", "_conv_stem", "_bn0", SIZE, stride=2)
    for block in blocks():
        value, size = network.block(value, block, size)
    value, _ = network.conv(value, "_conv_head", "_bn1", size)
    graph = network.graph
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", value), axis=1)
    weight, bias = (graph.floats(arrays[f"_fc.{part}"]) for part in ("weight", "bias"))
    logits = graph.add("Gemm", pooled, weight, bias, transB=1)
    probabilities = graph.add("Softmax", logits, axis=1)
    graph.save(
        path, spec, {"image": (1, 3, SIZE, SIZE)},
        {"probabilities": (probabilities, (1, CLASSES))}, PICTURE_KEY,
    )  # fmt: skip


class _Network:
    """The graph in the making, and the weights it is made of."""

    def __init__(self, arrays: Arrays) -> None:
        self.graph, self._arrays = Graph(), arrays

    def block(self, value: str, block: Block, size: int) -> tuple[str, int]:
        """Add an inverted residual block; return its value and how large the picture is now."""
        inner = value
        if block.expanded != block.given:
            names = f"{block.name}._expand_conv", f"{block.name}._bn0"
            inner, _ = self.conv(inner, *names, size)
        names = f"{block.name}._depthwise_conv", f"{block.name}._bn1"
        inner, smaller = self.conv(inner, *names, size, stride=block.stride, groups=block.expanded)
        names = f"{block.name}._project_conv", f"{block.name}._bn2"
        inner, _ = self.conv(inner, *names, smaller, is_linear=True)
        return self.graph.add("Add", inner, value) if block.has_shortcut else inner, smaller

    def conv(
        self,
        value: str,
        name: str,
        norm: str,
        size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        is_linear: bool = False,
    ) -> tuple[str, int]:
        """Add a convolution of a picture of `size` with its norm folded in, and ReLU6."""
        weight, bias = self._folded(name, norm)
        kernel, smaller = weight.shape[2], -(-size // stride)
        missing = max(0, (smaller - 1) * stride + kernel - size)
        before, behind = missing // 2, missing - missing // 2
        found = self.graph.add(
            "Conv", value, self.graph.floats(weight), self.graph.floats(bias),
            kernel_shape=[kernel, kernel], strides=[stride, stride], group=groups,
            pads=[before, before, behind, behind],
        )  # fmt: skip
        if not is_linear:
            found = self.graph.add("Clip", found, self.graph.floats(0.0), self.graph.floats(6.0))
        return found, smaller

    def _folded(self, name: str, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        scale, shift, mean, variance = (self._arrays[f"{norm}.{part}"] for part in _NORM)
        factor = scale / np.sqrt(variance + EPSILON)
        return self._arrays[f"{name}.weight"] * factor[:, None, None, None], shift - mean * factor
