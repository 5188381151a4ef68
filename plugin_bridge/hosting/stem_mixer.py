"""Gain and plugins on every stem behind the separator, the stems in step with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation.automation import ALL
from plugin_bridge.automation.conditions import LaneConditions
from plugin_bridge.control.controls import Control
from realtime.arrays import Audio
from realtime.blocks import Fifo, adapter_delay
from realtime.errors import StemsteerError
from realtime.separator import RESIDUAL

LEFT_OUT = ("mix", "mode", "bypass")
"""Controls that do nothing here: they choose what of a target is heard."""
EVERY_STEM_IS_HEARD = (
    "with plugins on the stems every stem is heard: leave mode, mix and bypass out, and set levels "
    "by gain"
)
CHUNK = 256  # samples that a plugin gets at once, always: what it does may depend on their number


class Chain(Protocol):
    """The plugins of one stem; `PluginChain` is one, which pedalboard makes slow to import."""

    latency: int

    def reset(self) -> None:
        """Forget the sound, and put back the parameters that were moved."""

    def process(self, chunk: Audio) -> Audio:
        """Take (channels, CHUNK) samples, and return what is ready of them."""

    def controls(self) -> dict[str, Control]:
        """Return the parameters that can be moved, as ``plugin/parameter``."""

    def set(self, name: str, value: float) -> None:
        """Move a parameter. Raises StemsteerError if it does not take the value."""


class StemMixer:
    """Chains of plugins on stems; all stems come out equally late, by the longest chain.

    Equation: without chains and lanes the output is the input, `latency` samples later, and the
    sum of the stems is the mixture.

    Parameters
    ----------
    chains : by name of the stem (a target or ``residual``).
    conditions : their lanes move the gains of the targets and the plugins' parameters.
    channels : of every stem.
    first : position in the input stream of the first sample that comes in.
    block_multiple : what the size of every block but the last is a multiple of; None: any sizes.
    live : a parameter that its plugin refuses stays where it was, and `fault` says so.

    Raises
    ------
    ValueError for a chain on a stem that is not there, a lane that moves a parameter that is not
    there: on its stem, or for all stems on any; or a lane of a control in `LEFT_OUT`.
    """

    def __init__(
        self,
        chains: Mapping[str, Chain],
        conditions: LaneConditions,
        channels: int,
        *,
        first: int = 0,
        block_multiple: int | None = None,
        live: bool = False,
    ) -> None:
        self.fault = ""
        self._live, self._refused = live, dict[tuple[str, str], float]()
        self.stems = (*conditions.targets, RESIDUAL)
        unknown = set(chains) - set(self.stems)
        if unknown:
            raise ValueError(
                f"no stem {min(unknown)!r} for a chain; there are {', '.join(self.stems)}"
            )
        if conditions.moves(*LEFT_OUT):
            raise ValueError(EVERY_STEM_IS_HEARD)
        self._chains = [chains.get(stem) for stem in self.stems]
        self._conditions, self._channels, self._first = conditions, channels, first
        self._block_delay = adapter_delay(CHUNK, block_multiple)
        self._longest = max((chain.latency for chain in chains.values()), default=0)
        self._lane_parameters = self._find_parameters()
        self.reset()

    @property
    def latency(self) -> int:
        """Return by how many samples the output lags behind the input."""
        return self._longest + self._block_delay

    def reset(self) -> None:
        """Forget the stream."""
        stems, rows = len(self.stems), (self._channels,)
        self._position = self._first
        self._input = Fifo((stems, *rows))
        self._ready = [Fifo(rows, zeros=self._longest) for _ in range(stems)]
        self._output = Fifo((stems, *rows), zeros=self._block_delay)
        for chain in self._chains:
            if chain is not None:
                chain.reset()

    def process(self, stems: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take stems (stems, channels, n), and return as many samples of each, `latency` later.

        Raises StemsteerError if a plugin changes its latency or, unless live, refuses a value.
        """
        self._input.push(stems)
        while len(self._input) >= CHUNK:
            self._output.push(self._process_chunk(self._input.pop(CHUNK)))
        return self._output.pop(stems.shape[2])

    def flush(self) -> NDArray[np.float32]:
        """Return the last `latency` samples (stems, channels, latency), and reset."""
        tail = self.process(np.zeros((len(self.stems), self._channels, self.latency), np.float32))
        self.reset()
        return tail

    def _process_chunk(self, stems: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take a chunk (stems, channels, CHUNK), and return one, the longest chain later."""
        for index, (stem, chain) in enumerate(zip(self.stems, self._chains, strict=True)):
            sound = stems[index]
            if stem != RESIDUAL:
                sound = sound * self._conditions.gain(stem, self._position, CHUNK)
            if chain is not None:
                self._move_parameters(stem, chain)
                sound = chain.process(np.ascontiguousarray(sound, np.float32))
            self._ready[index].push(sound)
        self._position += CHUNK
        return np.stack([ready.pop(CHUNK) for ready in self._ready])

    def _move_parameters(self, stem: str, chain: Chain) -> None:
        """Set the parameters to what their lanes are in the middle of the chunk."""
        time_s = self._conditions.time_s(self._position + CHUNK / 2)
        for name in self._lane_parameters[stem]:
            lane = self._conditions.lanes.lane(stem, name)
            if lane is not None:
                self._set(stem, chain, name, float(lane.at(time_s)))

    def _set(self, stem: str, chain: Chain, name: str, value: float) -> None:
        """Set a parameter; live, a value that was refused is not tried again."""
        if self._refused.get((stem, name)) == value:
            return
        try:
            chain.set(name, value)
            self._refused.pop((stem, name), None)
        except StemsteerError as error:
            if not self._live:
                raise
            self._refused[stem, name] = value
            self.fault = f"{error}; it stays as it was"

    def _find_parameters(self) -> dict[str, list[str]]:
        """Return the parameters that lanes move, by stem: its own lanes, and those for all stems.

        Raises ValueError for a lane that moves nothing.
        """
        lanes, found = self._conditions.lanes, dict[str, list[str]]()
        shared = lanes.parameters(ALL)
        for stem, chain in zip(self.stems, self._chains, strict=True):
            known: Sequence[str] = list(chain.controls()) if chain else []
            own = lanes.parameters(stem)
            for name in own:
                if name not in known:
                    words = ", ".join(known) or "no plugin"
                    raise ValueError(f"a lane moves {name} of {stem}, whose chain has {words}")
            found[stem] = [*own, *(name for name in shared if name in known and name not in own)]
        for name in shared:
            if not any(name in names for names in found.values()):
                raise ValueError(f"a lane moves {name} of all stems, and no chain has it")
        return found


def compensated(
    mixer: StemMixer, blocks: Iterator[NDArray[np.float32]]
) -> Iterator[NDArray[np.float32]]:
    """Yield what a mixer makes of blocks of stems, its latency trimmed: as long as they are."""
    early = mixer.latency
    for stems in blocks:
        out = mixer.process(stems)
        skipped = min(early, out.shape[2])
        early -= skipped
        if out.shape[2] > skipped:
            yield out[:, :, skipped:]
    yield mixer.flush()[:, :, early:]
