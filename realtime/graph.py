"""Whether the graph of a model keeps what its spec promises: names, shapes and sizes of tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from realtime.spec import MASK_AXES, ModelSpec

Shape = Sequence[int | str | None]
MAX_STATE = 1 << 26  # numbers a target


class Tensor(Protocol):
    """An input or output as a session describes it; a dynamic size is a name or None."""

    name: str
    shape: Shape
    type: str


def problems_of(
    spec: ModelSpec, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]
) -> list[str]:
    """Return what is wrong with a graph, in words that follow "it"."""
    states = [name for name in inputs if name.startswith("state_")]
    has_runs = spec.has_runs
    optional = {"newest"} & set(inputs) if has_runs else set()
    expected = {"spectrum", *spec.inputs, *states, *optional}
    kept = {"state_" + name.removeprefix("next_") for name in outputs if name.startswith("next_")}
    problems = [f"asks for {n!r} and does not return it" for n in states if n not in kept]
    problems += [f"lacks the input {n!r}" for n in sorted(expected - set(inputs))]
    problems += [f"has an input {n!r} unknown to its spec" for n in sorted(set(inputs) - expected)]
    if "masks" not in outputs:
        problems.append("lacks the output 'masks'")
    if states and has_runs:
        problems.append(f"has states ({', '.join(states)}) and tiers with runs")
    tensors = [*inputs.values(), *outputs.values()]
    problems += [f"has {t.name!r} of {t.type}" for t in tensors if t.type != "tensor(float)"]
    if problems:
        return problems
    problems = _wrong_shapes(spec, inputs, outputs, has_runs)
    for name in states:
        problems += _wrong_state(name, inputs[name], outputs)
    return problems


def _wrong_shapes(
    spec: ModelSpec, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], has_runs: bool
) -> list[str]:
    """Compare the tensors of every model with their shapes in `ModelSpec`."""
    targets = len(spec.targets) or None
    each = (targets,) if has_runs else (None, targets)  # a value a run, or a frame
    wanted: list[tuple[Tensor, tuple[int | None, ...]]] = [
        (inputs["spectrum"], (None, 2, spec.bins, 2)),
        (outputs["masks"], (None, targets, MASK_AXES[spec.mask_axes], spec.bins)),
        *((inputs[name], (*each, size)) for name, size in spec.inputs.items()),
    ]
    problems = []
    for tensor, shape in wanted:
        if len(tensor.shape) != len(shape) or any(
            isinstance(found, int) and size is not None and found != size
            for found, size in zip(tensor.shape, shape, strict=True)
        ):
            problems.append(f"has {tensor.name} of shape {list(tensor.shape)}")
    if problems:
        return problems
    if has_runs:  # any number of targets; the number of frames is known
        return [p for name in spec.inputs for p in _fixed_axes(inputs[name], ["targets"])]
    for name in ("spectrum", *spec.conditions):  # the shapes that outputs declare bind nobody
        has_its_targets = bool(targets) or name == "spectrum"
        problems += _fixed_axes(
            inputs[name], ["frames"] if has_its_targets else ["frames", "targets"]
        )
    return problems


def _fixed_axes(tensor: Tensor, axes: Sequence[str]) -> list[str]:
    """Return what is wrong with an input whose first axes, by these names, are of one size."""
    return [
        f"takes {size} {axis} in {tensor.name!r} and no other number: export it with the axis "
        f'"{axis}" dynamic'
        for axis, size in zip(axes, tensor.shape, strict=False)
        if isinstance(size, int)
    ]


def _wrong_state(name: str, state: Tensor, outputs: Mapping[str, Tensor]) -> list[str]:
    back = outputs["next_" + name.removeprefix("state_")]
    if not _fit(back.shape, state.shape):
        return [f"returns {name!r} in another shape"]
    sizes = [size for size in state.shape[1:] if isinstance(size, int)]
    if len(sizes) < len(state.shape) - 1 or any(size < 1 for size in sizes):
        return [f"has {name} of shape {list(state.shape)}, expected sizes that are known"]
    if math.prod(sizes) > MAX_STATE:
        return [f"remembers {math.prod(sizes)} numbers in {name!r}, expected {MAX_STATE} at most"]
    return []


def _fit(one: Shape, other: Shape) -> bool:
    """Return whether two shapes can be equal: dynamic sizes fit any."""
    return len(one) == len(other) and all(
        a == b or not isinstance(a, int) or not isinstance(b, int)
        for a, b in zip(one, other, strict=True)
    )
