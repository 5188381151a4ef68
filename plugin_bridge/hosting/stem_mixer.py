"""After the separator: plugins and gain on every stem, in step with each other, and their sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation.conditions import LaneConditions
from realtime.blocks import Fifo, adapter_delay
from realtime.errors import StemsteerError
from realtime.separator import RESIDUAL

if TYPE_CHECKING:  # pedalboard is slow to import, and most mixes need none of it
    from plugin_bridge.hosting.chain import PluginChain

CHUNK = 256  # samples that a plugin gets at once, always


class StemMixer:
    """Chains of plugins on stems; all stems come out equally late, by the longest chain.

    Equation: without chains and lanes the output is the input, `latency` samples later, and the
    sum of the stems is the mixture.

    Parameters
    ----------
    chains : by name of the stem (a target or ``residual``).
    steering : whose lanes move the gains of the targets and the plugins' parameters.
    first : position in the input stream of the first sample that comes in.
    block : size of every block but the last if it is constant; None: any.
    live : a parameter that its plugin refuses stays where it was, and `fault` says so.

    Raises
    ------
    ValueError for a chain on a stem that is not there, StemsteerError for a lane that moves a
    parameter that is not there.
    """

    def __init__(
        self,
        chains: Mapping[str, PluginChain],
        steering: LaneConditions,
        channels: int,
        *,
        first: int = 0,
        block: int | None = None,
        live: bool = False,
    ) -> None:
        self.fault = ""
        self._live, self._refused = live, dict[tuple[str, str], float]()
        self.stems = (*steering.targets, RESIDUAL)
        unknown = set(chains) - set(self.stems)
        if unknown:
            raise ValueError(
                f"no stem {min(unknown)!r} for a chain; there are {', '.join(self.stems)}"
            )
        self._chains = [chains.get(stem) for stem in self.stems]
        self._steering, self._channels, self._first = steering, channels, first
        self._block_delay = adapter_delay(CHUNK, block)
        self._longest = max((chain.latency for chain in chains.values()), default=0)
        self._moved = {stem: steering.lanes.parameters(stem) for stem in self.stems}
        self._check_parameters()
        self.reset()

    @property
    def latency(self) -> int:
        """Samples by which the output lags behind the input."""
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
        """Take stems (stems, channels, n), give as many samples of each, `latency` later.

        Raises StemsteerError if a plugin changes its latency or, unless live, refuses a value.
        """
        self._input.push(stems)
        while len(self._input) >= CHUNK:
            self._output.push(self._piece(self._input.pop(CHUNK)))
        return self._output.pop(stems.shape[2])

    def flush(self) -> NDArray[np.float32]:
        """Give the last `latency` samples (stems, channels, latency), and reset."""
        tail = self.process(np.zeros((len(self.stems), self._channels, self.latency), np.float32))
        self.reset()
        return tail

    def _piece(self, stems: NDArray[np.float32]) -> NDArray[np.float32]:
        for index, (stem, chain) in enumerate(zip(self.stems, self._chains, strict=True)):
            sound = stems[index]
            if stem != RESIDUAL:
                sound = sound * self._steering.gain(stem, self._position, CHUNK)
            if chain is not None:
                self._move(stem, chain)
                sound = chain.process(np.ascontiguousarray(sound, np.float32))
            self._ready[index].push(sound)
        self._position += CHUNK
        return np.stack([ready.pop(CHUNK) for ready in self._ready])

    def _move(self, stem: str, chain: PluginChain) -> None:
        """Put the parameters where their lanes are in the middle of the piece."""
        time_s = (self._position + CHUNK / 2) / self._steering.sample_rate
        for name in self._moved[stem]:
            lane = self._steering.lanes.lane(stem, name)
            if lane is not None:
                self._set(stem, chain, name, float(lane.at(time_s)))

    def _set(self, stem: str, chain: PluginChain, name: str, value: float) -> None:
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

    def _check_parameters(self) -> None:
        for stem, chain in zip(self.stems, self._chains, strict=True):
            known: Sequence[str] = list(chain.controls()) if chain else []
            for name in self._moved[stem]:
                if name not in known:
                    words = ", ".join(known) or "no plugin"
                    raise ValueError(f"a lane moves {name} of {stem}, whose chain has {words}")


def compensated(
    mixer: StemMixer, blocks: Iterator[NDArray[np.float32]]
) -> Iterator[NDArray[np.float32]]:
    """All blocks of stems through a mixer, its latency trimmed: as long as what came in."""
    early = mixer.latency
    for stems in blocks:
        out = mixer.process(stems)
        skipped = min(early, out.shape[2])
        early -= skipped
        if out.shape[2] > skipped:
            yield out[:, :, skipped:]
    yield mixer.flush()[:, :, early:]
