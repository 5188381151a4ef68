"""A separator on a thread of its own, so that the callback of a sound card never waits for it.

The callback writes its block into a ring and takes the stems of `latency` samples ago from another.
Counters of samples since the start only grow and each has one writer, so there are no locks. What
is not ready in time is played dry, as late as the stems would have been, and counted.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Audio
from realtime.blocks import read_ring, sane, write_ring
from realtime.protocols import StemProcessor

FADE = 64  # samples from wet to dry and back
PATIENCE_S = 1.0
"""How late the worker may be before it skips ahead."""
MAX_HOPS = 8  # that the worker takes at once


@dataclass(frozen=True)
class Counters:
    """What happened since the start; seconds by the monotonic clock.

    Attributes
    ----------
    late_blocks : played dry because their stems were not ready.
    invalid_samples : damaged ones that came in, in whose place there is silence everywhere.
    jumps : times that the worker skipped ahead, because it was too late or the separator failed.
    faults : exceptions of the separator.
    load : share of the worker's time that it works, smoothed.
    """

    blocks: int = 0
    late_blocks: int = 0
    invalid_samples: int = 0
    jumps: int = 0
    faults: int = 0
    worst_hop_s: float = 0.0
    load: float = 0.0


class ThreadedProcessor:
    """Run `separator` in step with a real-time callback.

    Equation: `process` gives what the separator gives to the same input, `slack` samples later.

    Parameters
    ----------
    separator : with ``block_multiple`` equal to its hop, which has the least latency.
    max_block : samples of the largest block of the callback.
    slack : samples given to the worker beyond one hop and one block, for its work and for jitter.

    Raises
    ------
    ValueError for a separator that takes other blocks than hops, a `max_block` below 1 or a `slack`
    below 0.
    """

    def __init__(self, separator: StemProcessor, *, max_block: int, slack: int = 256) -> None:
        if separator.block_multiple != separator.tier.hop:
            raise ValueError(
                f"the separator takes blocks of {separator.block_multiple}, expected hops of "
                f"{separator.tier.hop}: make it with block_multiple=separator.tier.hop"
            )
        if max_block < 1 or slack < 0:
            raise ValueError(
                f"max_block is {max_block} and slack {slack}, expected samples > 0 and >= 0"
            )
        self.separator, self.max_block = separator, max_block
        self._hop = separator.tier.hop
        self._slack = self._hop + max_block + slack
        self._patience = int(PATIENCE_S * separator.sample_rate) + self._slack
        stems, size = len(separator.stems), 2 * self._patience
        # the mixture is played as late as the stems, which lag behind the newest input by `_slack`
        self._input = np.zeros((separator.channels, size + separator.latency), np.float32)
        self._output = np.zeros((stems, separator.channels, size), np.float32)
        self._written = 0  # by the callback: samples in
        self._done = 0  # by the worker: samples out, a multiple of the hop
        self._valid_from = 0  # by the worker: first sample out after its last jump
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._n_blocks = self._n_late = self._n_invalid = 0  # by the callback
        self._worker = Counters()  # by the worker: what the callback does not count
        self._is_stale = False  # the separator is to be reset before its next hop
        self.fault = ""
        """Reason of the first fault, empty without one."""
        self._last = np.zeros((stems, separator.channels), np.float32)
        self._was_dry = False
        self._ramp = np.linspace(1, 0, FADE, endpoint=False, dtype=np.float32)
        self._step = np.zeros((stems, separator.channels), np.float32)
        self._n_faded = FADE  # samples of the ramp that have been played since the last step

    @property
    def latency(self) -> int:
        """Return by how many samples the output lags behind the input; constant."""
        return self.separator.latency + self._slack

    @property
    def counters(self) -> Counters:
        """Return a snapshot; from any thread."""
        return replace(
            self._worker,
            blocks=self._n_blocks,
            late_blocks=self._n_late,
            invalid_samples=self._n_invalid,
        )

    def start(self) -> None:
        """Start the worker. Raises RuntimeError if it runs already."""
        if self._thread is not None:
            raise RuntimeError("the processor runs already")
        self._thread = threading.Thread(target=self._work, name="stemsteer-separator", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the worker and wait for it."""
        if self._thread is not None:
            self._wake.put(False)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> ThreadedProcessor:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def process(self, block: Audio) -> NDArray[np.float32]:
        """Take a block (channels, n ≤ max_block), return (stems, channels, n); never wait or raise.

        A block of another shape, or with more samples, is a mistake of the caller, which is
        counted as late and answered with silence.
        """
        stems, channels = self._output.shape[:2]
        size = block.shape[-1]
        if block.shape != (channels, size) or not 0 < size <= self.max_block:
            self._n_blocks += 1
            self._n_late += size > 0
            return np.zeros((stems, channels, size), np.float32)
        block, damaged = sane(block)
        write_ring(self._input, self._written, block)
        self._written += size
        self._wake.put(True)
        end = self._written - self._slack  # before sample 0 there is silence
        late = end > 0 and (self._done < end or max(0, end - size) < self._valid_from)
        if late:
            # the mixture as late as the stems; the residual stays silent, so the stems sum to it
            out = np.zeros((stems, channels, size), np.float32)
            out[:-1] = read_ring(self._input, end - self.separator.latency, size) / (stems - 1)
        else:
            out = read_ring(self._output, end, size)
        if late is not self._was_dry:
            self._step, self._n_faded = self._last - out[..., 0], 0
        self._smooth(out)
        self._was_dry = late
        self._last = out[..., -1].copy()
        self._n_blocks += 1
        self._n_late += late
        self._n_invalid += damaged
        return out

    def _smooth(self, out: NDArray[np.float32]) -> None:
        """Fade out the last step between separated and dry sound, in as many blocks as it takes."""
        ramp = self._ramp[self._n_faded : self._n_faded + out.shape[-1]]
        if ramp.size:
            out[..., : ramp.size] += self._step[..., None] * ramp
            self._n_faded += ramp.size

    def _work(self) -> None:
        while self._wake.get():
            while self._written - self._done >= self._hop:
                began = time.perf_counter()
                hops = self._advance()
                self._measure((time.perf_counter() - began) / hops)

    def _advance(self) -> int:
        """Separate what has come in, or skip ahead when that is too old; return the hops."""
        hops = min((self._written - self._done) // self._hop, MAX_HOPS)
        first, size = self._done, hops * self._hop
        samples = read_ring(self._input, first + size, size)
        if self._written - first > self._patience:
            self._jump()
            return hops
        try:
            if self._is_stale:
                self.separator.reset()
                self._is_stale = False
            outs = [self.separator.process(hop) for hop in np.split(samples, hops, axis=1)]
        except Exception as error:
            self.fault = self.fault or str(error) or type(error).__name__
            self._worker = replace(self._worker, faults=self._worker.faults + 1)
            self._jump()
            return hops
        write_ring(self._output, first, np.concatenate(outs, axis=2))
        self._done = first + size
        return hops

    def _jump(self) -> None:
        """Go on at the newest whole hop, with the separator started anew before it.

        That is done where a failure is counted: an exception here would end the thread, and all
        sound from then on would be dry without a word.
        """
        self._is_stale = True
        done = self._written // self._hop * self._hop
        self._valid_from = done + self.separator.latency
        self._done = done
        self._worker = replace(self._worker, jumps=self._worker.jumps + 1)

    def _measure(self, hop_s: float) -> None:
        old = self._worker
        load = hop_s * self.separator.sample_rate / self._hop
        self._worker = replace(
            old, worst_hop_s=max(old.worst_hop_s, hop_s), load=old.load + (load - old.load) * 0.01
        )
