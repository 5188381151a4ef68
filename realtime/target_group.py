"""Some targets of a stream that are run at once: their states, and buffers that a session works on
in place.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.conditions import FREE_WHERE_ZERO, Outputs
from realtime.errors import StemsteerError
from realtime.spec import ALONE, MASK_AXES, ModelSpec

_KEPT_SIZES = 6  # frame counts whose buffers are kept
_STATE, _NEXT = "state_", "next_"

States = dict[str, NDArray[np.float32]]


class TargetGroup:
    """States and buffers of some targets.

    States are double-buffered: each run reads one set and writes the other. Those for timbres alone
    are there `ModelSpec.alone_turns` times.

    Parameters
    ----------
    targets : the numbers of the targets in their stream.
    binds_at_once : whether buffers are bound for all states when they are made, which takes some
        milliseconds; else for each when it is first met, which takes a fraction of one.
    """

    def __init__(
        self, session: Any, spec: ModelSpec, targets: Sequence[int], *, binds_at_once: bool
    ) -> None:
        self._session, self._spec, self.targets = session, spec, tuple(targets)
        self._binds_at_once = binds_at_once
        shapes = {
            i.name.removeprefix(_STATE): _with_targets(i.shape, len(targets))
            for i in session.get_inputs()
            if i.name.startswith(_STATE)
        }
        alone = {name: shape for name, shape in shapes.items() if name.startswith(ALONE)}
        self._states = _DoubleBuffered({n: s for n, s in shapes.items() if n not in alone})
        self._alone = [_DoubleBuffered(alone) for _ in range(spec.alone_turns)]
        self._has_activity = "activity" in {output.name for output in session.get_outputs()}
        self._buffers: dict[tuple[int, int], _Buffers] = {}

    def run(
        self, turn: int, spectrum: NDArray[np.float32], conditions: Mapping[str, NDArray[Any]]
    ) -> Outputs:
        """Run the session once, with the states for timbres alone of this turn.

        Parameters
        ----------
        spectrum : (frames, 2, bins, 2).
        conditions : (frames, targets of the group, size).

        Returns
        -------
        Arrays that hold until the next run. Raises StemsteerError if the session fails.
        """
        frames, _, bins, _ = spectrum.shape
        buffers = self._buffers.get((frames, bins)) or self._bind(frames, bins)
        buffers.inputs["spectrum"][:] = spectrum
        for name in self._spec.conditions:
            free = name in FREE_WHERE_ZERO and name not in conditions
            buffers.inputs[name][:] = 0 if free else conditions[name]
        alone = self._alone[turn]
        key = turn, self._states.newest, alone.newest
        binding = buffers.bindings.get(key) or self._binding(buffers, *key)
        with _named_failures(self._spec):
            self._session.run_with_iobinding(binding)
        self._states.newest ^= 1
        alone.newest ^= 1
        return buffers.outputs

    def take(self, groups: Sequence[TargetGroup]) -> None:
        """Take over the states of its targets from the groups that had them."""
        for place, target in enumerate(self.targets):
            other = next(group for group in groups if target in group.targets)
            before = other.targets.index(target)
            for own, theirs in zip(self._sets(), other._sets(), strict=True):
                for name, state in own.read.items():
                    state[place] = theirs.read[name][before]

    def clear(self) -> None:
        """Set every state to zero."""
        for states in self._sets():
            states.clear()

    def clear_turn(self, turn: int) -> None:
        """Set the states for timbres alone of a turn to zero."""
        self._alone[turn].clear()

    def _sets(self) -> tuple[_DoubleBuffered, ...]:
        return (self._states, *self._alone)

    def _bind(self, frames: int, bins: int) -> _Buffers:
        while len(self._buffers) >= _KEPT_SIZES:
            self._buffers.pop(next(iter(self._buffers)))
        spec, targets = self._spec, len(self.targets)
        inputs = {"spectrum": np.zeros((frames, 2, bins, 2), np.float32)}
        for name, size in spec.conditions.items():
            inputs[name] = np.zeros((frames, targets, size), np.float32)
        outputs = {
            "masks": np.zeros((frames, targets, MASK_AXES[spec.mask_axes], bins), np.float32)
        }
        if self._has_activity:
            outputs["activity"] = np.zeros((frames, targets), np.float32)
        buffers = self._buffers[frames, bins] = _Buffers(inputs, outputs)
        if self._binds_at_once:
            for key in itertools.product(range(len(self._alone)), (0, 1), (0, 1)):
                self._binding(buffers, *key)
        return buffers

    def _binding(self, buffers: _Buffers, turn: int, newest: int, newest_alone: int) -> Any:
        """Bind the buffers, and the states of a turn: those that are newest are read."""
        binding, alone = self._session.io_binding(), self._alone[turn].of
        old = self._states.of[newest] | alone[newest_alone]
        new = self._states.of[newest ^ 1] | alone[newest_alone ^ 1]
        given = buffers.inputs | {_STATE + name: array for name, array in old.items()}
        made = buffers.outputs | {_NEXT + name: array for name, array in new.items()}
        for name, array in given.items():
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in made.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        buffers.bindings[turn, newest, newest_alone] = binding
        return binding


class _DoubleBuffered:
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

    def clear(self) -> None:
        """Set every state to zero."""
        for states in self.of:
            for state in states.values():
                state[:] = 0


class _Buffers:
    def __init__(self, inputs: States, outputs: States) -> None:
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
