"""Plugins in a row on the sound of one stem, in step with the other stems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pedalboard

from plugin_bridge.control.controls import Control
from plugin_bridge.hosting.parameters import make_control, numeric_parameters, set_parameter
from plugin_bridge.hosting.stem_mixer import CHUNK
from realtime.arrays import Audio
from realtime.errors import StemsteerError

MAX_LATENCY_S = 4.0
_STEADY_S = 0.3  # a measured latency counts once it has not grown for so long
_SETTLING_CHUNKS = 20  # of silence, for plugins that let their parameters glide


class PluginChain:
    """Plugins in a row on the sound of one stem, fed in chunks of `CHUNK` samples.

    Equation: the output is the input through the plugins, `latency` samples later, times the gain.

    Parameters
    ----------
    plugins : by the names that lanes and OSC call them by.
    where : the file of the chain, for messages.

    Raises
    ------
    StemsteerError if a plugin does not take so many channels, or holds back more than
    `MAX_LATENCY_S` of sound.
    """

    def __init__(
        self,
        plugins: Mapping[str, Any],
        gain_db: float,
        sample_rate: float,
        channels: int,
        where: str,
    ) -> None:
        self.plugins, self.where = dict(plugins), where
        self._gain = np.float32(10 ** (gain_db / 20))
        self._sample_rate, self._channels = sample_rate, channels
        self._pedalboard = pedalboard.Pedalboard(list(plugins.values()))
        self._values: dict[str, float] = {}
        self._initial_values: dict[str, float] = {}
        self._reported, held_back = 0, 0
        if plugins:
            held_back = self._checked_latency()
            self._reported = self._reported_latency()
        # A plugin delays by giving fewer samples than it got, as pedalboard lets it, by giving late
        # ones, as the latency that it reports tells, or by both: what it holds back is part of what
        # it reports, so that only the difference has still to be skipped.
        self._late_samples = max(0, self._reported - held_back)
        self.latency = held_back + self._late_samples
        self.reset()

    def reset(self) -> None:
        """Forget the sound, and put back the parameters that were moved."""
        for name, value in list(self._initial_values.items()):
            self.set(name, value)
        self._initial_values.clear()
        if self.plugins:
            self._settle()
        self._to_skip = self._late_samples

    def process(self, chunk: Audio) -> Audio:
        """Take `CHUNK` samples (channels, CHUNK), and return what is ready of them.

        Raises StemsteerError if a plugin has changed its latency or its output is not finite.
        """
        if not self.plugins:
            return chunk * self._gain
        out = self._run(chunk)
        if not np.isfinite(out).all():
            raise StemsteerError(
                f"{self.where}: {self._broken_plugin(chunk)} puts out what is no number; expected "
                "sound: try other parameters, or leave it out"
            )
        if self._reported_latency() != self._reported:
            raise StemsteerError(
                f"{self.where}: a plugin changed its latency from {self._reported} to "
                f"{self._reported_latency()} samples while it ran; begin again with that setting"
            )
        skipped = min(self._to_skip, out.shape[1])
        self._to_skip -= skipped
        return out[:, skipped:] * self._gain

    def controls(self) -> dict[str, Control]:
        """Return the parameters that can be moved, as ``plugin/parameter``."""
        return {
            f"{name}/{parameter}": make_control(plugin, name, parameter)
            for name, plugin in self.plugins.items()
            for parameter in numeric_parameters(plugin)
        }

    def set(self, name: str, value: float) -> None:
        """Move a parameter ``plugin/parameter``, if it is not there yet.

        Raises StemsteerError if there is none of the name, or the plugin refuses the value.
        """
        if self._values.get(name) == value:
            return
        plugin, _, parameter = name.partition("/")
        if plugin not in self.plugins:
            raise StemsteerError(
                f"{self.where} has no plugin {plugin!r}; it has {', '.join(self.plugins) or 'none'}"
            )
        before = getattr(self.plugins[plugin], parameter, value)
        set_parameter(self.plugins[plugin], parameter, value, self.where)
        self._initial_values.setdefault(name, float(before))
        self._values[name] = value

    def _run(self, chunk: Audio) -> Audio:
        out: Audio = self._pedalboard.process(
            chunk, self._sample_rate, buffer_size=CHUNK, reset=False
        )
        return out

    def _broken_plugin(self, chunk: Audio) -> str:
        """Return the name of the plugin whose output is not finite.

        Each is fed once more: a plugin whose memory holds a NaN goes on giving NaN.
        """
        for name, plugin in self.plugins.items():
            if not np.isfinite(plugin.process(chunk, self._sample_rate, CHUNK, reset=False)).all():
                return name
        return " or ".join(self.plugins)

    def _settle(self) -> None:
        """Bring the plugins to the state in which each stream begins."""
        for samples in (_SETTLING_CHUNKS * CHUNK, 0):
            silence = np.zeros((self._channels, samples), np.float32)
            self._pedalboard.process(silence, self._sample_rate, buffer_size=CHUNK, reset=True)

    def _checked_latency(self) -> int:
        """Return `_measure_latency`; raise StemsteerError for a plugin with other channels."""
        try:
            return self._measure_latency()
        except (ValueError, RuntimeError) as error:
            wanted = {1: "a mono", 2: "a stereo"}.get(self._channels, f"a {self._channels}-channel")
            raise StemsteerError(
                f"{self.where}: {error}; expected {wanted} effect: leave it out, or look for a "
                "version of it with so many channels"
            ) from error

    def _measure_latency(self) -> int:
        """Return the most samples that the plugins hold back.

        A plugin may hold back more as it goes on (it collects frames of its own size), so silence
        is fed until the count has not grown for `_STEADY_S`.
        """
        self._settle()
        silence = np.zeros((self._channels, CHUNK), np.float32)
        fed, given, most, steady = 0, 0, 0, 0
        while steady < _STEADY_S * self._sample_rate:
            fed += CHUNK
            given += self._run(silence).shape[1]
            steady = steady + CHUNK if given and fed - given <= most else 0
            most = max(most, fed - given)
            if fed > MAX_LATENCY_S * self._sample_rate:
                raise StemsteerError(
                    f"{self.where}: a plugin holds back more than {MAX_LATENCY_S:g} s of sound"
                )
        return most

    def _reported_latency(self) -> int:
        """Return the latency in samples that the plugins tell; those of pedalboard tell none."""
        latencies = (getattr(p, "reported_latency_samples", 0) for p in self.plugins.values())
        return sum(latencies)
