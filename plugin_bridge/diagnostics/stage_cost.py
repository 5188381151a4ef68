"""Measure what a track and a live session cost beside the separator: levels, lanes, meters.

Processor time of the thread that runs a hop, so that what else the machine does hardly counts.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation import Automation, Lane, Point
from plugin_bridge.automation.conditions import LaneConditions
from plugin_bridge.automation.live_lanes import LiveLanes
from plugin_bridge.control.controls import BY_NAME, CONTROLS
from plugin_bridge.engine.shared.control_page import ControlPage
from plugin_bridge.engine.shared.ring import RECORDS, SharedRing, make_ring
from plugin_bridge.engine.worker.processor import RingProcessor
from plugin_bridge.engine.worker.timeline import ControlTimeline
from plugin_bridge.live.output_stage import OutputStage
from realtime import OnnxModel, Separator

RATE_HZ, TIER, TARGET = 44_100, "live", "target"
WARM_UP = 200
SHORT_BLOCK = 64  # of a host that automates every block
ROLLING = 1
SWEEP = Lane([Point(0, -20), Point(3600, 0)])
Hop = Callable[[int], None]


@dataclass(frozen=True)
class StageCost:
    """Median time of a hop in microseconds; `beside_us` is without that of the separator alone."""

    name: str
    hop_us: float
    beside_us: float


def measure_stage_costs(model: OnnxModel, hops: int = 2000) -> list[StageCost]:
    """Measure each case hop by hop, all in turn so that a change of the clock meets them alike."""
    size = model.spec.tier_at(TIER, RATE_HZ).hop
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, (2, size)).astype(np.float32)
    separator = Separator(model, RATE_HZ, tier=TIER, block_multiple=size)
    cases: dict[str, Hop] = {"separator": lambda number: _ignore(separator.process(sound))}
    cases.update(_track_cases(model, sound))
    cases.update(_live_cases(model, sound))
    times_us: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(hops + WARM_UP):
        for name, run in cases.items():
            times_us[name].append(run_timed(run, number))
    medians = {name: statistics.median(times[WARM_UP:]) for name, times in times_us.items()}
    alone = medians.pop("separator")
    return [StageCost(name, us, us - alone) for name, us in medians.items()]


def run_timed(run: Hop, number: int) -> float:
    """Return the processor time of a hop in microseconds."""
    began = time.thread_time_ns()
    run(number)
    return (time.thread_time_ns() - began) / 1000


def _ignore(_: object) -> None:
    pass


def _track_cases(model: OnnxModel, sound: NDArray[np.float32]) -> Iterator[tuple[str, Hop]]:
    quiet, swept = {"gain": -6.0}, {"gain": -20.0, "azimuth": -40.0}
    gain = {BY_NAME["gain"].id: SWEEP}
    yield "track, as it is", _Track(model, sound, {}).hop
    yield "track, gain touched", _Track(model, sound, quiet).hop
    yield "track, automated in blocks of 64", _Track(model, sound, swept, moving=True).hop
    yield "track, a lane of gain", _Track(model, sound, {}, lanes=gain).hop


class _Track:
    """A plugin's side of a ring and an engine's, in one thread."""

    def __init__(
        self,
        model: OnnxModel,
        sound: NDArray[np.float32],
        values: dict[str, float],
        *,
        moving: bool = False,
        lanes: dict[int, Lane] | None = None,
    ) -> None:
        fd = make_ring(RATE_HZ)
        self._ring = SharedRing(fd)
        os.close(fd)
        self._ring["latency"] = 2048
        self._sound, self._moving, self._recorded = sound, moving, 0
        self._values = {control.id: control.default for control in CONTROLS if not control.output}
        self._values |= {BY_NAME[name].id: value for name, value in values.items()}
        page = ControlPage()
        timeline = ControlTimeline(self._ring, lanes or {})
        self._processor = RingProcessor(self._ring, model, TIER, timeline, page)
        self._processor.take_over()

    def hop(self, number: int) -> None:
        """Write a hop with its records and process it."""
        ring, size = self._ring, self._sound.shape[1]
        first = ring["written"]
        ring.write(ring.input, first, self._sound)
        for offset in range(0, size, SHORT_BLOCK) if self._moving else (0,) * (number == 0):
            values = [value + self._moving * (self._recorded % 90) / 9 for value in self._all()]
            record = (first + offset, SHORT_BLOCK, ROLLING, first + offset, values)
            ring.records[self._recorded % RECORDS] = record
            self._recorded += 1
        ring["recorded"] = self._recorded
        ring["written"] = first + size
        self._processor.process_due()

    def _all(self) -> list[float]:
        size = self._ring.records["values"].shape[1]
        return [self._values.get(number, 0.0) for number in range(size)]


def _live_cases(model: OnnxModel, sound: NDArray[np.float32]) -> Iterator[tuple[str, Hop]]:
    plain, touched = _live(model, Automation()), _live(model, Automation())
    swept = _live(model, Automation({(TARGET, "gain"): SWEEP}))

    def touched_hop(number: int) -> None:
        if number == 0:
            touched[1].set_value(TARGET, "gain", -6.0)
        touched[0].process(sound)

    yield "live, as it is", lambda number: _ignore(plain[0].process(sound))
    yield "live, gain touched", touched_hop
    yield "live, a lane of gain", lambda number: _ignore(swept[0].process(sound))


def _live(model: OnnxModel, automation: Automation) -> tuple[OutputStage, LiveLanes]:
    tier = model.spec.tier_at(TIER, RATE_HZ)
    lanes = LiveLanes(automation, [TARGET], {}, tier.hop / RATE_HZ)
    conditions = LaneConditions(lanes, [TARGET], tier, RATE_HZ)
    separator = Separator(model, RATE_HZ, tier=TIER, block_multiple=tier.hop, conditions=conditions)
    return OutputStage(separator, conditions), lanes
