"""Open-Unmix's networks (Stöter, Uhlich, Liutkus & Mitsufuji, JOSS 2019) as a model of ours.

X-UMX (Sawata, Uhlich, Takahashi & Mitsufuji, ICASSP 2021) is the same with bridges: the LSTMs of
all sources hear the mean of the encodings, and the last layers the mean of what the LSTMs say.

A network a source takes the magnitudes of both channels (Hann frames of 4096, 1024 apart): a dense
layer, three LSTM layers, two dense layers, and a factor for each magnitude. With bidirectional
layers it sees a piece of a file at once; with unidirectional ones it goes on from frame to frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.conversion.archive import Arrays, Numbers
from plugin_bridge.conversion.graph import Graph
from realtime.errors import StemsteerError
from realtime.spec import ModelSpec, Runs, Tier
from realtime.spec_fields import MAX_MODEL_RATE_HZ, MIN_MODEL_RATE_HZ

WINDOW, STEP = 4096, 1024
PIECE, CONTEXT = 512, 64  # frames offline, and how many on either side of those that serve
EPSILON = 1e-5  # of the batch norms
REST = "other"  # the source that is what remains
PIECES = {
    "offline": Tier(
        WINDOW,
        WINDOW,
        STEP,
        PIECE - CONTEXT - 1,
        Runs(PIECE, STEP, every=PIECE - 2 * CONTEXT, age=1 + CONTEXT - PIECE, fade=CONTEXT),
    )
}
STREAMED = {"studio": Tier(WINDOW, WINDOW, STEP), "offline": Tier(WINDOW, WINDOW, STEP)}
"""Of unidirectional layers. Their windows are those of their training but for the square root."""
RATE = "sample_rate"
TRAINED_ON = {
    **dict.fromkeys(("window_length", "in_chan", "nfft"), WINDOW),
    **dict.fromkeys(("n_hop", "nhop"), STEP),
    "nb_channels": 2,
    "spec_power": 1,
}
"""What X-UMX's checkpoint and Open-Unmix's ``separator.json`` may say of a network's spectra."""
_WRAPPINGS = ("state_dict.", "module.")  # of a training's own file, and of torch's DataParallel
_DECODER = {0: "fc2", 1: "bn2", 3: "fc3", 4: "bn3"}  # places of X-UMX's last layers
_GATES = (0, 3, 1, 2)  # ONNX has input, output, forget, cell; torch input, forget, cell, output


