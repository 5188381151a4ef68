"""A separator with what belongs behind it when it is played live: levels, plugins, meters, tape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation.conditions import LaneConditions
from plugin_bridge.control.metering import HISTOGRAM_SAMPLES, StemLevels, direction_histogram
from plugin_bridge.control.surface import Meters
from plugin_bridge.hosting.stem_mixer import StemMixer
from realtime import Separator
from realtime.stft import Audio

Tap = Callable[[Audio, NDArray[np.float32]], None]
"""Told every hop of the mixture (channels, n) and what is made of it (stems, channels, n)."""


class OutputStage:
    """A stage for `realtime.threaded.Engine`, like the separator in it.

    Equation: `process` gives what the separator gives, with the targets as their plugins would put
    them out; with a mixer, all stems through their plugins.

    Parameters
    ----------
    tap : called in the engine's thread for every hop; must not wait.
    """

    def __init__(
        self,
        separator: Separator,
        steering: LaneConditions,
        mixer: StemMixer | None = None,
        tap: Tap | None = None,
    ) -> None:
        self.separator, self.steering, self.mixer, self._tap = separator, steering, mixer, tap
        self.sample_rate, self.channels = separator.sample_rate, separator.channels
        self.block, self.tier, self.stems = separator.block, separator.tier, separator.stems
        self.fault = ""
        self._levels = StemLevels(len(self.stems), self.sample_rate)
        self._field = np.zeros((2, HISTOGRAM_SAMPLES), np.float32)
        self._fed = 0
        self._shown: tuple[int, tuple[float, ...]] = (-1, ())  # what was fed, and its directions

    @property
    def latency(self) -> int:
        return self.separator.latency + (self.mixer.latency if self.mixer else 0)

    def reset(self) -> None:
        """Forget the stream."""
        self.separator.reset()
        if self.mixer:
            self.mixer.reset()
        self._fed = 0

    def process(self, block: Audio) -> NDArray[np.float32]:
        """Take a hop (channels, n), give (stems, channels, n). What fails is kept in `fault`."""
        stems = self.separator.process(block)
        first = self._fed - self.separator.latency
        self._fed += block.shape[1]
        try:
            if self.mixer:
                stems = self.mixer.process(stems)
                self.fault = self.fault or self.mixer.fault
            elif not self.steering.has_unity_levels:
                stems[:-1] = self.steering.outputs(first, stems)
        except Exception as error:
            self.fault = str(error)
            raise
        self._measure(block, stems)
        if self._tap:
            self._tap(block, stems)
        return stems

    def levels_db(self) -> dict[str, float]:
        """RMS of each stem of late, full scale is 0."""
        return dict(zip(self.stems, self._levels.db, strict=True))

    def meters(self, target: str) -> Meters:
        """What is shown of a target: levels, activity if the model tells it, directions."""
        levels = self.levels_db()
        shown: dict[str, tuple[float, ...]] = {
            "level_target": (levels[target],),
            "level_residual": (levels[self.stems[-1]],),
            "directions": self._directions(),
        }
        activity = self.separator.activity
        if activity is not None:
            shown["activity"] = (float(activity[-1, self.stems.index(target)]),)
        return shown

    def _directions(self) -> tuple[float, ...]:
        """Those of late; the same for all targets that are asked for between two hops."""
        fed, shown = self._shown
        if fed != self._fed:
            fed, shown = self._fed, tuple(direction_histogram(self._field).tolist())
            self._shown = (fed, shown)
        return shown

    def _measure(self, block: Audio, stems: NDArray[np.float32]) -> None:
        self._levels.update(stems)
        newest = block[:, -HISTOGRAM_SAMPLES:]
        self._field[:, : -newest.shape[1]] = self._field[:, newest.shape[1] :]
        self._field[:, -newest.shape[1] :] = newest
