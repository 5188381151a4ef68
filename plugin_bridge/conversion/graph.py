"""ONNX graphs of arrays, node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from realtime.atomic import atomic_write
from realtime.spec import METADATA_KEY

OPSET = 17
LARGE = 1024
"""Constants of so many numbers or more are stored in less than float32 and cast once, at load."""
KERNEL_AXES = 4

Shape = Sequence[int | str]


class Spec(Protocol):
    """What a model file says about itself."""

    @property
    def name(self) -> str: ...

    def to_json(self) -> str:
        """Return it as JSON."""


class Graph:
    """A graph in the making: values are known by their names.

    Parameters
    ----------
    half : whether large constants are stored in float16.
    eight_bits : whether large kernels are stored in int8, with a scale for each output channel.
    """

    def __init__(self, *, half: bool = True, eight_bits: bool = False) -> None:
        self._half, self._eight_bits = half, eight_bits
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; give the name of that."""
        return self.add_several(1, operator, *inputs, **attributes)[0]

    def add_several(
        self, count: int, operator: str, *inputs: str, **attributes: Any
    ) -> tuple[str, ...]:
        """Add a node; give the names of its outputs."""
        stem = f"{operator.lower()}_{len(self._nodes)}"
        outputs = (stem, *(f"{stem}_{k}" for k in range(1, count)))
        self._nodes.append(helper.make_node(operator, list(inputs), list(outputs), **attributes))
        return outputs

    def floats(self, values: NDArray[Any] | Sequence[float] | float) -> str:
        """Add a constant of float32."""
        array = np.ascontiguousarray(values, np.float32)
        if self._eight_bits and array.ndim == KERNEL_AXES and array.size >= LARGE:
            return self._rounded(array)
        if not self._half or array.size < LARGE:
            return self._constant(array)
        return self.add("Cast", self._constant(array.astype(np.float16)), to=TensorProto.FLOAT)

    def integer(self, value: int) -> str:
        """Add a constant of int64 without axes."""
        return self._constant(np.array(value, np.int64))

    def integers(self, *values: int) -> str:
        """Add a constant (n,) of int64."""
        return self._constant(np.array(values, np.int64))

    def save(
        self,
        path: Path,
        spec: Spec,
        inputs: Mapping[str, Shape],
        outputs: Mapping[str, tuple[str, Shape]],
        key: str = METADATA_KEY,
    ) -> None:
        """Write the model with its spec; the file appears whole.

        Parameters
        ----------
        key : under which the file's metadata has the spec.
        inputs : shapes by name, all float32.
        outputs : by name, the value it is and its shape.
        """
        nodes = [*self._nodes]
        nodes += [helper.make_node("Identity", [v], [name]) for name, (v, _) in outputs.items()]
        graph = helper.make_graph(
            nodes,
            spec.name,
            [_told(name, shape) for name, shape in inputs.items()],
            [_told(name, shape) for name, (_, shape) in outputs.items()],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 8
        helper.set_model_props(model, {key: spec.to_json()})
        onnx.checker.check_model(model)
        with atomic_write(path) as part:
            part.write_bytes(model.SerializeToString())

    def _rounded(self, kernel: NDArray[np.float32]) -> str:
        """Store a kernel (outputs, …) in int8, each output's largest weight as 127."""
        scale = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True) / 127
        scale = np.maximum(scale, np.finfo(np.float32).tiny).astype(np.float32)
        stored = self._constant(np.rint(kernel / scale).astype(np.int8))
        cast = self.add("Cast", stored, to=TensorProto.FLOAT)
        return self.add("Mul", cast, self._constant(scale))

    def _constant(self, array: NDArray[Any]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array, name))
        return name


def _told(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
