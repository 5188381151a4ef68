"""Two networks in one file: one that is told a direction alone, and one that is told a timbre, too.

Training by timbre costs what a separator knows of directions; so the graph asks whether there is a
timbre, and runs the network of before where there is none. Both take and give the same states; of
those that are shorter in the second network it uses the first numbers, and gives zeros behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper
from onnx.compose import add_prefix_graph

TOLD, PLAIN = "told.", "plain."
TIMBRES = ("timbre", "against")


def branched(told: ModelProto, plain: ModelProto) -> ModelProto:
    """Join a model that takes a timbre and one that takes a direction alone.

    States that only the first has pass through the second. `plain` may be joined already: then its
    part for a direction alone is taken.
    """
    outputs = [output.name for output in told.graph.output]
    then = _as_branch(told.graph, TOLD, outputs)
    otherwise = branch(plain, told=False) or _as_branch(plain.graph, PLAIN, outputs)
    sizes, own = _sizes(told.graph), _sizes(plain.graph)
    shorter = {k: (own[k], size) for k, size in sizes.items() if own.get(k, size) < size}
    otherwise = _with_longer_states(otherwise, shorter)
    nodes = [
        *(helper.make_node("ReduceL1", [name], [f"{name}_length"], keepdims=0) for name in TIMBRES),
        helper.make_node("Add", [f"{name}_length" for name in TIMBRES], ["length"]),
        helper.make_node("Greater", ["length", "nothing"], ["is_told"]),
        helper.make_node(
            "If", ["is_told"], outputs, then_branch=then, else_branch=otherwise, name="told"
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "steer",
        list(told.graph.input),
        list(told.graph.output),
        [helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0])],
    )
    return helper.make_model(graph, opset_imports=told.opset_import, ir_version=told.ir_version)


def _sizes(graph: GraphProto) -> dict[str, int]:
    """Length of each state of one axis beside that of the targets, by the name of its input."""
    shapes = {value.name: value.type.tensor_type.shape.dim for value in graph.input}
    return {k: v[1].dim_value for k, v in shapes.items() if k.startswith("state_") and len(v) == 2}


def _with_longer_states(graph: GraphProto, lengths: Mapping[str, tuple[int, int]]) -> GraphProto:
    """Let a branch take and give states of more numbers: lengths (its own, those outside)."""
    own = GraphProto()
    own.CopyFrom(graph)
    before, behind = [], []
    for state, (length, outside) in lengths.items():
        name = f"{PLAIN}{state}"
        constants = {
            "first": [0],
            "last": [length],
            "axis": [1],
            "zeros": [0, 0, 0, outside - length],
        }
        for key, value in constants.items():
            array = numpy_helper.from_array(np.array(value, np.int64), f"{name}_{key}")
            own.initializer.append(array)
        for node in own.node:
            node.input[:] = [f"{name}_own" if given == state else given for given in node.input]
        words = [state, *(f"{name}_{key}" for key in ("first", "last", "axis"))]
        before.append(helper.make_node("Slice", words, [f"{name}_own"]))
        following = next(o for o in own.output if o.name.endswith(state.replace("state_", "next_")))
        padded = f"{following.name}_longer"
        behind.append(helper.make_node("Pad", [following.name, f"{name}_zeros"], [padded]))
        following.CopyFrom(helper.make_tensor_value_info(padded, TensorProto.FLOAT, None))
    nodes = [*before, *own.node, *behind]
    del own.node[:]
    own.node.extend(nodes)
    return own


def branch(model: ModelProto, *, told: bool) -> GraphProto | None:
    """Return the part of a joined model for a timbre, or for a direction alone; None if it is not
    joined.
    """
    for node in model.graph.node:
        if node.op_type == "If" and node.name == "told":
            wanted = "then_branch" if told else "else_branch"
            return next(a.g for a in node.attribute if a.name == wanted)
    return None


def weights_of(path: Path, *, told: bool) -> list[TensorProto]:
    """Return the weights in a file under their own names; of a joined one those of one part."""
    model = onnx.load(path)
    part = branch(model, told=told)
    weights = list(model.graph.initializer if part is None else part.initializer)
    for weight in weights:
        weight.name = weight.name.removeprefix(TOLD).removeprefix(PLAIN)
    return weights


def _as_branch(graph: GraphProto, prefix: str, outputs: list[str]) -> GraphProto:
    """Return a graph without inputs, all of its names its own, with outputs in this order."""
    own = GraphProto()
    own.CopyFrom(graph)
    given = {output.name: output for output in own.output}
    for name in outputs:
        if name not in given:  # a state that passes through
            state = f"state_{name.removeprefix('next_')}"
            own.node.append(helper.make_node("Identity", [state], [name]))
            own.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    given = {output.name: output for output in own.output}
    del own.output[:]
    own.output.extend(given[name] for name in outputs)
    outer = {graph_input.name for graph_input in own.input}
    outer |= {f"state_{name.removeprefix('next_')}" for name in outputs if "next_" in name}
    del own.input[:]
    del own.value_info[:]
    own = add_prefix_graph(own, prefix, rename_inputs=False)
    for node in own.node:  # what comes from outside keeps its name
        for k, name in enumerate(node.input):
            if name.removeprefix(prefix) in outer:
                node.input[k] = name.removeprefix(prefix)
    return own
