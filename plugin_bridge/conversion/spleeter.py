"""Spleeter's U-Net (Hennequin, Khlif, Voituret & Moussallam, JOSS 2020) as a model of ours.

A network a source takes the magnitudes of both channels (Hann frames of 4096, 1024 apart, 1024
bins) and gives a factor for each of them. Six strided convolutions go down, six transposed ones up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.conversion.archive import Arrays
from plugin_bridge.conversion.graph import Graph
from realtime.errors import StemsteerError
from realtime.spec import ModelSpec, Runs, Tier

WINDOW, STEP, BINS = 4096, 1024, 1024
LEVELS = 6
SLIDING = 64  # frames, the fewest that the strides allow
PIECE = 448  # frames offline
BEFORE, BEHIND = 31, 32  # of these, frames on either side of those that serve
EPSILON = 1e-3  # of the batch norm
_SLOPE = 0.2  # of the leaky ReLU below zero
_TAPS = ([3, 1], [4, 2, 0])  # of a transposed convolution, for even and odd outputs
_BLOCK_TAPS = ((0, 3, 1), (0, 4, 2, 0), (1, 3, 1), (1, 4, 2, 0))
"""For four outputs in a row: the first input, of four, and the taps of it and those after it."""
_REACH = 3  # columns at the left of an upsampled stretch that lack an input
LIVE_TIERS = {
    "live": Tier(WINDOW, 512, 256, 0, Runs(SLIDING, STEP, every=5, age=3, partial=2)),
    "studio": Tier(
        WINDOW, 2048, 512, 3, Runs(SLIDING, STEP, every=3, age=-1, partial=4, mirrored=True)
    ),
    "lookahead": Tier(
        WINDOW, 2048, 512, 11, Runs(SLIDING, STEP, every=4, age=-9, partial=4, mirrored=True)
    ),
}
OFFLINE_TIERS = {
    "offline": Tier(
        WINDOW,
        WINDOW,
        STEP,
        PIECE - BEFORE - 1,
        Runs(PIECE, STEP, every=PIECE - BEFORE - BEHIND, age=1 + BEFORE - PIECE, fade=BEHIND),
    ),
}
"""Its pieces begin where the original's do: the first frame that is centred in the sound is the
65th of the first piece, and the strides of the levels fall on every 64th."""


@dataclass(frozen=True)
class UNet:
    """The weights of one source's network, by the names of torch's modules; activation down and up.

    ``down<l>_conv.1``, ``down<l>_act.0`` and ``up<l>.0``, ``up<l>.3`` for the levels 1 to 6, and
    ``up7.0``; each with weight and bias, the batch norms (``_act.0``, ``.3``) with running mean and
    variance too.
    """

    weights: Arrays
    elu: bool = False

    def __post_init__(self) -> None:
        for name, shape in SHAPES.items():
            found = self.weights.get(name)
            if found is None or found.shape != shape:
                was = "no" if found is None else f"{found.shape}"
                raise StemsteerError(f"not Spleeter's network: {was} {name!r}, expected {shape}")
            if not np.isfinite(found).all():
                raise StemsteerError(f"the weights are broken: {name!r} has NaN or Inf")


def convert(
    networks: Mapping[str, UNet],
    path: Path,
    spec: ModelSpec,
    *,
    half: bool = True,
    softmax: bool = False,
) -> None:
    """Write a model of networks, of which the first are those of `spec.targets`; it appears whole.

    One network's output is the mask of its source. Several have theirs squared and divided by the
    sum over the sources, as the original does.

    Parameters
    ----------
    half : whether weights are stored in float16.
    softmax : whether the networks' outputs are exponents that the sources share, as in the five
        stems, and not factors of their own.
    """
    if list(networks)[: len(spec.targets)] != list(spec.targets):
        raise ValueError(f"networks of {list(networks)}, expected {list(spec.targets)} first")
    graph = Graph(half=half)
    newest = graph.add("Cast", "newest", to=7)
    parts = [graph.add("Gather", "spectrum", graph.integer(k), axis=3) for k in (0, 1)]
    squares = graph.add("Add", *(graph.add("Mul", part, part) for part in parts))
    size = graph.add("Mul", graph.add("Sqrt", squares), graph.floats(WINDOW / 2))
    # (frames, 2, bins) to (1, 2, frames, bins)
    magnitude = graph.add("Unsqueeze", graph.add("Transpose", size, perm=[1, 0, 2]),
                          graph.integers(0))  # fmt: skip
    outputs = [_logits(graph, network, magnitude, newest) for network in networks.values()]
    masks = graph.add("Concat", *outputs, axis=0) if len(outputs) > 1 else outputs[0]
    masks = graph.add("Softmax", masks, axis=0) if softmax else graph.add("Sigmoid", masks)
    if len(outputs) > 1:
        masks = _shared(graph, masks)
        masks = graph.add("Slice", masks, graph.integers(0), graph.integers(len(spec.targets)))
    masks = graph.add("Transpose", masks, perm=[2, 0, 1, 3])  # (frames, targets, 2, bins)
    graph.save(
        path,
        spec,
        {"spectrum": ["frames", 2, BINS, 2], "newest": [1]},
        {"masks": (masks, ["served", len(spec.targets), 2, BINS])},
    )


def _shared(graph: Graph, factors: str) -> str:
    """Squares over their sum, of factors (targets, 2, frames, bins)."""
    squares = graph.add("Add", graph.add("Mul", factors, factors), graph.floats(1e-10))
    return graph.add("Div", squares, graph.add("ReduceSum", squares, graph.integers(0)))


def _logits(graph: Graph, network: UNet, magnitude: str, newest: str) -> str:
    """Logits (1, 2, newest, bins) of the newest frames of magnitudes (1, 2, frames, bins)."""
    net = Layers(graph, network.weights, elu=network.elu)
    skips: list[str] = []
    value = magnitude
    for level in range(1, LEVELS + 1):
        skips.append(net.down(value, level))  # (1, channels, frames / 2^level, bins / 2^level)
        value = net.normalised(skips[-1], level)
    columns = needed_columns(graph, newest)
    value = net.up(last_columns(graph, skips[-1], columns[0]), 1)
    for step in range(2, LEVELS + 1):
        wanted = columns[step - 1]
        both = [last_columns(graph, part, wanted) for part in (skips[LEVELS - step], value)]
        value = net.up(graph.add("Concat", *both, axis=1), step)
    return last_columns(graph, net.left(value), newest)


def needed_columns(graph: Graph, newest: str) -> list[str]:
    """Return how many of the newest columns each transposed convolution needs, the deepest first.

    The last layer reaches 3 columns back; n columns upsampled are 2n, of which the first
    `_REACH` lack an input that was left out. More columns than there are mean all of them.
    """
    needed = newest
    found: list[str] = []
    for reach in (_REACH, *[0] * (LEVELS - 1)):
        more = graph.add("Add", needed, graph.integers(_REACH + reach + 1))
        needed = graph.add("Div", more, graph.integers(2))  # rounded up
        if reach:  # the last transposed convolution takes pairs of columns
            pairs = graph.add("Div", graph.add("Add", needed, graph.integers(1)), graph.integers(2))
            needed = graph.add("Mul", pairs, graph.integers(2))
        found.insert(0, needed)
    return found


def last_columns(graph: Graph, value: str, columns: str) -> str:
    """Return the last columns of (1, channels, frames, bins)."""
    start = graph.add("Neg", columns)
    return graph.add("Slice", value, start, graph.integers(np.iinfo(np.int64).max),
                     graph.integers(2))  # fmt: skip


class Layers:
    """The layers of a network, added to a graph.

    Parameters
    ----------
    arrays : weights by the names of `UNet`, of any number of channels.
    """

    def __init__(self, graph: Graph, arrays: Arrays, *, elu: bool = False) -> None:
        self._graph, self._arrays, self._elu = graph, arrays, elu

    def weights(self, name: str) -> tuple[str, str]:
        """Add the weight and the bias of a layer."""
        return (self._graph.floats(self._arrays[f"{name}.weight"]),
                self._graph.floats(self._arrays[f"{name}.bias"]))  # fmt: skip

    def down(self, value: str, level: int) -> str:
        """Add a strided convolution: half the frames, half the bins."""
        return self._graph.add("Conv", value, *self.weights(f"down{level}_conv.1"),
                               kernel_shape=[5, 5], strides=[2, 2], pads=[1, 1, 2, 2])  # fmt: skip

    def up(self, value: str, step: int) -> str:
        """Add a transposed convolution: twice the frames and bins; activation, then batch norm."""
        phases, size = self.phases(f"up{step}.0", value)
        activated = self._graph.add("Elu" if self._elu else "Relu", phases)
        factor, shift = self.norm(f"up{step}.3")
        value = self._scaled(activated, np.tile(factor, size**2), np.tile(shift, size**2))
        return self.woven(value, size)

    def woven(self, value: str, size: int = 2) -> str:
        """Return what `phases` gives, its parts as blocks of `size` rows and columns."""
        return self._graph.add("DepthToSpace", value, blocksize=size, mode="DCR")

    def left(self, value: str) -> str:
        """Add the last convolution, of one channel to two."""
        return self._graph.add("Conv", value, *self.weights("up7.0"), kernel_shape=[4, 4],
                               dilations=[2, 2], pads=[3, 3, 3, 3])  # fmt: skip

    def phases(self, name: str, value: str) -> tuple[str, int]:
        """Add a transposed convolution, its rows and columns as channels, and say how many of each.

        It is four convolutions, one for the even and odd rows and columns each, which run faster:
        with input i and tap k it adds to 2i + k − 1, so even outputs have taps 3 and 1 of the
        inputs i − 1 and i, odd ones taps 4, 2 and 0 of i − 1, i and i + 1.

        Of one channel it is one convolution in strides of two, whose sixteen channels are a block
        of four rows and columns: ONNX Runtime computes sixteen channels at once anyway.
        """
        kernel, bias = self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"]
        if kernel.shape[1] == 1:
            block = self._graph.add(
                "Conv", value, self._graph.floats(_block_kernel(kernel)),
                self._graph.floats(np.repeat(bias, 16)),
                kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1],
            )  # fmt: skip
            return block, 4
        parts = [
            kernel[:, :, rows][:, :, :, columns].swapaxes(0, 1)
            for rows in _TAPS
            for columns in _TAPS
        ]
        phases = [self._convolved(value, part, bias) for part in parts]
        return self._graph.add("Concat", *phases, axis=1), 2

    def _convolved(self, value: str, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        """Add a convolution that begins at the input before, and leaves the size as it is."""
        rows, columns = kernel.shape[2:]
        return self._graph.add(
            "Conv", value, self._graph.floats(kernel), self._graph.floats(bias),
            kernel_shape=[rows, columns], pads=[1, 1, rows - 2, columns - 2],
        )  # fmt: skip

    def normalised(self, value: str, level: int) -> str:
        """Batch norm of a level on the way down, and its activation, which ONNX Runtime fuses."""
        scaled = self._scaled(value, *self.norm(f"down{level}_act.0"))
        if self._elu:
            return self._graph.add("Elu", scaled)
        return self._graph.add("LeakyRelu", scaled, alpha=_SLOPE)

    def norm(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return factor and shift of a batch norm."""
        mean, variance, scale, shift = (
            self._arrays[f"{name}.{part}"]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        factor = scale / np.sqrt(variance + EPSILON)
        return factor, shift - mean * factor

    def _scaled(self, value: str, factor: NDArray[np.float32], shift: NDArray[np.float32]) -> str:
        """Scale each channel by a factor and shift it, as a convolution."""
        kernel = self._graph.floats(factor[:, None, None, None])
        return self._graph.add("Conv", value, kernel, self._graph.floats(shift),
                               kernel_shape=[1, 1], group=factor.size)  # fmt: skip


def _block_kernel(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Taps (16, channels, 4, 4) of a transposed convolution (channels, 1, 5, 5) by blocks."""
    block = np.zeros((4, 4, kernel.shape[0], 4, 4), np.float32)
    for row, (top, *rows) in enumerate(_BLOCK_TAPS):
        for column, (left, *columns) in enumerate(_BLOCK_TAPS):
            place = block[row, column, :, top : top + len(rows), left : left + len(columns)]
            place[:] = kernel[:, 0, rows][:, :, columns]
    return block.reshape(16, -1, 4, 4)


def _shapes() -> dict[str, tuple[int, ...]]:
    """Shapes of all weights by their names."""
    down = [2, *(16 << level for level in range(LEVELS))]
    up_in, up_out = [512, 512, 256, 128, 64, 32], [256, 128, 64, 32, 16, 1]
    shapes: dict[str, tuple[int, ...]] = {"up7.0.weight": (2, 1, 4, 4), "up7.0.bias": (2,)}
    for level in range(1, LEVELS + 1):
        shapes[f"down{level}_conv.1.weight"] = (down[level], down[level - 1], 5, 5)
        shapes[f"down{level}_conv.1.bias"] = (down[level],)
        shapes[f"up{level}.0.weight"] = (up_in[level - 1], up_out[level - 1], 5, 5)
        shapes[f"up{level}.0.bias"] = (up_out[level - 1],)
        for name, size in (
            (f"down{level}_act.0", down[level]),
            (f"up{level}.3", up_out[level - 1]),
        ):
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{name}.{part}"] = (size,)
    return shapes


SHAPES = _shapes()
