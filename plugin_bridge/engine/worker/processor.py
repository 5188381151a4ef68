"""One plugin's audio through a separator, hop by hop: input ring to output ring."""

from __future__ import annotations

import os
import time

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.controls import CONTROLS
from plugin_bridge.control.levels import LEVELS, UNITY, OutputLevels
from plugin_bridge.control.metering import StemLevels
from plugin_bridge.control.target_conditions import (
    TargetConditions,
    TargetValues,
    has_own_sources,
    one_instrument,
)
from plugin_bridge.engine.shared.control_page import ControlPage
from plugin_bridge.engine.shared.ring import CAPACITY, SharedRing
from plugin_bridge.engine.worker.timbres import InstanceTimbres
from plugin_bridge.engine.worker.timeline import ControlTimeline
from realtime import ModelSpec, OnnxModel, Separator, StemsteerError
from realtime.arrays import Audio
from realtime.conditions import AZIMUTH_DEG, WIDTH_DEG, Conditions

ID = {control.name: control.id for control in CONTROLS}
TARGET_IDS = [ID[n] for n in ("azimuth", "width", "instrument", "timbre_morph", "strength")]
LEVEL_IDS = [ID[name] for name in LEVELS]
MAX_LATE_SAMPLES = 8192  # at 44.1 kHz, that live sound makes up for, or the plugin's latency
MAX_BEHIND_SAMPLES = 24_576  # of the ring that are surely there; with them a late render begins
HOPS_AT_ONCE = (16, 8, 4, 2, 1)
"""In one call of the model: a few sizes, for all of which the model has buffers from the start."""
CATCH_UP_CALLS = 8  # at most, before a ring is taken that another process has
PUBLISH_S = 0.02  # between two looks at lanes for feedback, which comes at 60 Hz at most
_LOAD_SMOOTHING = 0.05
_TARGET_LEAST, _TARGET_MOST = np.array(
    [AZIMUTH_DEG, WIDTH_DEG, (-np.inf, np.inf), (0, 1), (0, 1)], np.float32
).T
_UNITY = OutputLevels(*UNITY)


def choose_tier(spec: ModelSpec, rate_hz: float, latency: int, block: int) -> str:
    """Return the tier with the longest look-ahead that a plugin's latency allows.

    A block of the host and a hop of the model must fit beside the tier's own latency. Where they
    do in no tier, the blocks come from a host that renders, for which the plugin waits, or no
    latency would do: then min(block, hop + latency of the tier) counts for the block.

    Parameters
    ----------
    latency, block : samples at `rate_hz`, of the plugin and of the host.

    Raises
    ------
    StemsteerError if the model has no tier that is quick enough, or wants a direction for each of
    several sources, since a plugin has one.
    """
    if len(spec.targets) > 1 and not has_own_sources(spec):
        raise StemsteerError(
            f"{spec.name} wants a direction for each of {', '.join(spec.targets)}, a plugin has "
            "one: use it with stemsteer render or live, or choose another model"
        )
    owns = {}
    for name in ("lookahead", "studio", "live", "direct"):
        if name in spec.tiers:
            tier = spec.tier_at(name, rate_hz)
            owns[name] = tier.latency + tier.hop
    in_time = [name for name, own in owns.items() if own + block <= latency]
    rendered = [name for name, own in owns.items() if own + min(block, own) <= latency]
    if fitting := in_time or rendered:
        return fitting[0]
    least = min((own + min(block, own) for own in owns.values()), default=0)
    raise StemsteerError(
        f"{spec.name} needs a latency of {least} samples for blocks of {block}, the plugin has "
        f"{latency}: choose a larger Latency Mode, or a model that has the tier 'direct'"
    )


class RingTaken(Exception):  # noqa: N818  (it is no error)
    """The plugin has given its ring to another process."""


