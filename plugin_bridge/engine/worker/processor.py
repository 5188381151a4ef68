"""One plugin's audio through a separator, hop by hop: input ring to output ring."""

from __future__ import annotations

import os
import time

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.controls import BY_NAME, CONTROLS
from plugin_bridge.control.metering import StemLevels
from plugin_bridge.engine.shared.control_page import ControlPage
from plugin_bridge.engine.shared.ring import FRAMES, SharedRing
from plugin_bridge.engine.worker.timeline import ControlTimeline
from realtime import ModelSpec, OnnxModel, Separator, StemsteerError
from realtime.conditions import AZIMUTH_DEG, WIDTH_DEG, Conditions

ID = {control.name: control.id for control in CONTROLS}
LATE_FRAMES = 8192  # of audio a live engine makes up for; what is older, nobody waits for
BEHIND_FRAMES = 24_576  # of audio an offline engine that comes late begins with
MOST_HOPS = 16  # in one call of the model
LEVELS = ("mix", "mode", "gain", "bypass")
PLAIN = (1.0, 0.0, 0.0, 0.0)  # of LEVELS: the target as it is
_LOAD_SMOOTHING = 0.05

Levels = tuple[float | NDArray[np.float32], ...]


def choose_tier(spec: ModelSpec, rate_hz: float, latency: int, block: int) -> str:
    """The tier that hears furthest ahead of those that a plugin's latency pays.

    A block of the host and a hop of the model must fit beside the tier's own latency. A block
    longer than both comes from a host that renders, and the plugin waits for it.

    Raises
    ------
    StemsteerError if the model has no tier that is quick enough, or wants a direction for each of
    several sources, since a plugin has one.
    """
    if len(spec.targets) > 1:
        raise StemsteerError(
            f"{spec.name} wants a direction for each of {', '.join(spec.targets)}, a plugin has "
            "one: use it with stemsteer render or live, or choose another model"
        )
    needed = {}
    for name in ("studio", "live", "direct"):
        if name in spec.tiers:
            own = spec.tier_at(name, rate_hz).latency + spec.tier_at(name, rate_hz).hop
            needed[name] = own + min(block, own)
            if needed[name] <= latency:
                return name
    least = min(needed.values(), default=0)
    raise StemsteerError(
        f"{spec.name} needs a latency of {least} samples for blocks of {block}, the plugin has "
        f"{latency}: choose a larger Latency Mode, or a model that has the tier 'direct'"
    )


class RingTaken(Exception):  # noqa: N818  (it is no error)
    """The plugin has given its ring to another engine."""


