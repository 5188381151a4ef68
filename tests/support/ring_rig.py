"""Both sides of a ring in one thread: a plugin that writes blocks, and an engine's processor."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation import Lane
from plugin_bridge.control.controls import BY_NAME, CONTROLS
from plugin_bridge.engine.shared.control_page import ControlPage
from plugin_bridge.engine.shared.ring import RECORDS, VALUES, SharedRing, make_ring
from plugin_bridge.engine.worker.processor import RingProcessor
from plugin_bridge.engine.worker.timeline import ControlTimeline
from realtime.model import Model

RATE_HZ = 44_100
DEFAULTS = {control.name: control.default for control in CONTROLS if not control.output}


class RingRig:
    """A ring with a `RingProcessor` on it; `lanes` by name of the control."""

    def __init__(
        self,
        model: Model,
        *,
        outputs: int = 2,
        lanes: Mapping[str, Lane] | None = None,
        offline: bool = True,
        rate_hz: int = RATE_HZ,
        tier: str = "live",
    ) -> None:
        fd = make_ring(rate_hz, outputs)
        self.ring = SharedRing(fd)
        os.close(fd)
        self.ring["latency"], self.ring["offline"] = 2048, offline
        self.start = self.ring["start"]
        self.page = ControlPage()
        self.timeline = ControlTimeline(
            self.ring, {BY_NAME[name].id: lane for name, lane in (lanes or {}).items()}
        )
        self.processor = RingProcessor(self.ring, model, tier, self.timeline, self.page)
        self.processor.take_over()

    def record(self, samples: int, song_position: int | None = None, **values: float) -> None:
        """Write the values of the block that comes next."""
        row = np.zeros(VALUES, np.float32)
        for name, value in {**DEFAULTS, **values}.items():
            row[BY_NAME[name].id] = value
        song = (song_position is not None, song_position or 0)
        number = self.ring["recorded"]
        self.ring.records[number % RECORDS] = (self.ring["written"], samples, *song, row)
        self.ring["recorded"] = number + 1

    def play(self, sound: NDArray[np.float32], block: int = 512) -> NDArray[np.float32]:
        """Write sound (2, n) block by block; return what the engine made of it until now."""
        blocks = [sound[:, at : at + block] for at in range(0, sound.shape[1], block)]
        return np.concatenate([p for b in blocks if (p := self.try_play(b)) is not None], axis=1)

    def try_play(self, block: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Write one block; return what became ready by it, None if nothing did."""
        ring, first = self.ring, self.ring["done"] or self.start
        ring.write(ring.input, ring["written"], block)
        ring["written"] = ring["written"] + block.shape[1]
        while self.processor.process_due():
            pass
        if ring["done"] <= first:
            return None
        return ring.read(ring.output, first, ring["done"] - first)
