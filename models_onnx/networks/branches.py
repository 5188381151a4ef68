"""Several networks in one file: one told a direction alone, one told a timbre, too, and one told
nothing but a timbre.

Training by timbre costs what a separator knows of directions, and a separator that is built around
a direction has little to say without one; so the graph asks what it is told and runs the network of
that. Those by direction take and give the same states; of those that are shorter in one network it
uses the first numbers, and gives zeros behind them. The network of a timbre alone has states of its
own, zeros while it does not run, so that it begins anew where it is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)
from onnx.compose import add_prefix_graph

from realtime.conditions import WIDTH_DEG
from realtime.spec import ALONE

Part = Literal["plain", "told", "alone"]
"""Of a joined model: for a direction alone, for a timbre with or without one, for a timbre alone.
A file without ``alone`` asks ``told`` for that."""
PREFIXES: dict[Part, str] = {"plain": "plain.", "told": "told.", "alone": "alone."}
TIMBRES = ("timbre", "against")
STATE, NEXT = "state_", "next_"


def branched(told: ModelProto, plain: ModelProto, alone: ModelProto | None = None) -> ModelProto:
    """Join a model that takes a direction and a timbre with others that answer instead of it.

    Parameters
    ----------
    told : its states that others lack pass through them.
    plain : answers where no target has a timbre.
    alone : answers where every target is told a timbre alone: from any direction, at the widest,
        and nothing against it. Its masks are those of the mixture.

    The last two may be joined already: then their part of that name is taken.
    """
    inputs, outputs = list(told.graph.input), list(told.graph.output)
    by_timbre = None
    if alone is not None:
        by_timbre = branch(alone, "alone")
        if by_timbre is None:
            by_timbre = _as_branch(_of_steered_masks(alone.graph), "alone")
        states = {n: v for n, v in _states(alone.graph).items() if n.startswith(STATE + ALONE)}
        inputs += states.values()
        outputs += [_following(value) for value in states.values()]
    names = [output.name for output in outputs]
    by_direction = branch(plain, "plain") or _as_branch(plain.graph, "plain")
    sizes, own = _sizes(told.graph), _sizes(plain.graph)
    shorter = {k: (own[k], size) for k, size in sizes.items() if own.get(k, size) < size}
    otherwise = _complete(_with_longer_states(by_direction, shorter), "plain", names)
    then = _complete(_as_branch(told.graph, "told"), "told", names)
    if by_timbre is not None:
        choice = _choice("alone", names, _complete(by_timbre, "alone", names), then)
        then = helper.make_graph([choice], "told", [], _values(names))
    nodes, constants = _questions()
    graph = helper.make_graph(
        [*nodes, _choice("told", names, then, otherwise)], "steer", inputs, outputs, constants
    )
    return helper.make_model(graph, opset_imports=told.opset_import, ir_version=told.ir_version)


def branch(model: ModelProto, part: Part) -> GraphProto | None:
    """Return a part of a joined model; None if it has none of that name."""
    for node in model.graph.node:
        if node.op_type == "If" and node.name == "told":
            then, otherwise = _branches(node)
            if part == "plain":
                return otherwise
            inner = next((one for one in then.node if one.name == "alone"), None)
            if inner is None:
                return then if part == "told" else None
            return _branches(inner)[part == "told"]
    return None


def weights_of(path: Path, part: Part) -> list[TensorProto]:
    """Return the weights in a file under their own names; of a joined one those of one part."""
    model = onnx.load(path)
    graph = branch(model, part)
    weights = list(model.graph.initializer if graph is None else graph.initializer)
    for weight in weights:
        weight.name = weight.name.removeprefix(PREFIXES[part])
    return weights


def _branches(node: NodeProto) -> tuple[GraphProto, GraphProto]:
    """Return the graphs of an If: where it holds, and where it does not."""
    found = {attribute.name: attribute.g for attribute in node.attribute}
    return found["then_branch"], found["else_branch"]


def _questions() -> tuple[list[NodeProto], list[TensorProto]]:
    """Return nodes that make ``is_told`` and ``is_alone`` of the conditions, and constants."""
    constants = [
        helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("widest", TensorProto.FLOAT, [], [WIDTH_DEG[1]]),
        helper.make_tensor("width", TensorProto.INT64, [], [1]),
    ]
    nodes = [
        *(helper.make_node("ReduceL1", [name], [f"{name}_length"], keepdims=0) for name in TIMBRES),
        helper.make_node("Add", [f"{name}_length" for name in TIMBRES], ["length"]),
        helper.make_node("Greater", ["length", "nothing"], ["is_told"]),
        helper.make_node("Gather", ["direction", "width"], ["width_deg"], axis=2),
        helper.make_node("ReduceMin", ["width_deg"], ["narrowest"], keepdims=0),
        helper.make_node("GreaterOrEqual", ["narrowest", "widest"], ["is_anywhere"]),
        helper.make_node("Greater", ["against_length", "nothing"], ["is_against"]),
        helper.make_node("Not", ["is_against"], ["is_for"]),
        helper.make_node("And", ["is_anywhere", "is_for"], ["is_alone"]),
    ]
    return nodes, constants


def _choice(name: str, outputs: list[str], then: GraphProto, otherwise: GraphProto) -> NodeProto:
    return helper.make_node(
        "If", [f"is_{name}"], outputs, then_branch=then, else_branch=otherwise, name=name
    )


def _values(names: list[str]) -> list[ValueInfoProto]:
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]


def _states(graph: GraphProto) -> dict[str, ValueInfoProto]:
    return {value.name: value for value in graph.input if value.name.startswith(STATE)}


def _sizes(graph: GraphProto) -> dict[str, int]:
    """Length of each state of one axis beside that of the targets, by the name of its input."""
    shapes = {name: value.type.tensor_type.shape.dim for name, value in _states(graph).items()}
    return {name: shape[1].dim_value for name, shape in shapes.items() if len(shape) == 2}


def _with_longer_states(graph: GraphProto, lengths: Mapping[str, tuple[int, int]]) -> GraphProto:
    """Let a branch take and give states of more numbers: lengths (its own, those outside)."""
    own = GraphProto()
    own.CopyFrom(graph)
    before, behind = [], []
    for state, (length, outside) in lengths.items():
        name = f"{PREFIXES['plain']}{state}"
        constants = {
            "first": [0],
            "last": [length],
            "axis": [1],
            "zeros": [0, 0, 0, outside - length],
        }
        for key, value in constants.items():
            array = numpy_helper.from_array(np.array(value, np.int64), f"{name}_{key}")
            own.initializer.append(array)
        given = next(o.name for o in own.output if o.name.endswith(_next(state)))
        _rename(own.node, {state: f"{name}_own", given: f"{given}_own"})
        words = [state, *(f"{name}_{key}" for key in ("first", "last", "axis"))]
        before.append(helper.make_node("Slice", words, [f"{name}_own"]))
        behind.append(helper.make_node("Pad", [f"{given}_own", f"{name}_zeros"], [given]))
    nodes = [*before, *own.node, *behind]
    del own.node[:]
    own.node.extend(nodes)
    return own


def _of_steered_masks(graph: GraphProto) -> GraphProto:
    """Return a graph that is told a timbre alone with masks as a filter in a direction has them.

    A mask m of the mixture is the filter (m, 0, 0, m).
    """
    own = GraphProto()
    own.CopyFrom(graph)
    for value in own.output:
        value.name = "mask" if value.name == "masks" else value.name
    _rename(own.node, {"masks": "mask"})
    own.initializer.append(helper.make_tensor("none", TensorProto.FLOAT, [], [0.0]))
    own.node.append(helper.make_node("Mul", ["mask", "none"], ["zeros"]))
    own.node.append(
        helper.make_node("Concat", ["mask", "zeros", "zeros", "mask"], ["masks"], axis=2)
    )
    for value in own.output:
        value.name = "masks" if value.name == "mask" else value.name
    return own


def _as_branch(graph: GraphProto, part: Part) -> GraphProto:
    """Return a graph without inputs, all of its names its own."""
    own = GraphProto()
    own.CopyFrom(graph)
    prefix, outer = PREFIXES[part], {value.name for value in own.input}
    del own.input[:]
    del own.value_info[:]
    own = add_prefix_graph(own, prefix)
    _rename(own.node, {prefix + name: name for name in outer})  # some versions of onnx rename them
    return own


def _complete(graph: GraphProto, part: Part, names: list[str]) -> GraphProto:
    """Let a branch give all outputs, in this order.

    States that it does not have pass through; those of the network of a timbre alone are zeros.
    """
    own = GraphProto()
    own.CopyFrom(graph)
    prefix = PREFIXES[part]
    given = {output.name for output in own.output}
    for name in names:
        if prefix + name in given:
            continue
        state = STATE + name.removeprefix(NEXT)
        if name.startswith(NEXT + ALONE):
            own.node.append(helper.make_node("Shape", [state], [f"{prefix}{state}_shape"]))
            own.node.append(
                helper.make_node("ConstantOfShape", [f"{prefix}{state}_shape"], [prefix + name])
            )
        else:
            own.node.append(helper.make_node("Identity", [state], [prefix + name]))
    del own.output[:]
    own.output.extend(_values([prefix + name for name in names]))
    return own


def _following(state: ValueInfoProto) -> ValueInfoProto:
    """Return the output that gives a state its next value."""
    value = ValueInfoProto()
    value.CopyFrom(state)
    value.name = _next(state.name)
    return value


def _next(state: str) -> str:
    return NEXT + state.removeprefix(STATE)


def _rename(nodes: Iterable[NodeProto], names: Mapping[str, str]) -> None:
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
