"""What is seen of an instance in the memory that its processes share."""

from __future__ import annotations

from plugin_bridge.control.metering import HISTOGRAM_SAMPLES, direction_histogram
from plugin_bridge.control.sound_history import shown_samples
from plugin_bridge.control.surface import Meters, Sound
from plugin_bridge.engine.shared.control_page import ControlPage
from plugin_bridge.engine.shared.ring import SharedRing


class InstanceView:
    """Meters and sound of an instance, read from its ring and its control page."""

    def __init__(self, page: ControlPage, ring: SharedRing) -> None:
        self.page, self._ring = page, ring

    def figures(self) -> dict[str, tuple[float, ...]]:
        """Return the meters that cost nothing: all but the directions."""
        ring, (target_db, residual_db) = self._ring, self.page.levels_db
        meters: dict[str, tuple[float, ...]] = {
            "level_target": (target_db,),
            "level_residual": (residual_db,),
            "latency": (float(ring["latency"]),),
            "load": (float(ring["load"]),),
            "dropouts": (float(ring["dropouts"]),),
        }
        if (activity := self.page.activity) is not None:
            meters["activity"] = (activity,)
        return meters

    def meters(self) -> Meters:
        """Return all meters."""
        ring = self._ring
        newest = ring.read(ring.input, ring["written"] - HISTOGRAM_SAMPLES, HISTOGRAM_SAMPLES)
        return {**self.figures(), "directions": tuple(direction_histogram(newest).tolist())}

    def sound(self) -> Sound | None:
        """Return the newest sound, stems and the input that they were made of."""
        ring = self._ring
        samples = shown_samples(ring.rate_hz)
        newest = self.page.newest_stems(samples)
        if newest is None:
            return None
        (target, residual), end = newest
        mixture = ring.read(ring.input, end - samples, samples)
        return Sound(end, ring.rate_hz, mixture, target, residual)