class RingProcessor:
    """The engine's side of a ring: a separator, controls and levels, hop by hop.

    Equation: output(p) is `OutputLevels` of the controls at position p, with the input x(p) and
    the target and residual that the separator makes of it; with four outputs the second pair is
    what the law calls `other`. x comes from the ring itself, so that mix 0 at 0 dB is bit-exact.

    Parameters
    ----------
    timeline : of the instance's controls.
    page : where controls are requested from outside, and meters are published.
    timbres : of the target; None: none.

    Attributes
    ----------
    position : of the next sample that is read from the ring, as the ring counts them; −1 before
        the first.
    """

    def __init__(
        self,
        ring: SharedRing,
        model: OnnxModel,
        tier: str,
        timeline: ControlTimeline,
        page: ControlPage,
        timbres: InstanceTimbres | None = None,
    ) -> None:
        self._timbres = timbres or InstanceTimbres(model.spec, ring.rate_hz, "")
        self.ring = ring
        self.hop = model.spec.tier_at(tier, ring.rate_hz).hop
        self._scale = max(1, round(ring.rate_hz / 44_100))
        select = has_own_sources(model.spec)
        self._target_conditions = TargetConditions(model.spec, self._timbres.conditions)
        self._separator = Separator(
            model,
            ring.rate_hz,
            targets=["target"],
            tier=tier,
            block_multiple=self.hop,
            conditions=self._conditions,
            select=select,
        )
        self._timeline, self._page = timeline, page
        self._stem_levels = StemLevels(2, ring.rate_hz, page.powers)
        self._load = self._separation = self._worst_s = 0.0
        self._pid = os.getpid()
        self._constant: list[float] = list(UNITY)
        self._constant_levels: OutputLevels | None = None
        self._published, self._publish_at = -1, 0  # changes of the timeline; a position
        self.position = -1
        self._start = self._from = self._done = -1
        self._holds_ring = False

    def process_due(self) -> bool:
        """Process what is due; return False if nothing was and the bell is to be awaited.

        Raises RingTaken if another process has taken the ring.
        """
        if self.ring["engine_pid"] != self._pid:
            raise RingTaken
        return self._advance()

    def _advance(self) -> bool:
        ring = self.ring
        written = ring["written"]
        start = ring["start"]  # after `written`: the plugin stores it before
        offline = bool(ring["offline"])
        self._separator.wait = offline
        if start != self._start:
            self._start = start
            self._jump(written, offline)
        elif written - self.position > self._most_late(offline):
            ring["jumps"] = ring["jumps"] + self._holds_ring
            self._jump(written, offline)
        due = (written - self.position) // self.hop
        if due <= 0:
            return False
        self._process(next(hops for hops in HOPS_AT_ONCE if hops <= due))
        return True

    def _most_late(self, offline: bool) -> int:
        """Return how late sound may be: the plugin must not write over it while it is read."""
        if offline:
            return CAPACITY - 4096
        heard: int = max(MAX_LATE_SAMPLES * self._scale, self.ring["latency"])
        return min(heard, MAX_BEHIND_SAMPLES)

    def sleep(self, bell: int, timeout_s: float) -> None:
        """Sleep until the plugin's bell is no longer `bell`, or the time is over."""
        self.ring.wait_futex("input_bell", "engine_sleeps", bell, timeout_s, engine_pid=self._pid)

    def take_over(self) -> None:
        """Take the ring; a process that had it is heard until then, sees that, and ends."""
        ring = self.ring
        if ring["engine_pid"]:
            self._catch_up()
        ring["engine_pid"] = self._pid
        ring.wake("input_bell")  # or the next ring would wake it instead of this one
        self._holds_ring = True
        if self._from >= 0:
            ring["from"] = self._from
            self._finish(self._done)

    def _catch_up(self) -> None:
        """Process what is there already; who has the ring goes on to tell what is finished."""
        for _ in range(CATCH_UP_CALLS):
            if not self._advance():
                break

    def warm_up(self) -> None:
        """Run the model with each number of hops, so that the first of these is not its slowest."""
        for hops in HOPS_AT_ONCE:
            self._separator.process(np.zeros((2, hops * self.hop), np.float32))
        self._separator.reset()

    def _jump(self, written: int, offline: bool) -> None:
        """Start anew at the stream's start, or as near to it as the ring and the clock allow."""
        allowed = MAX_BEHIND_SAMPLES if offline else max(self.ring["latency"], 1)
        self.position = self._from = max(self._start, written - allowed)
        self._separator.reset()
        if self._holds_ring:
            self.ring["from"] = self._from
        self._finish(self._from)

    def _finish(self, done: int) -> None:
        """Tell the plugin up to where its output is there. Raises RingTaken if it is another's."""
        self._done = done
        if not self._holds_ring:
            return
        if self.ring["engine_pid"] != self._pid:
            raise RingTaken
        self.ring["done"] = done
        self.ring.notify("output_bell", "plugin_sleeps")

    def _process(self, hops: int) -> None:
        begun_s = time.perf_counter()
        ring, samples = self.ring, hops * self.hop
        learns = self._timeline.learns
        self._timeline.update(self._start)
        if self._timeline.learns != learns:
            self._timbres.ask_to_learn()
        for control, value in self._page.take_requests():
            self._timeline.override(control, value, self.position)
        block = ring.read(ring.input, self.position, samples)
        separates_s = time.perf_counter()
        target, residual = stems = self._separator.process(block)
        separated_s = time.perf_counter() - separates_s
        self._timbres.put(target, residual)
        self.position += samples

        last = self.position - self._separator.latency
        first = max(self._from, last - samples)
        if last > first:
            due = last - first
            out = self._output(first, target[:, -due:], residual[:, -due:])
            ring.write(ring.output, first, out)
            self._finish(last)
        self._publish(stems)  # after the sound, for which somebody waits
        if self._holds_ring:
            self._count(hops, time.perf_counter() - begun_s, separated_s)

    def _output(self, first: int, target: Audio, residual: Audio) -> Audio:
        """Return what the plugin plays (outputs, samples) from position `first` on."""
        ring, levels = self.ring, self._levels(first, target.shape[1])
        if levels is None and ring.outputs == 2:
            return target
        levels = levels or _UNITY
        dry = ring.read(ring.input, first, target.shape[1])
        out = levels.output(dry, target, residual)
        if ring.outputs == 4:
            out = np.concatenate([out, levels.other(target, residual)])
        return out

    def _levels(self, first: int, samples: int) -> OutputLevels | None:
        """Return the levels of samples from `first` on; None: unity, which costs nothing."""
        constant = self._timeline.constant_between(first, first + samples, LEVEL_IDS)
        if constant is None:
            positions = np.arange(first, first + samples)
            return OutputLevels(*self._timeline.values_at(positions, LEVEL_IDS).T)
        if constant != self._constant:
            self._constant = constant
            self._constant_levels = None if constant == list(UNITY) else OutputLevels(*constant)
        return self._constant_levels

    def _conditions(self, first_frame: int, frames: int) -> Conditions:
        """Return the model's conditions: the controls where each frame lies in the input."""
        origin = self._from + self._separator.position_of(first_frame)
        positions = (origin + self.hop * np.arange(frames)).astype(np.int64)
        return self._target_conditions(
            self._target_values(positions), positions / self.ring.rate_hz
        )

    def _target_values(self, positions: NDArray[np.int64]) -> TargetValues:
        """Return the values of the controls of the one target at positions in the input."""
        ends = int(positions[0]), int(positions[-1])
        constant = self._timeline.constant_between(*ends, TARGET_IDS)
        if constant is None:
            values = self._timeline.values_at(positions, TARGET_IDS)
            shares = self._timeline.instrument_shares(positions)[:, None]
        else:
            values = np.full((positions.size, len(TARGET_IDS)), constant, np.float32)
            shares = one_instrument(round(constant[2]), positions.size, 1)
        bounded = np.minimum(np.maximum(values, _TARGET_LEAST), _TARGET_MOST)
        azimuth_deg, width_deg, _, morph, strength = bounded.T[..., None]
        return TargetValues(azimuth_deg, width_deg, shares, morph, strength)

    def _publish(self, stems: NDArray[np.float32]) -> None:
        """Put the meters on the page, and the controls' values when they have moved."""
        activity = self._separator.activity
        timeline = self._timeline
        is_due = timeline.follows_lanes and self.position >= self._publish_at
        if timeline.changes != self._published or is_due:
            self._published = timeline.changes
            self._publish_at = self.position + int(PUBLISH_S * self.ring.rate_hz)
            self._page.publish(
                timeline.target_values(self.position), timeline.overridden, timeline.host_values
            )
        self._stem_levels.update(stems)
        self._page.publish_stems(stems, self.position - self._separator.latency)
        if activity is not None:
            self._page.publish_activity(float(activity[-1, 0]))

    def _count(self, hops: int, took_s: float, separated_s: float) -> None:
        a_second = self.ring.rate_hz / (hops * self.hop)
        self._load += _LOAD_SMOOTHING * (took_s * a_second - self._load)
        self._separation += _LOAD_SMOOTHING * (separated_s * a_second - self._separation)
        self._worst_s = max(self._worst_s, took_s)
        self.ring["hops"] = self.ring["hops"] + hops
        self.ring["load"] = self._load
        self.ring["separation"] = self._separation
        self.ring["worst_hop_ms"] = 1000 * self._worst_s
        self.ring["model_faults"] = self._separator.model_faults
