"""Measure whether the runs of a model that works beside the stream are there in time."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from realtime import Separator
from realtime.model import Model

RATE_HZ = 44_100


@dataclass(frozen=True)
class PacedRuns:
    """A tier fed hop by hop at the pace of real time.

    Parameters
    ----------
    late_runs : of `runs`, those whose masks were not there when they were needed.
    late_hops : of `hops`, those that took longer than a hop lasts.
    core_share : processor time of all threads over the time of the sound.
    """

    tier: str
    seconds: float
    runs: int
    late_runs: int
    hops: int
    late_hops: int
    core_share: float
    longest_hop_ms: float


def measure_paced_runs(model: Model, tier_name: str, seconds: float) -> PacedRuns:
    """Feed a tier in real time. Raises ValueError if its model steps frame by frame."""
    tier = model.spec.tier_at(tier_name, RATE_HZ)
    if tier.runs is None:
        raise ValueError(f"{model.spec.name} {tier_name} has no runs: see `stemsteer bench` for it")
    separator = Separator(
        model,
        RATE_HZ,
        tier=tier_name,
        block_multiple=tier.hop,
        targets=len(model.spec.targets) or 1,
    )
    hop_s, count = tier.hop / RATE_HZ, round(seconds * RATE_HZ / tier.hop)
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, (2, tier.hop)).astype(np.float32)
    for _ in range(2 * tier.runs.every):  # the first run makes room for its arrays
        separator.process(sound)
    separator.flush()
    separator.wait = False
    taken_s = []
    late_before, cpu_s, begun_s = separator.late_runs, time.process_time(), time.perf_counter()
    for k in range(count):
        time.sleep(max(0.0, begun_s + k * hop_s - time.perf_counter()))
        before_s = time.perf_counter()
        separator.process(sound)
        taken_s.append(time.perf_counter() - before_s)
    return PacedRuns(
        tier=tier_name,
        seconds=round(count * hop_s, 1),
        runs=count // tier.runs.every,
        late_runs=separator.late_runs - late_before,
        hops=count,
        late_hops=sum(taken > hop_s for taken in taken_s),
        core_share=round((time.process_time() - cpu_s) / (count * hop_s), 3),
        longest_hop_ms=round(1000 * max(taken_s), 2),
    )