class RingProcessor:
    """The engine's side of a ring.

    Equation: for the input x at position p, with target t and residual r of the separator, and the
    parameters at p::

        output(p) = gain · (mix · stem(p) + (1 − mix) · x(p)),  stem = t (isolate) or r (remove)

    and, with four outputs, gain · (the other stem) on the second pair; with bypass x(p), and
    silence there. `x` comes from the ring
    itself, so that mix = 0 and gain = 0 dB is bit-exact.

    Parameters
    ----------
    course : of the parameters.
    hands : the page on which hands outside move controls and are shown meters.
    """

    def __init__(
        self,
        ring: SharedRing,
        model: OnnxModel,
        tier: str,
        course: ControlTimeline,
        hands: ControlPage,
    ) -> None:
        self.ring = ring
        self.hop = model.spec.tier_at(tier, ring.rate_hz).hop
        self._scale = max(1, round(ring.rate_hz / 44_100))
        self._sizes = model.spec.conditions
        self._separator = Separator(
            model, ring.rate_hz, tier=tier, block=self.hop, conditions=self._conditions
        )
        self._course, self._hands = course, hands
        self._stem_levels = StemLevels(2, ring.rate_hz, hands.powers)
        self._load = self._separation = self._worst_s = 0.0
        self._pid = os.getpid()
        self.position = -1
        self._start = self._from = -1

    def process_due(self) -> bool:
        """Process what is due. False: nothing was, wait for the bell.

        Raises Replaced if another engine has taken the ring.
        """
        ring = self.ring
        if ring["engine_pid"] != self._pid:
            raise RingTaken
        written = ring["written"]
        start = ring["start"]  # after `written`: the plugin stores it before
        offline = bool(ring["offline"])
        if start != self._start:
            self._start = start
            self._jump(written, offline)
        elif written - self.position > (FRAMES - 4096 if offline else LATE_FRAMES * self._scale):
            ring["jumps"] = ring["jumps"] + 1
            self._jump(written, offline)
        hops = min((written - self.position) // self.hop, MOST_HOPS)
        if hops <= 0:
            return False
        self._process(hops)
        return True

    def take_over(self) -> None:
        """Make the ring ours; an engine that held it sees that, and leaves."""
        self.ring["engine_pid"] = self._pid

    def warm_up(self) -> None:
        """Run the model once, so that its first hop is not its slowest."""
        for hops in (1, 2, 4):
            self._separator.process(np.zeros((2, hops * self.hop), np.float32))
        self._separator.reset()

    def _jump(self, written: int, offline: bool) -> None:
        """Begin anew at the stream's start, or as near to it as the ring and the clock allow."""
        allowed = BEHIND_FRAMES if offline else max(self.ring["latency"], 1)
        self.position = self._from = max(self._start, written - allowed)
        self._separator.reset()
        self.ring["from"] = self._from
        self.ring["done"] = self._from
        self.ring.notify("output_bell", "plugin_sleeps")

    def _process(self, hops: int) -> None:
        begun_s = time.perf_counter()
        ring, frames = self.ring, hops * self.hop
        self._course.update(self._start)
        for control, value in self._hands.moved():
            self._course.move(control, value, self.position)
        block = ring.read(ring.input, self.position, frames)
        separates_s = time.perf_counter()
        target, residual = stems = self._separator.process(block)
        separated_s = time.perf_counter() - separates_s
        self.position += frames

        last = self.position - self._separator.latency
        first = max(self._from, last - frames)
        if last > first:
            due = last - first
            out = self._mix(first, target[:, -due:], residual[:, -due:])
            ring.write(ring.output, first, out)
            ring["done"] = last
            ring.notify("output_bell", "plugin_sleeps")
        self._show(stems)  # when nobody waits
        self._count(hops, time.perf_counter() - begun_s, separated_s)

    def _mix(
        self, first: int, target: NDArray[np.float32], residual: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """What the plugin plays (outputs, frames) from position `first` on."""
        frames = target.shape[1]
        levels = self._levels(first, frames)
        if self.ring.outputs == 2 and isinstance(levels[0], float) and levels == PLAIN:
            return target
        mix, mode, gain_db, bypass = levels
        dry = self.ring.read(self.ring.input, first, frames)
        gain = np.where(gain_db > BY_NAME["gain"].low, 10 ** (gain_db / 20), 0)
        gain, mix = gain + bypass * (1 - gain), mix * (1 - bypass)
        swapped = mode * (residual - target)
        stem = target + swapped
        out: NDArray[np.float32] = gain * (dry + mix * (stem - dry))
        if self.ring.outputs == 4:
            out = np.concatenate([out, (1 - bypass) * gain * (residual - swapped)])
        return out.astype(np.float32, copy=False)

    def _levels(self, first: int, frames: int) -> Levels:
        """`LEVELS` of each frame, or of all at once where they do not move."""
        still = self._course.still(first)
        if still is not None:
            return tuple(still[ID[name]] for name in LEVELS)
        edges = np.arange(first, first + frames + self.hop, self.hop)
        values = self._course.at(edges)[:, [ID[name] for name in LEVELS]]
        if (values == values[0]).all():
            return tuple(values[0].tolist())
        at = np.arange(first, first + frames)
        return tuple(np.interp(at, edges, column).astype(np.float32) for column in values.T)

    def _conditions(self, first_frame: int, frames: int) -> Conditions:
        """The model's conditions: the parameters where each frame lies in the input."""
        positions = np.array(
            [self._separator.position_of(k) for k in range(first_frame, first_frame + frames)]
        )
        positions = positions.astype(np.int64) + self._from
        still = self._course.still(int(positions[0]))
        values = self._course.at(positions) if still is None else np.array([still], np.float32)
        conditions: dict[str, NDArray[np.float32]] = {}
        for name, size in self._sizes.items():
            conditions[name] = np.zeros((frames, 1, size), np.float32)
        if "direction" in conditions:
            conditions["direction"][:, 0, 0] = np.clip(values[:, ID["azimuth"]], *AZIMUTH_DEG)
            conditions["direction"][:, 0, 1] = np.clip(values[:, ID["width"]], *WIDTH_DEG)
        return conditions

    def _show(self, stems: NDArray[np.float32]) -> None:
        """To the hands: where the controls are, and the meters."""
        activity = self._separator.activity
        course = self._course
        self._hands.show(course.goal(self.position), course.held, course.asked)
        self._stem_levels.update(stems)
        if activity is not None:
            self._hands.show_activity(float(activity[-1, 0]))

    def _count(self, hops: int, took_s: float, separated_s: float) -> None:
        a_second = self.ring.rate_hz / (hops * self.hop)
        self._load += _LOAD_SMOOTHING * (took_s * a_second - self._load)
        self._separation += _LOAD_SMOOTHING * (separated_s * a_second - self._separation)
        self._worst_s = max(self._worst_s, took_s)
        self.ring["hops"] = self.ring["hops"] + hops
        self.ring["load"] = self._load
        self.ring["separation"] = self._separation
        self.ring["worst_hop_ms"] = 1000 * self._worst_s