@dataclass(frozen=True)
class Network:
    """The weights of one source, by the names of `openunmix.model.OpenUnmix`.

    Raises
    ------
    StemsteerError if they are not of such a network.
    """

    weights: Arrays
    rate_hz: int = field(init=False)
    bins: int = field(init=False)
    seen: int = field(init=False)
    hidden: int = field(init=False)
    layers: int = field(init=False)
    directions: int = field(init=False)

    def __post_init__(self) -> None:
        w = self.weights
        missing = [name for name in ("fc1.weight", "lstm.weight_ih_l0", "output_mean", "input_mean")
                   if name not in w]  # fmt: skip
        if missing:
            raise StemsteerError(f"not Open-Unmix's network: no {missing[0]!r}")
        rate_hz = float(w.get(RATE, np.array([44_100], np.float32)).max(initial=0))
        if not MIN_MODEL_RATE_HZ <= rate_hz <= MAX_MODEL_RATE_HZ:
            raise StemsteerError(
                f"a network of {RATE} {rate_hz:g} Hz, expected {MIN_MODEL_RATE_HZ} to "
                f"{MAX_MODEL_RATE_HZ}"
            )
        derived = {
            "rate_hz": round(rate_hz),
            "bins": w["output_mean"].size,
            "seen": w["input_mean"].size,
            "hidden": w["fc1.weight"].shape[0],
            "layers": sum(f"lstm.weight_ih_l{k}" in w for k in range(16)),
            "directions": 1 + ("lstm.weight_ih_l0_reverse" in w),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        for name, shape in self._shapes().items():
            found = w.get(name)
            if found is None or found.shape != shape:
                was = "no" if found is None else f"{found.shape}"
                raise StemsteerError(f"not Open-Unmix's network: {was} {name!r}, expected {shape}")
            if not np.isfinite(found).all():
                raise StemsteerError(f"the weights are broken: {name!r} has NaN or Inf")
        if self.bins != WINDOW // 2 + 1:
            raise StemsteerError(f"a network of {self.bins} bins, expected {WINDOW // 2 + 1}")

    def suffixes(self, layer: int) -> list[str]:
        """Return how the names of a layer's weights end, one for each direction."""
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.directions]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        hidden, wide = self.hidden, 2 * self.bins
        units = hidden // self.directions
        shapes: dict[str, tuple[int, ...]] = {
            "fc1.weight": (hidden, 2 * self.seen),
            "fc2.weight": (hidden, 2 * hidden),
            "fc3.weight": (wide, hidden),
            "input_scale": (self.seen,),
            "output_scale": (self.bins,),
        }
        for norm, size in (("bn1", hidden), ("bn2", hidden), ("bn3", wide)):
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{norm}.{part}"] = (size,)
        for layer in range(self.layers):
            for end in self.suffixes(layer):
                shapes[f"lstm.weight_ih{end}"] = (4 * units, hidden)
                shapes[f"lstm.weight_hh{end}"] = (4 * units, units)
                shapes[f"lstm.bias_ih{end}"] = shapes[f"lstm.bias_hh{end}"] = (4 * units,)
        return shapes


def unwrapped(weights: Arrays) -> Arrays:
    """Return weights by their own names, however they were saved."""
    for wrapping in _WRAPPINGS:
        weights = {name.removeprefix(wrapping): array for name, array in weights.items()}
    return weights


def rate_of(settings: Numbers) -> Arrays:
    """Return the sample rate that settings of a network tell, as its weights would; none if none.

    Raises
    ------
    StemsteerError if they tell of other spectra than those that a model of ours is given.
    """
    for name, expected in TRAINED_ON.items():
        if (value := settings.get(name, expected)) != expected:
            raise StemsteerError(
                f"a network trained with {name} {value:g}, expected {expected}: it cannot be used"
            )
    return {RATE: np.array([settings[RATE]], np.float32)} if RATE in settings else {}


def spec_of(networks: Mapping[str, Network], name: str) -> ModelSpec:
    """Return the spec of a model of networks.

    Raises
    ------
    StemsteerError if they do not go together.
    """
    kinds = {(n.directions, n.layers, n.hidden, n.rate_hz) for n in networks.values()}
    targets = tuple(source for source in networks if source != REST)
    if len(kinds) > 1 or not targets:
        raise StemsteerError(f"networks of {', '.join(networks)} that make no model: of one "
                             "size, direction and sample rate is expected, and one besides "
                             f"{REST!r}")  # fmt: skip
    one = next(iter(networks.values()))
    return ModelSpec(
        name=name,
        tiers=PIECES if one.directions == 2 else STREAMED,
        conditions={},
        mask_axes="channels",
        sample_rate=one.rate_hz,
        bins=one.bins,
        targets=targets,
        description=f"Open-Unmix: {', '.join(targets)}",
        licence="of the weights that were given",
        training={"credit": "Open-Unmix by F.-R. Stöter, S. Uhlich, A. Liutkus and Y. Mitsufuji, "
                  "JOSS 2019"},
    )  # fmt: skip


