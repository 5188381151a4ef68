"""Write a torch module as an ONNX file that says what it is, whole or not at all."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.jit._trace import TracerWarning  # torch.jit does not say that it exports it

from models_onnx.networks.registry import EIGHT_BITS, HALF, SCALE
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError

OPSET = 17
LARGE = 1024
"""Weights of so many numbers or more are stored in float16."""


class ExportError(StemsteerError):
    """The exported file does not do what the network does."""


@dataclass(frozen=True)
class Graph:
    """What is traced: a module, what it is called with, and the names of its tensors.

    Parameters
    ----------
    inputs : example by name, in the order of the call.
    outputs : names, in the order of what is returned.
    axes : of tensors, the name of each axis of any length.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    axes: Mapping[str, Mapping[int, str]]


def write_onnx(
    graph: Graph,
    metadata: Mapping[str, str],
    path: Path,
    check: Callable[[Path], object],
    *,
    change: Callable[[onnx.ModelProto], onnx.ModelProto] | None = None,
    eight_bits: bool = False,
) -> Path:
    """Write a graph, its large weights in float16; `path` appears only when `check` does not raise.

    Parameters
    ----------
    graph : its module already `rounded`, so that it can be compared with the file.
    metadata : texts of the file by key.
    check : called with the file before it has its name.
    change : what is made of the model before it is written.
    eight_bits : whether large matrices are stored in int8, with a scale for each row.
    """
    names = [*graph.inputs, *graph.outputs]
    with atomic_write(path) as part:
        with torch.no_grad(), warnings.catch_warnings():
            # What is traced with fixed sizes is compared with the network by `check`.
            warnings.simplefilter("ignore", TracerWarning)
            warnings.filterwarnings("ignore", ".*(Constant folding|batch_size other than 1)")
            torch.onnx.export(
                graph.module,
                tuple(graph.inputs.values()),
                str(part),
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_axes={name: dict(graph.axes[name]) for name in names if name in graph.axes},
                opset_version=OPSET,
                do_constant_folding=False,  # weights keep their names: see `registry.load_weights`
                dynamo=False,
            )
        model = onnx.load(part)
        learned = [name for name, _ in graph.module.named_parameters()]
        shorten(model.graph, learned if eight_bits else ())
        if change is not None:
            model = change(model)
        onnx.helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model)
        onnx.save(model, part)
        check(part)
    return path


def rounded(network: nn.Module, *, eight_bits: bool = False) -> nn.Module:
    """Return a copy whose larger weights are what a file holds of them."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        matrices = [w for w in network.parameters() if eight_bits and w.dim() > 1]
        for weight in (*network.parameters(), *network.buffers()):
            if weight.numel() < LARGE or not weight.is_floating_point():
                continue
            if any(weight is one for one in matrices):
                stored, scale = in_eight_bits(weight.numpy())
                weight.copy_(torch.from_numpy(stored * scale))
            else:
                weight.copy_(weight.half())
    return network


def in_eight_bits(
    values: NDArray[np.float32],
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return integers and what to multiply them by: each row's largest number is 127."""
    scale = np.abs(values).max(-1, keepdims=True) / np.float32(127)
    scale = np.maximum(scale, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale


def shorten(graph: onnx.GraphProto, eight_bits: Container[str] = ()) -> None:
    """Store large weights in float16, matrices of these names in int8; they are cast at load."""
    casts, weights = [], []
    for weight in graph.initializer:
        values, name = onnx.numpy_helper.to_array(weight), weight.name
        if values.dtype != np.float32 or values.size < LARGE:
            weights.append(weight)
        elif name in eight_bits and values.ndim > 1:
            stored, scale = in_eight_bits(values)
            whole = f"{name}.whole"
            weights.append(onnx.numpy_helper.from_array(stored, name + EIGHT_BITS))
            weights.append(onnx.numpy_helper.from_array(scale, name + SCALE))
            casts.append(_cast(name + EIGHT_BITS, whole))
            casts.append(onnx.helper.make_node("Mul", [whole, name + SCALE], [name]))
        else:
            weights.append(onnx.numpy_helper.from_array(values.astype(np.float16), name + HALF))
            casts.append(_cast(name + HALF, name))
    nodes = [*casts, *graph.node]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)


def _cast(stored: str, name: str) -> onnx.NodeProto:
    return onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT)
