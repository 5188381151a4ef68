"""A stream through an ONNX graph that may hold several networks, each for what it is told."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.conditions import (
    BY_COUNTER_EXAMPLE,
    BY_TIMBRE,
    BY_TIMBRE_ALONE,
    Conditions,
    Outputs,
    kinds_of,
)
from realtime.spec import ModelSpec
from realtime.target_group import TargetGroup
from realtime.turns import cuts_between, in_parts, in_turns


class OnnxStepper:
    """The targets of one stream, in groups that are run at once.

    A graph may hold several networks, of which it runs one for all of its targets. So targets that
    are told different things are run apart, and none changes with what is told of those beside it.
    Of states for timbres alone, frame k has those of number k mod `ModelSpec.alone_turns`.
    """

    def __init__(self, session: Any, spec: ModelSpec, targets: int) -> None:
        self._session, self._spec = session, spec
        self._all = TargetGroup(session, spec, range(targets), binds_at_once=True)
        self._groups = [self._all]
        self._turns, self._next = spec.alone_turns, 0

    def step(self, spectrum: NDArray[np.float32], conditions: Conditions) -> Outputs:
        """See `ModelStream.step`."""
        frames = len(spectrum)
        networks = self._networks(conditions, frames)
        if cuts := cuts_between(networks):
            return in_parts(self.step, spectrum, conditions, cuts)
        first, self._next = self._next, (self._next + frames) % self._turns
        wanted = sorted(set(networks[0].tolist()))
        if len(wanted) == 1:
            self._regroup([self._all.targets])
            return self._step_group(self._all, first, spectrum, conditions, wanted[0])
        self._regroup([tuple(np.flatnonzero(networks[0] == k).tolist()) for k in wanted])
        found: dict[str, NDArray[np.float32]] = {}
        for group, network in zip(self._groups, wanted, strict=True):
            places = list(group.targets)
            told = {name: value[:, places] for name, value in conditions.items()}
            part = self._step_group(group, first, spectrum, told, network)
            for name, array in part.items():
                if name not in found:
                    shape = (frames, len(self._all.targets), *array.shape[2:])
                    found[name] = np.empty(shape, np.float32)
                found[name][:, places] = array
        return found

    def reset(self) -> None:
        """Set every state to zero."""
        for group in self._groups:
            group.clear()
        self._next = 0

    def _networks(self, conditions: Conditions, frames: int) -> NDArray[np.int8]:
        """Return which of its networks the graph takes: (frames, targets), or (frames, 1) for all.

        Each by the kind of what it answers; a counter-example is answered by that for timbres.
        """
        if not {"direction", "timbre"} <= self._spec.conditions.keys():
            return np.full((frames, 1), BY_TIMBRE_ALONE, np.int8)
        kinds = kinds_of(conditions)
        kinds[kinds == BY_COUNTER_EXAMPLE] = BY_TIMBRE
        return kinds

    def _regroup(self, wanted: list[tuple[int, ...]]) -> None:
        """Put the targets into groups of these numbers, with the states that they have."""
        if [group.targets for group in self._groups] == wanted:
            return
        groups = [self._all] if wanted == [self._all.targets] else [
            TargetGroup(self._session, self._spec, targets, binds_at_once=False)
            for targets in wanted
        ]  # fmt: skip
        for group in groups:
            group.take(self._groups)
        self._groups = groups

    def _step_group(
        self,
        group: TargetGroup,
        first: int,
        spectrum: NDArray[np.float32],
        conditions: Conditions,
        network: int,
    ) -> Outputs:
        """Step targets that one network answers by several frames, as if they came one by one.

        Parameters
        ----------
        first : the turn of the first frame.
        """
        frames, turns = len(spectrum), self._turns
        if frames > 1 and turns > 1:
            if network == BY_TIMBRE_ALONE:
                steps = [functools.partial(group.run, turn) for turn in range(turns)]
                return in_turns(steps, first, spectrum, conditions)
            # the graph itself zeroes the states of the turn that it runs
            for k in range(1, min(frames, turns)):
                group.clear_turn((first + k) % turns)
        return group.run(first, spectrum, conditions)