def bridged_networks(arrays: Arrays, numbers: Numbers) -> dict[str, Network]:
    """Return the networks of a checkpoint of X-UMX, as asteroid saves it, by their sources.

    Raises
    ------
    StemsteerError if it is not of that architecture.
    """
    rate = rate_of({name.removeprefix("model_args."): value for name, value in numbers.items()})
    found = unwrapped(arrays)
    sources = dict.fromkeys(n.split(".")[1] for n in found if n.startswith("layer_lstm."))
    if not sources:
        raise StemsteerError("not X-UMX's networks: no 'layer_lstm'")
    networks = {}
    for source in sources:
        prefixes = {
            f"layer_lstm.{source}.": "lstm.",
            f"layer_enc.{source}.enc.0.": "fc1.",
            f"layer_enc.{source}.enc.1.": "bn1.",
            **{
                f"layer_dec.{source}.dec.{place}.": f"{layer}." for place, layer in _DECODER.items()
            },
        }
        weights = {
            ours + name.removeprefix(theirs): array
            for theirs, ours in prefixes.items()
            for name, array in found.items()
            if name.startswith(theirs)
        }
        for part in ("input_mean", "input_scale", "output_mean", "output_scale"):
            if (array := found.get(f"mean_scale.{part}_{source}")) is not None:
                weights[part] = array
        networks[source] = Network(weights | rate)
    return networks


def convert(
    networks: Mapping[str, Network],
    path: Path,
    spec: ModelSpec,
    *,
    half: bool = True,
    bridged: bool = False,
) -> None:
    """Write a model of networks, of which the first are those of `spec.targets`; it appears whole.

    Where one is of what remains, masks are the squares over their sum, as of a Wiener filter of the
    magnitudes; else each network's factors, at most 1.

    Parameters
    ----------
    half : whether weights are stored in float16.
    bridged : whether they are X-UMX's.
    """
    graph = Graph(half=half)
    parts = [graph.add("Gather", "spectrum", graph.integer(k), axis=3) for k in (0, 1)]
    squares = graph.add("Add", *(graph.add("Mul", part, part) for part in parts))
    magnitude = graph.add("Mul", graph.add("Sqrt", squares), graph.floats(WINDOW / 2))
    streamed = all(tier.runs is None for tier in spec.tiers.values())
    layers = [
        _Layers(graph, network, number if streamed else None)
        for number, network in enumerate(networks.values())
    ]
    encoded = [one.encoded(magnitude) for one in layers]
    heard = [_mean(graph, encoded)] * len(layers) if bridged else encoded
    both = [
        graph.add("Concat", own, one.recurrent(all_), axis=1)
        for one, own, all_ in zip(layers, encoded, heard, strict=True)
    ]
    both = [_mean(graph, both)] * len(layers) if bridged else both
    factors = [
        graph.add("Unsqueeze", one.factors(value), graph.integers(1))
        for one, value in zip(layers, both, strict=True)
    ]
    masks = graph.add("Concat", *factors, axis=1)  # (frames, networks, 2, bins)
    if REST in networks:
        powers = graph.add("Add", graph.add("Mul", masks, masks), graph.floats(1e-10))
        masks = graph.add("Div", powers, graph.add("ReduceSum", powers, graph.integers(1)))
        masks = graph.add("Slice", masks, graph.integers(0), graph.integers(len(spec.targets)),
                          graph.integers(1))  # fmt: skip
    else:
        masks = graph.add("Min", masks, graph.floats(1.0))
    inputs: dict[str, list[int | str]] = {"spectrum": ["frames", 2, spec.bins or 0, 2]}
    outputs: dict[str, tuple[str, list[int | str]]] = {}
    outputs["masks"] = (masks, ["frames", len(spec.targets), 2, spec.bins or 0])
    for one in layers:
        inputs |= one.inputs
        outputs |= one.outputs
    graph.save(path, spec, inputs, outputs)


def _mean(graph: Graph, values: list[str]) -> str:
    return graph.add("Mean", *values)


