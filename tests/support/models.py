"""Model files that are simple enough to know what must come out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from realtime.spec import MASK_AXES, METADATA_KEY, ModelSpec, Tier

LIVE = Tier(window=2048, synthesis=512, hop=256)
OFFLINE = Tier(window=4096, synthesis=4096, hop=1024)


def source_model(
    path: Path,
    sources: Mapping[str, float],
    *,
    tiers: Mapping[str, Tier] = {"live": LIVE, "offline": OFFLINE},
    **fields: Any,
) -> Path:
    """Write a model with sources of its own, each of them the mixture times a number."""
    spec = ModelSpec(
        name=path.stem,
        tiers=tiers,
        conditions={},
        mask_axes="mixture",
        targets=tuple(sources),
        **fields,
    )
    shares = np.array(list(sources.values()), np.float32).reshape(1, -1, 1, 1)
    nodes = [
        helper.make_node("ReduceSum", ["spectrum", "parts"], ["flat"], keepdims=0),  # (F, bins)
        helper.make_node("Sub", ["flat", "flat"], ["nothing"]),
        helper.make_node("Unsqueeze", ["nothing", "places"], ["wide"]),  # (F, 1, 1, bins)
        helper.make_node("Add", ["wide", "shares"], ["masks"]),
    ]
    return _save(path, spec, nodes, {"shares": shares}, {})


def timbre_model(path: Path, classes: Mapping[str, tuple[float, ...]], **fields: Any) -> Path:
    """Write a model whose mask is 1 minus the square of the first number of the timbre.

    So a target of the class (1, 0 …) is silent, and one whose timbre is free is the mixture.
    """
    size = len(next(iter(classes.values())))
    spec = ModelSpec(
        name=path.stem,
        tiers={"live": LIVE, "offline": OFFLINE},
        classes=classes,
        **{
            "encoder": "listen",
            "conditions": {"direction": 2, "timbre": size, "against": size},
            "mask_axes": "mixture",
            **fields,
        },
    )
    nodes = [
        helper.make_node("ReduceSum", ["spectrum", "parts"], ["flat"], keepdims=0),
        helper.make_node("Sub", ["flat", "flat"], ["nothing"]),
        helper.make_node("Unsqueeze", ["nothing", "places"], ["wide"]),  # (F, 1, 1, bins)
        helper.make_node("Gather", ["timbre", "zero"], ["first"], axis=2),  # (F, targets)
        helper.make_node("Mul", ["first", "first"], ["square"]),
        helper.make_node("Sub", ["one", "square"], ["share"]),
        helper.make_node("Unsqueeze", ["share", "last"], ["tall"]),  # (F, targets, 1, 1)
        helper.make_node("Add", ["wide", "tall"], ["mask"]),
        helper.make_node("Concat", ["mask"] * MASK_AXES[spec.mask_axes], ["masks"], axis=2),
    ]
    constants = {
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.float32),
        "last": np.array([2, 3], np.int64),
    }
    inputs = {name: ["frames", "targets", n] for name, n in spec.conditions.items()}
    return _save(path, spec, nodes, constants, inputs)


def _save(
    path: Path,
    spec: ModelSpec,
    nodes: list[Any],
    constants: Mapping[str, np.ndarray],
    conditions: Mapping[str, list[Any]],
) -> Path:
    constants = {
        "parts": np.array([1, 3], np.int64),
        "places": np.array([1, 2], np.int64),
        **constants,
    }
    value = helper.make_tensor_value_info
    inputs = {"spectrum": ["frames", 2, "bins", 2], **conditions}
    targets: Any = len(spec.targets) or "targets"
    graph = helper.make_graph(
        nodes,
        spec.name,
        [value(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [value("masks", TensorProto.FLOAT, ["frames", targets, 1, "bins"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, spec.to_json()
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def endless_model(path: Path, *, in_loading: bool = False) -> Path:
    """Write a model that keeps its spec and never ends: where it is run, or where it is loaded."""
    model = onnx.load(source_model(path, {"vocals": 0.5}))
    nodes, constants = (_slow_constant if in_loading else _endless_loop)()
    for node in model.graph.node:
        node.output[:] = ["all" if name == "masks" else name for name in node.output]
    model.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in constants.items()
    )
    model.graph.node.extend([*nodes, helper.make_node("Add", ["all", "zero"], ["masks"])])
    onnx.save(model, str(path))
    return path


def _slow_constant() -> tuple[list[Any], dict[str, np.ndarray]]:
    """What is zero, as a session finds out when it is made, after hours."""
    power = 3000
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["power0"])]
    for k in range(power):
        nodes.append(helper.make_node("MatMul", [f"power{k}"] * 2, [f"power{k + 1}"]))
    nodes.append(helper.make_node("ReduceMean", [f"power{power}"], ["zero"], keepdims=0))
    return nodes, {"size": np.array([3000, 3000], np.int64)}


def _endless_loop() -> tuple[list[Any], dict[str, np.ndarray]]:
    """A loop whose condition always holds, over what only a run knows."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", [a], [b]) for a, b in (("go", "goes"), ("x", "y"))],
        "body",
        [value("k", TensorProto.INT64, []), value("go", TensorProto.BOOL, []),
         value("x", TensorProto.FLOAT, [])],
        [value("goes", TensorProto.BOOL, []), value("y", TensorProto.FLOAT, [])],
    )  # fmt: skip
    nodes = [
        helper.make_node("ReduceMean", ["spectrum"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "mean"], ["nought"]),
        helper.make_node("Loop", ["", "true", "nought"], ["zero"], body=body),
    ]
    return nodes, {"true": np.array(True)}


def crash(path: Path) -> None:
    """End the process as a fault in C does."""
    os.abort()
