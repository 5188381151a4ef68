"""Measure how fast a model is on this machine, hop by hop and offline, in one thread."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime import OnnxModel, Separator
from realtime.arrays import Audio
from realtime.conditions import NO_CONDITIONS, Conditions, Outputs
from realtime.masks import apply_masks
from realtime.model import Model, ModelStream
from realtime.spec import MASK_AXES, ModelSpec, Tier
from realtime.stft import analyse, synthesise, windows

RATE_HZ = 44_100
WARM_UP = 50
BLOCK_S = 4.0


@dataclass(frozen=True)
class Timing:
    """Times of one part of a hop, in microseconds."""

    median_us: float
    p99_us: float
    max_us: float

    @classmethod
    def of(cls, taken_ns: Iterable[int]) -> Timing:
        taken_us = np.fromiter(taken_ns, np.float64) / 1000
        median, p99 = np.percentile(taken_us, (50, 99))
        return cls(round(float(median), 1), round(float(p99), 1), round(float(taken_us.max()), 1))


@dataclass(frozen=True)
class HopBench:
    """A tier fed hop by hop. `whole` is a call of `Separator.process`, the others its parts."""

    tier: str
    targets: int
    hop_us: float
    latency_samples: int
    whole: Timing
    analysis: Timing
    model: Timing
    synthesis: Timing


@dataclass(frozen=True)
class OfflineBench:
    """A tier fed by blocks of `BLOCK_S`; `real_time_factor` is processor time over duration."""

    tier: str
    targets: int
    real_time_factor: float


@dataclass(frozen=True)
class ModelBench:
    """All that is measured of a model on this machine."""

    model: str
    file_bytes: int
    load_ms: float
    hops: tuple[HopBench, ...]
    offline: tuple[OfflineBench, ...]
    resident_mb: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class TimedModel:
    """A model that keeps how long each of its steps took, in `taken_ns`."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.taken_ns: list[int] = []

    @property
    def spec(self) -> ModelSpec:
        return self._model.spec

    def stream(self, targets: int) -> ModelStream:
        return _TimedStream(self._model.stream(targets), self.taken_ns)

    def run(
        self,
        spectrum: NDArray[np.float32],
        newest: int,
        conditions: Conditions = NO_CONDITIONS,
    ) -> NDArray[np.float32]:
        began = time.perf_counter_ns()
        masks = self._model.run(spectrum, newest, conditions)
        self.taken_ns.append(time.perf_counter_ns() - began)
        return masks


class _TimedStream:
    def __init__(self, stream: ModelStream, taken_ns: list[int]) -> None:
        self._stream, self._taken_ns = stream, taken_ns

    def step(self, spectrum: NDArray[np.float32], conditions: Conditions) -> Outputs:
        began = time.perf_counter_ns()
        outputs = self._stream.step(spectrum, conditions)
        self._taken_ns.append(time.perf_counter_ns() - began)
        return outputs

    def reset(self) -> None:
        self._stream.reset()


def bench(path: str | os.PathLike[str], *, hops: int = 2000, seconds: float = 30.0) -> ModelBench:
    """Measure the model at `path`: its streaming tiers hop by hop, its slowest tier offline."""
    began = time.perf_counter()
    model = OnnxModel(path)
    load_ms = 1000 * (time.perf_counter() - began)
    tiers = [name for name in model.spec.tiers if name != "offline"] or ["offline"]
    counts = _target_counts(model.spec)
    last = list(model.spec.tiers)[-1]
    return ModelBench(
        model=Path(path).stem,
        file_bytes=Path(path).stat().st_size,
        load_ms=round(load_ms, 1),
        hops=tuple(hop_bench(model, tier, count, hops) for tier in tiers for count in counts),
        offline=tuple(offline_bench(model, last, count, seconds) for count in counts),
        resident_mb=round(resident_mb(), 1),
    )


def hop_bench(model: Model, tier_name: str, targets: int, hops: int) -> HopBench:
    """Time a tier that is fed hop by hop and gives every target and the residual."""
    timed = TimedModel(model)
    tier = model.spec.tier_at(tier_name, RATE_HZ)
    separator = Separator(timed, RATE_HZ, targets=targets, tier=tier_name, block_multiple=tier.hop)
    sound = _noise(tier.hop * (hops + WARM_UP))
    blocks = [sound[:, k : k + tier.hop] for k in range(0, sound.shape[1], tier.hop)]
    whole = _timed(separator.process, blocks)
    analysis, synthesis = _time_stft(tier, model.spec, len(separator.targets), hops)
    return HopBench(
        tier=tier_name,
        targets=len(separator.targets),
        hop_us=round(1e6 * tier.hop / RATE_HZ, 1),
        latency_samples=separator.latency,
        whole=whole,
        analysis=analysis,
        model=Timing.of(timed.taken_ns[WARM_UP:]),
        synthesis=synthesis,
    )


def offline_bench(model: Model, tier: str, targets: int, seconds: float) -> OfflineBench:
    """Time the separation of `seconds` of noise by large blocks, without files.

    In processor time, so that what else the machine does hardly counts.
    """
    separator = Separator(model, RATE_HZ, targets=targets, tier=tier)
    block = _noise(round(BLOCK_S * RATE_HZ))
    separator.process(block)
    count = max(1, round(seconds / BLOCK_S))
    began = time.process_time()
    for _ in range(count):
        separator.process(block)
    factor = (time.process_time() - began) / (count * BLOCK_S)
    return OfflineBench(tier, len(separator.targets), round(factor, 6))


def machine() -> dict[str, Any]:
    """Return what the figures were measured on, and how busy it was."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": importlib.metadata.version("onnxruntime"),
    }


def resident_mb() -> float:
    """Return the most memory this process has had resident so far; 0 where that is not known."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _time_stft(tier: Tier, spec: ModelSpec, targets: int, hops: int) -> tuple[Timing, Timing]:
    """Time analysis alone, and masks with synthesis alone, of one hop."""
    analysis_window, synthesis_window = windows(tier)
    signal = _noise(tier.window)
    spectra = analyse(signal, analysis_window, tier.hop)
    masks = np.ones((1, targets, MASK_AXES[spec.mask_axes], tier.bins), np.float32)
    azimuth_deg = np.zeros((1, targets), np.float32) if spec.mask_axes == "steered" else None
    carry = np.zeros((2 * targets, tier.synthesis - tier.hop), np.float32)

    def synthesis(_: Audio) -> Any:
        estimates = apply_masks(masks, spectra, azimuth_deg)
        flat = estimates.reshape(1, 2 * targets, -1)
        return synthesise(flat, synthesis_window, tier.hop, carry)

    signals = [signal] * (hops + WARM_UP)
    return (
        _timed(lambda block: analyse(block, analysis_window, tier.hop), signals),
        _timed(synthesis, signals),
    )


def _timed(call: Callable[[Audio], Any], blocks: list[Audio]) -> Timing:
    taken_ns = []
    for block in blocks:
        began = time.perf_counter_ns()
        call(block)
        taken_ns.append(time.perf_counter_ns() - began)
    return Timing.of(taken_ns[WARM_UP:])


def _target_counts(spec: ModelSpec) -> tuple[int, ...]:
    return (len(spec.targets),) if spec.targets else (1, 8)


def _noise(samples: int) -> Audio:
    return np.random.default_rng(0).uniform(-0.3, 0.3, (2, samples)).astype(np.float32)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
