"""A stream through an ONNX graph: states by name, and buffers that a session works on in place."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.conditions import (
    BY_COUNTER_EXAMPLE,
    BY_TIMBRE,
    BY_TIMBRE_ALONE,
    FREE_WHERE_ZERO,
    Conditions,
    Outputs,
    kinds_of,
)
from realtime.errors import StemsteerError
from realtime.spec import ALONE, MASK_AXES, ModelSpec
from realtime.turns import cuts_between, in_parts, in_turns

_KEPT_SIZES = 6  # frame counts whose buffers are kept

States = dict[str, NDArray[np.float32]]
Targets = slice | NDArray[np.intp]
"""Some targets of a stream; a slice is all of them."""
_ALL = slice(None)


class OnnxStepper:
    """The states of one stream, and buffers that the session reads and writes in place.

    States are double-buffered: each step reads one set and writes the other. Those for timbres
    alone are there `ModelSpec.alone_turns` times, and frame k has those of number k mod turns.

    A graph may hold several networks, of which it runs one for all of its targets. So targets that
    are told different things are run apart, and none changes with what is told of those beside it.
    """

    def __init__(self, session: Any, spec: ModelSpec, targets: int) -> None:
        self._session, self._spec, self._targets = session, spec, targets
        shapes = {
            i.name.removeprefix("state_"): _with_targets(i.shape, targets)
            for i in session.get_inputs()
            if i.name.startswith("state_")
        }
        alone = {name: shape for name, shape in shapes.items() if name.startswith(ALONE)}
        self._states = _DoubleBufferedStates({n: s for n, s in shapes.items() if n not in alone})
        self._alone = [_DoubleBufferedStates(alone) for _ in range(spec.alone_turns)]
        self._output_names = [output.name for output in session.get_outputs()]
        self._buffers: dict[tuple[int, int], _Buffers] = {}
        self._next = 0

    def step(self, spectrum: NDArray[np.float32], conditions: Conditions) -> Outputs:
        """See `ModelStream.step`."""
        frames = len(spectrum)
        networks = self._networks(conditions, frames)
        if cuts := cuts_between(networks):
            return in_parts(self.step, spectrum, conditions, cuts)
        first, self._next = self._next, (self._next + frames) % len(self._alone)
        wanted = sorted(set(networks[0].tolist()))
        if len(wanted) == 1:
            return self._step_alike(_ALL, first, spectrum, conditions, wanted[0])
        found: dict[str, NDArray[np.float32]] = {}
        for network in wanted:
            group = np.flatnonzero(networks[0] == network)
            told = {name: value[:, group] for name, value in conditions.items()}
            part = self._step_alike(group, first, spectrum, told, network)
            for name, array in part.items():
                if name not in found:
                    shape = (frames, self._targets, *array.shape[2:])
                    found[name] = np.empty(shape, np.float32)
                found[name][:, group] = array
        return found

    def _networks(self, conditions: Conditions, frames: int) -> NDArray[np.int8]:
        """Return which of its networks the graph takes: (frames, targets), or (frames, 1) for all.

        Each by the kind of what it answers; a counter-example is answered by that for timbres.
        """
        if not {"direction", "timbre"} <= self._spec.conditions.keys():
            return np.full((frames, 1), BY_TIMBRE_ALONE, np.int8)
        kinds = kinds_of(conditions)
        kinds[kinds == BY_COUNTER_EXAMPLE] = BY_TIMBRE
        return kinds

    def _step_alike(
        self,
        group: Targets,
        first: int,
        spectrum: NDArray[np.float32],
        conditions: Conditions,
        network: int,
    ) -> Outputs:
        """Step targets that one network answers by several frames, as if they came one by one.

        Parameters
        ----------
        group : the numbers of these targets, whose conditions (frames, group, size) are told.
        first : the turn of the first frame.
        """
        frames, turns = len(spectrum), len(self._alone)
        if frames > 1 and turns > 1:
            if network == BY_TIMBRE_ALONE:
                steps = [functools.partial(self._run, group, turn) for turn in range(turns)]
                return in_turns(steps, first, spectrum, conditions)
            # the graph itself zeroes the states of the turn that it runs
            for k in range(1, min(frames, turns)):
                self._alone[(first + k) % turns].clear(group)
        return self._run(group, first, spectrum, conditions)

    def _run(
        self,
        group: Targets,
        turn: int,
        spectrum: NDArray[np.float32],
        conditions: Conditions,
    ) -> Outputs:
        """Run the session once for some targets, with the states for timbres alone of this turn."""
        if isinstance(group, slice):
            return self._run_all(turn, spectrum, conditions)
        return self._run_some(group, turn, spectrum, conditions)

    def _run_all(self, turn: int, spectrum: NDArray[np.float32], conditions: Conditions) -> Outputs:
        """Run the session on its buffers."""
        frames, _, bins, _ = spectrum.shape
        buffers = self._buffers.get((frames, bins)) or self._bind(frames, bins)
        buffers.inputs["spectrum"][:] = spectrum
        for name in self._spec.conditions:
            free = name in FREE_WHERE_ZERO and name not in conditions
            buffers.inputs[name][:] = 0 if free else conditions[name]
        alone = self._alone[turn]
        binding = buffers.bindings[turn, self._states.newest, alone.newest]
        with _named_failures(self._spec):
            self._session.run_with_iobinding(binding)
        self._states.newest ^= 1
        alone.newest ^= 1
        return buffers.outputs

    def _run_some(
        self,
        group: NDArray[np.intp],
        turn: int,
        spectrum: NDArray[np.float32],
        conditions: Conditions,
    ) -> Outputs:
        """Run the session on copies of the states of some targets, and put the new ones back."""
        given = {"spectrum": np.ascontiguousarray(spectrum)}
        for name, size in self._spec.conditions.items():
            free = name in FREE_WHERE_ZERO and name not in conditions
            shape = (len(spectrum), len(group), size)
            given[name] = np.zeros(shape, np.float32) if free else conditions[name]
        states = self._states.read | self._alone[turn].read
        given |= {f"state_{name}": state[group] for name, state in states.items()}
        with _named_failures(self._spec):
            arrays = self._session.run(self._output_names, given)
        found = dict(zip(self._output_names, arrays, strict=True))
        for name, state in states.items():
            state[group] = found.pop(f"next_{name}")
        return found

    def reset(self) -> None:
        """Set every state to zero."""
        for states in (self._states, *self._alone):
            states.clear()
        self._next = 0

    def _bind(self, frames: int, bins: int) -> _Buffers:
        while len(self._buffers) >= _KEPT_SIZES:
            self._buffers.pop(next(iter(self._buffers)))
        spec, targets = self._spec, self._targets
        inputs = {"spectrum": np.zeros((frames, 2, bins, 2), np.float32)}
        for name, size in spec.conditions.items():
            inputs[name] = np.zeros((frames, targets, size), np.float32)
        outputs = {
            "masks": np.zeros((frames, targets, MASK_AXES[spec.mask_axes], bins), np.float32)
        }
        if "activity" in self._output_names:
            outputs["activity"] = np.zeros((frames, targets), np.float32)
        buffers = _Buffers(inputs, outputs)
        for key in itertools.product(range(len(self._alone)), (0, 1), (0, 1)):
            buffers.bindings[key] = self._binding(buffers, *key)
        self._buffers[frames, bins] = buffers
        return buffers

    def _binding(self, buffers: _Buffers, turn: int, newest: int, newest_alone: int) -> Any:
        """Bind the buffers, and the states of a turn: those that are newest are read."""
        binding, alone = self._session.io_binding(), self._alone[turn].of
        old = self._states.of[newest] | alone[newest_alone]
        new = self._states.of[newest ^ 1] | alone[newest_alone ^ 1]
        given = buffers.inputs | {f"state_{name}": array for name, array in old.items()}
        made = buffers.outputs | {f"next_{name}": array for name, array in new.items()}
        for name, array in given.items():
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in made.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return binding


class _DoubleBufferedStates:
    """States twice: those of number `newest` are read, the others written."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self.of: list[States] = [
            {name: np.zeros(shape, np.float32) for name, shape in shapes.items()} for _ in range(2)
        ]
        self.newest = 0

    @property
    def read(self) -> States:
        """Return the states that are read next."""
        return self.of[self.newest]

    def clear(self, group: Targets = _ALL) -> None:
        """Set every state of some targets to zero."""
        for states in self.of:
            for state in states.values():
                state[group] = 0


class _Buffers:
    def __init__(
        self, inputs: dict[str, NDArray[np.float32]], outputs: dict[str, NDArray[np.float32]]
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.bindings: dict[tuple[int, int, int], Any] = {}


@contextlib.contextmanager
def _named_failures(spec: ModelSpec) -> Iterator[None]:
    """Raise `cannot_run` where a session fails."""
    try:
        yield
    except Exception as error:  # onnxruntime raises a dozen classes of its own
        raise cannot_run(spec, error) from error


def cannot_run(spec: ModelSpec, error: Exception) -> StemsteerError:
    """Return the error that says that a graph failed."""
    reason = str(error).partition("\n")[0][:300]
    return StemsteerError(
        f"the model {spec.name!r} cannot be run: {reason}; its graph does not keep its spec: "
        "export it again, or take another with --model"
    )


def _with_targets(shape: list[int | str], targets: int) -> tuple[int, ...]:
    return tuple(targets if isinstance(size, str) else size for size in shape)
