"""Write a torch module as an ONNX file that says what it is, whole or not at all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from models_onnx.networks.registry import HALF
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
) -> Path:
    """Write a graph, its large weights in float16; `path` appears only when `check` does not raise.

    Parameters
    ----------
    graph : its module already `rounded`, so that it can be compared with the file.
    metadata : texts of the file by key.
    check : called with the file before it has its name.
    change : what is made of the model before it is written.
    """
    names = [*graph.inputs, *graph.outputs]
    with atomic_write(path) as part:
        with torch.no_grad():
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
        halve(model.graph)
        if change is not None:
            model = change(model)
        onnx.helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model)
        onnx.save(model, part)
        check(part)
    return path


def rounded(network: nn.Module) -> nn.Module:
    """Return a copy whose larger weights are what float16 holds of them."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for weight in (*network.parameters(), *network.buffers()):
            if weight.numel() >= LARGE and weight.is_floating_point():
                weight.copy_(weight.half())
    return network


def halve(graph: onnx.GraphProto) -> None:
    """Store large weights in float16; ONNX Runtime casts them once, when it loads the file."""
    casts = []
    for weight in graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < LARGE:
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), name + HALF))
        casts.append(
            onnx.helper.make_node("Cast", [name + HALF], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
