"""A separator with what belongs behind it when it is played live: levels, plugins, meters, tape."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation.conditions import LaneConditions
from plugin_bridge.control.controls import DIRECTIONS
from plugin_bridge.control.surface import Meters
from plugin_bridge.hosting.stem_mixer import StemMixer
from realtime import Separator
from realtime.stft import Audio

METER_S = 0.1  # over which levels are averaged
HISTOGRAM_SAMPLES = 2048  # samples of the mixture whose directions are shown
SILENCE_DB = -120.0
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
        self._powers = np.zeros(len(self.stems))
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
            elif not self.steering.plain:
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
        return {
            stem: 10 * math.log10(power) if power > 1e-12 else SILENCE_DB
            for stem, power in zip(self.stems, self._powers.tolist(), strict=True)
        }

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
        size = block.shape[1]
        weight = min(1.0, size / (METER_S * self.sample_rate))
        for index, stem in enumerate(stems):
            flat = stem.ravel()
            power = float(np.dot(flat, flat)) / flat.size
            self._powers[index] += weight * (power - self._powers[index])
        newest = block[:, -HISTOGRAM_SAMPLES:]
        self._field[:, : -newest.shape[1]] = self._field[:, newest.shape[1] :]
        self._field[:, -newest.shape[1] :] = newest


@functools.lru_cache(4)
def _window(samples: int) -> NDArray[np.float64]:
    return np.hanning(samples)


def direction_histogram(mixture: Audio) -> NDArray[np.float64]:
    """Shares of the energy of (2, n) samples by direction, `DIRECTIONS` from left to right.

    A bin is at atan2(|R|, |L|) − 45°; all shares are 0 where there is silence.
    """
    left, right = np.abs(np.fft.rfft(mixture * _window(mixture.shape[1])))
    azimuth_deg = np.degrees(np.arctan2(right, left)) - 45
    energy = left**2 + right**2
    place = np.minimum((azimuth_deg + 45) * DIRECTIONS / 90, DIRECTIONS - 1).astype(np.intp)
    shares = np.bincount(place, energy, DIRECTIONS)
    total = shares.sum()
    return shares / total if total > 1e-12 else np.zeros(DIRECTIONS)
