"""Two networks in one file: one that is told a direction alone, and one that is told a timbre, too.

Training by timbre costs what a separator knows of directions; so the graph asks whether there is a
timbre, and runs the network of before where there is none. Both take and give the same states.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, TensorProto, helper
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