class _Layers:
    """The layers of a network, added to a graph.

    Parameters
    ----------
    number : of the network, to name its states by; None: it begins anew with every call.
    """

    def __init__(self, graph: Graph, network: Network, number: int | None) -> None:
        self._graph, self._network, self._number = graph, network, number
        self.inputs: dict[str, list[int | str]] = {}
        self.outputs: dict[str, tuple[str, list[int | str]]] = {}

    def encoded(self, magnitude: str) -> str:
        """Encodings (frames, hidden) of magnitudes (frames, 2, bins)."""
        graph, network, w = self._graph, self._network, self._network.weights
        value = graph.add("Slice", magnitude, graph.integers(0), graph.integers(network.seen),
                          graph.integers(2))  # fmt: skip
        value = graph.add("Add", value, graph.floats(w["input_mean"]))
        value = graph.add("Mul", value, graph.floats(w["input_scale"]))
        value = graph.add("Reshape", value, graph.integers(-1, 2 * network.seen))
        return graph.add("Tanh", self._dense(value, "fc1", "bn1"))

    def recurrent(self, encoded: str) -> str:
        """What the LSTM layers make (frames, hidden) of encodings."""
        value = self._graph.add("Unsqueeze", encoded, self._graph.integers(1))
        for layer in range(self._network.layers):  # (frames, 1, hidden)
            value = self._recurrent(value, layer)
        return self._graph.add("Squeeze", value, self._graph.integers(1))

    def factors(self, both: str) -> str:
        """Factors (frames, 2, bins) of encodings and what the LSTM layers made of them."""
        graph, network, w = self._graph, self._network, self._network.weights
        value = self._dense(graph.add("Relu", self._dense(both, "fc2", "bn2")), "fc3", "bn3")
        value = graph.add("Reshape", value, graph.integers(-1, 2, network.bins))
        value = graph.add("Mul", value, graph.floats(w["output_scale"]))
        return graph.add("Relu", graph.add("Add", value, graph.floats(w["output_mean"])))

    def _dense(self, value: str, dense: str, norm: str) -> str:
        """Add a dense layer and the batch norm behind it, as one."""
        w = self._network.weights
        factor = w[f"{norm}.weight"] / np.sqrt(w[f"{norm}.running_var"] + EPSILON)
        shift = w[f"{norm}.bias"] - w[f"{norm}.running_mean"] * factor
        kernel = self._graph.floats(w[f"{dense}.weight"].T * factor)
        product = self._graph.add("MatMul", value, kernel)
        return self._graph.add("Add", product, self._graph.floats(shift))

    def _recurrent(self, value: str, layer: int) -> str:
        """Add an LSTM layer: (frames, 1, hidden) to the same."""
        graph, network, w = self._graph, self._network, self._network.weights
        units = network.hidden // network.directions
        ends = network.suffixes(layer)
        stack = [[w[f"lstm.{kind}{end}"] for end in ends] for kind in ("weight_ih", "weight_hh")]
        biases = [np.concatenate([_gates(w[f"lstm.bias_{side}{end}"]) for side in ("ih", "hh")])
                  for end in ends]  # fmt: skip
        arrays = [np.stack([_gates(array) for array in arrays]) for arrays in stack]
        given = [*map(graph.floats, arrays), graph.floats(np.stack(biases)), ""]
        names = [f"{kind}{self._number}_{layer}" for kind in ("hidden", "cell")]
        if self._number is not None:
            self.inputs |= {f"state_{name}": [1, 1, units] for name in names}
            given += [f"state_{name}" for name in names]
        found, *states = graph.add_several(
            3, "LSTM", value, *given, hidden_size=units,
            direction="bidirectional" if network.directions == 2 else "forward",
        )  # fmt: skip
        if self._number is not None:
            self.outputs |= {
                f"next_{name}": (state, [1, 1, units])
                for name, state in zip(names, states, strict=True)
            }
        turned = graph.add("Transpose", found, perm=[0, 2, 1, 3])  # (frames, 1, directions, units)
        return graph.add("Reshape", turned, graph.integers(0, 0, -1))


def _gates(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows of an LSTM's weights in the order of ONNX."""
    parts = np.split(array, 4)
    return np.concatenate([parts[k] for k in _GATES])
