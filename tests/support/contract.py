"""What every streaming stage promises, checked by one function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Audio
from tests.support.signals import noise

AWKWARD = (0, 1, 7, 255, 256, 257, 441, 8193)  # around a hop of 256, and a long block at last


class StreamProcessor(Protocol):
    """A stage: blocks (channels, n) in, (..., channels, n) out, `latency` samples later.

    Equations: any partition of the input into blocks gives the same output; after `reset` it is as
    new; `flush` gives what the input of `latency` more samples of silence would give, and resets.
    """

    @property
    def latency(self) -> int:
        """Return by how many samples the output lags behind the input."""

    def process(self, block: Audio) -> NDArray[np.float32]:
        """Take a block (channels, n) and return (..., channels, n)."""

    def flush(self) -> NDArray[np.float32]:
        """Return the last `latency` samples (..., channels, latency) and reset."""

    def reset(self) -> None:
        """Forget the stream."""


def verify_streaming(
    make: Callable[[], StreamProcessor],
    *,
    channels: int = 2,
    samples: int = 20_000,
    tolerance: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Check a stage against its contract; give its output for noise of that many samples.

    tolerance bounds what a network may differ between partitions; a stage of our own arithmetic
    has none.
    """
    signal = noise(channels, samples, seed=seed)
    untouched = signal.copy()
    stage = make()
    whole = _run(stage, [signal])
    assert whole.shape[-1] == samples + stage.latency, "flush does not give `latency` samples"
    assert np.array_equal(signal, untouched), "the stage writes into its input"

    again = _run(stage, [signal])
    assert np.array_equal(again, whole), "after flush the stage is not as new"
    stage.process(noise(channels, 3_001, seed=seed + 1))
    stage.reset()
    assert np.array_equal(_run(stage, [signal]), whole), "after reset the stage is not as new"

    for name, sizes in (("awkward", AWKWARD), ("random", _random_sizes(seed))):
        parts = _run(make(), _cut(signal, sizes))
        error = np.abs(parts - whole).max()
        assert error <= tolerance, f"{name} blocks (seed {seed}) differ by {error:.2e}"

    half = samples // 2
    changed = signal.copy()
    changed[:, half:] = 0
    error = np.abs(_run(make(), [changed])[..., :half] - whole[..., :half]).max()
    assert error <= tolerance, (
        f"the first half of the output knows the second of the input: {error}"
    )

    stage = make()
    bad = signal.copy()
    bad[:, half : half + 3] = np.array([np.nan, np.inf, -np.inf], np.float32)
    spoilt = _run(stage, [bad])
    assert np.isfinite(spoilt).all(), "NaN or Inf leaves the stage"
    return whole


def measured_latency(
    output: NDArray[np.float32], signal: NDArray[np.float32], most: int = 20_000
) -> int:
    """Samples by which `output` (channels, n) is behind `signal`, by cross-correlation."""
    size = 1 << (output.shape[-1] + signal.shape[-1] - 1).bit_length()
    product = np.fft.rfft(output[0], size) * np.fft.rfft(signal[0], size).conj()
    return int(np.argmax(np.fft.irfft(product)[:most]))


def _run(stage: StreamProcessor, blocks: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([*(stage.process(b) for b in blocks), stage.flush()], axis=-1)


def _random_sizes(seed: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(0, 1_500, 200))


def _cut(signal: NDArray[np.float32], sizes: tuple[int, ...]) -> list[NDArray[np.float32]]:
    return list(_cuts(signal, sizes))


def _cuts(signal: NDArray[np.float32], sizes: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
    first = 0
    for size in sizes:
        yield signal[:, first : first + size]
        first += size
    yield signal[:, first:]
