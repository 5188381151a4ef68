"""A separator with what follows it in live sound: levels, plugins, meters and a recorder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.automation.conditions import LaneConditions
from plugin_bridge.control.metering import HISTOGRAM_SAMPLES, StemLevels, direction_histogram
from plugin_bridge.control.sound_history import SoundHistory
from plugin_bridge.control.surface import Meters, Sound
from plugin_bridge.control.timbres_live import LiveTimbres
from plugin_bridge.hosting.stem_mixer import StemMixer
from realtime import Separator
from realtime.arrays import Audio

Tap = Callable[[Audio, NDArray[np.float32]], bool]
"""Called with every hop of the mixture (channels, n) and its stems (stems, channels, n).

It returns whether it has kept them."""


class OutputStage:
    """A `StemProcessor` for a `ThreadedProcessor`, like the separator in it.

    Equation: `process` gives the stems of the separator, each target by its `OutputLevels`. With a
    mixer it gives all stems through their plugins, each target by its gain alone: every stem is
    heard then, so that mix, mode and bypass have no meaning.

    Parameters
    ----------
    conditions : of the separator; the levels are theirs, too.
    tap : called in the processor's thread for every hop; must not wait.
    timbres : get the stems as they are separated.
    """

    def __init__(
        self,
        separator: Separator,
        conditions: LaneConditions,
        mixer: StemMixer | None = None,
        tap: Tap | None = None,
        timbres: LiveTimbres | None = None,
    ) -> None:
        self._timbres = timbres
        self.separator, self.conditions, self.mixer, self._tap = separator, conditions, mixer, tap
        self.sample_rate, self.channels = separator.sample_rate, separator.channels
        self.block_multiple = separator.block_multiple
        self.tier, self.stems = separator.tier, separator.stems
        self._levels = StemLevels(len(self.stems), self.sample_rate)
        self._history = SoundHistory(len(self.stems), separator.latency, self.sample_rate)
        self._n_fed = 0  # samples since the stream started
        self._place = 0  # in the lanes, of the next sample: what was kept so far, or `locate`d
        self._histogram: tuple[int, tuple[float, ...]] = (-1, ())  # `_n_fed` then, and its shares

    @property
    def latency(self) -> int:
        return self.separator.latency + (self.mixer.latency if self.mixer else 0)

    def reset(self) -> None:
        """Forget the stream."""
        self.separator.reset()
        if self.mixer:
            self.mixer.reset()
        self._n_fed = 0

    def locate(self, sample: int) -> None:
        """Let the next block begin at `sample` of the lanes; what follows goes on from there."""
        self._place = sample

    def process(self, block: Audio) -> NDArray[np.float32]:
        """Take a hop (channels, n) and return (stems, channels, n)."""
        # Lanes are those of the recording: time stands in it where a hop was lost, by a failure
        # that starts the stream anew or by a slow disk, and it goes on from there.
        self.conditions.origin = self._place - self._n_fed
        stems = self.separator.process(block)
        self._history.put(block, stems)
        if self._timbres:
            self._timbres.put(stems)
        first = self._n_fed - self.separator.latency
        self._n_fed += block.shape[1]
        if self.mixer:
            stems = self.mixer.process(stems)
        elif not self.conditions.has_unity_levels:
            stems[:-1] = self.conditions.outputs(first, stems)
        self._levels.update(stems)
        if self._tap is None or self._tap(block, stems):
            self._place += block.shape[1]
        return stems

    def levels_db(self) -> dict[str, float]:
        """Return the recent RMS of each stem, dB of full scale."""
        return dict(zip(self.stems, self._levels.db, strict=True))

    def meters(self, target: str) -> Meters:
        """Return the meters of a target: levels, directions, and activity if the model tells it."""
        levels = self.levels_db()
        meters: dict[str, tuple[float, ...]] = {
            "level_target": (levels[target],),
            "level_residual": (levels[self.stems[-1]],),
            "directions": self._directions(),
        }
        activity = self.separator.activity
        if activity is not None:
            meters["activity"] = (float(activity[-1, self.stems.index(target)]),)
        return meters

    def sound(self, target: str) -> Sound:
        """Return the newest sound of a target, beside all others."""
        return self._history.sound(self.stems.index(target))

    def _directions(self) -> tuple[float, ...]:
        """Return the histogram of the newest samples; between two hops it is made once."""
        n_fed, shares = self._histogram
        if n_fed != self._n_fed:
            newest = self._history.mixture(HISTOGRAM_SAMPLES)
            n_fed, shares = self._n_fed, tuple(direction_histogram(newest).tolist())
            self._histogram = (n_fed, shares)
        return shares
