"""Plugins on a stem: a chain of pedalboard effects and of the user's VST3 or Audio Units.

A chain is a JSON file::

    {"gain_db": -3,
     "plugins": [{"plugin": "Reverb", "parameters": {"room_size": 0.8, "wet_level": 0.3}},
                 {"plugin": "~/.vst3/Echo.vst3", "name": "echo", "preset": "long.vstpreset"}]}

`plugin` is an effect of pedalboard or a path, `name` what lanes and OSC call it by (else that of
the plugin, small), `plugin_name` chooses one of several in a file, `load_s` is how long it may take
to load.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pedalboard

from plugin_bridge.control.controls import BY_NAME, Control
from plugin_bridge.hosting.parameters import control, made, numbers, set_parameter
from plugin_bridge.hosting.probe import LOAD_S, probe
from plugin_bridge.hosting.stem_mixer import CHUNK
from realtime.errors import StemsteerError
from realtime.stft import Audio

GAIN = BY_NAME["gain"]
LONGEST_S = 4.0  # of latency
_SETTLED_S = 0.3
_SETTLING_PIECES = 20  # of silence, for plugins that let their parameters glide
_WHOLE_FILES_ONLY = ("PitchShift", "Resample", "GSMFullRateCompressor")
"""Lose sound when they are fed piece by piece."""
_ODD = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
_WORDS = ("plugins", "gain_db")
_PLUGIN_WORDS = ("plugin", "name", "parameters", "preset", "plugin_name", "load_s")
_FILE_WORDS = ("preset", "plugin_name", "load_s")  # an effect of pedalboard has no use for them


@dataclass(frozen=True)
class PluginSpec:
    """One plugin of a chain as its file asks for it."""

    plugin: str
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    plugin_name: str | None = None
    load_s: float | None = None


def read_chain(path: Path, sample_rate: float, channels: int) -> PluginChain:
    """Load the chain in a JSON file.

    Raises StemsteerError if the file is none, or if a plugin is missing, is none, crashes, does not
    load in time or does not have a parameter.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content = content if isinstance(content, dict) else {"plugins": content}
        _check_words(content, _WORDS, "the chain")
        gain_db = float(content.get("gain_db", 0))
        specs = [_spec(entry) for entry in content["plugins"]]
    except _ODD as error:
        words = error if isinstance(error, ValueError) else repr(error)
        raise StemsteerError(f"{path} is no chain of plugins: {words}") from error
    if len({spec.name for spec in specs}) < len(specs):
        raise StemsteerError(f'{path}: two plugins have the same name; give each a "name"')
    if not GAIN.low <= gain_db <= GAIN.high:
        raise StemsteerError(f"{path}: gain_db is {gain_db:g}, expected {GAIN.range}")
    plugins = {spec.name: _load(spec, path) for spec in specs}
    return PluginChain(plugins, gain_db, sample_rate, channels, str(path))


class PluginChain:
    """Plugins in a row on the sound of one stem, fed in pieces of `CHUNK` samples.

    Equation: the output is the input through the plugins, `latency` samples later, times the gain.
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
        self._rate, self._channels = sample_rate, channels
        self._board = pedalboard.Pedalboard(list(plugins.values()))
        self._set: dict[str, float] = {}
        self._at_first: dict[str, float] = {}
        self._reported, held_back = 0, 0
        if plugins:
            held_back = self._checked_latency()
            self._reported = self._report()
        # a plugin's latency may come as missing samples, as late ones, or as both
        self._extra = max(0, self._reported - held_back)
        self.latency = held_back + self._extra
        self.reset()

    def reset(self) -> None:
        """Forget the sound, and put back the parameters that were moved."""
        for name, value in list(self._at_first.items()):
            self.set(name, value)
        self._at_first.clear()
        if self.plugins:
            self._begin()
        self._to_skip = self._extra

    def process(self, piece: Audio) -> Audio:
        """Take `CHUNK` samples (channels, PIECE), give what is ready of them.

        Raises StemsteerError if a plugin has changed its latency or gives what is no sound.
        """
        if not self.plugins:
            return piece * self._gain
        out = self._run(piece)
        if not np.isfinite(out).all():
            raise StemsteerError(
                f"{self.where}: {self._without_sound(piece)} puts out what is no number; expected "
                "sound: try other parameters, or leave it out"
            )
        if self._report() != self._reported:
            raise StemsteerError(
                f"{self.where}: a plugin changed its latency from {self._reported} to "
                f"{self._report()} samples while it ran; begin again with that setting"
            )
        skipped = min(self._to_skip, out.shape[1])
        self._to_skip -= skipped
        return out[:, skipped:] * self._gain

    def controls(self) -> dict[str, Control]:
        """The parameters that can be moved, as ``plugin/parameter``."""
        return {
            f"{name}/{parameter}": control(plugin, name, parameter)
            for name, plugin in self.plugins.items()
            for parameter in numbers(plugin)
        }

    def set(self, name: str, value: float) -> None:
        """Move a parameter ``plugin/parameter``, if it is not there yet.

        Raises StemsteerError if there is none of the name, or the plugin refuses the value.
        """
        if self._set.get(name) == value:
            return
        plugin, _, parameter = name.partition("/")
        if plugin not in self.plugins:
            raise StemsteerError(
                f"{self.where} has no plugin {plugin!r}; it has {', '.join(self.plugins) or 'none'}"
            )
        now = getattr(self.plugins[plugin], parameter, value)
        set_parameter(self.plugins[plugin], parameter, value, self.where)
        self._at_first.setdefault(name, float(now))
        self._set[name] = value

    def _run(self, piece: Audio) -> Audio:
        out: Audio = self._board.process(piece, self._rate, buffer_size=CHUNK, reset=False)
        return out

    def _without_sound(self, piece: Audio) -> str:
        """The name of the plugin whose output has broken; one that has does not recover."""
        for name, plugin in self.plugins.items():
            if not np.isfinite(plugin.process(piece, self._rate, CHUNK, reset=False)).all():
                return name
        return " or ".join(self.plugins)

    def _begin(self) -> None:
        """Bring the plugins to the state in which each stream begins."""
        for samples in (_SETTLING_PIECES * CHUNK, 0):
            silence = np.zeros((self._channels, samples), np.float32)
            self._board.process(silence, self._rate, buffer_size=CHUNK, reset=True)

    def _checked_latency(self) -> int:
        """What `_measure` gives; raises StemsteerError for a plugin with other channels."""
        try:
            return self._measure()
        except (ValueError, RuntimeError) as error:
            wanted = {1: "a mono", 2: "a stereo"}.get(self._channels, f"a {self._channels}-channel")
            raise StemsteerError(
                f"{self.where}: {error}; expected {wanted} effect: leave it out, or look for a "
                "version of it with so many channels"
            ) from error

    def _measure(self) -> int:
        """The most samples that are held back, once there is any sound at all."""
        self._begin()
        silence = np.zeros((self._channels, CHUNK), np.float32)
        fed, given, most, since = 0, 0, 0, 0
        while since < _SETTLED_S * self._rate:
            fed += CHUNK
            given += self._run(silence).shape[1]
            since = since + CHUNK if given and fed - given <= most else 0
            most = max(most, fed - given)
            if fed > LONGEST_S * self._rate:
                raise StemsteerError(
                    f"{self.where}: a plugin holds back more than {LONGEST_S:g} s of sound"
                )
        return most

    def _report(self) -> int:
        latencies = (getattr(p, "reported_latency_samples", 0) for p in self.plugins.values())
        return sum(latencies)


def _check_words(content: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    if extra := set(content) - set(known):
        raise ValueError(f"unknown word {min(extra)!r} in {what}; there are {', '.join(known)}")


def _spec(entry: Mapping[str, Any]) -> PluginSpec:
    plugin = str(entry["plugin"])
    name = str(entry.get("name") or Path(plugin).stem.lower())
    _check_words(entry, _PLUGIN_WORDS, "a plugin")
    if "/" in name:
        raise ValueError(f"name is {name!r}, expected one without /")
    for word in ("preset", "plugin_name"):
        if not isinstance(entry.get(word, ""), str):
            raise ValueError(f"{word} of {plugin} is {entry[word]!r}, expected words in quotes")
    load_s = float(entry["load_s"]) if "load_s" in entry else None
    if load_s is not None and not 0 < load_s <= 3600:
        raise ValueError(f"load_s is {load_s:g}, expected seconds up to an hour")
    parameters = dict(entry.get("parameters", {}))
    for parameter, value in parameters.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{parameter} of {plugin} is {value}, expected a finite number")
    return PluginSpec(
        plugin, name, parameters, entry.get("preset"),
        entry.get("plugin_name"), load_s,
    )  # fmt: skip


def _load(spec: PluginSpec, where: Path) -> Any:
    effect = getattr(pedalboard, spec.plugin, None)
    if isinstance(effect, type) and issubclass(effect, pedalboard.Plugin):
        return _load_effect(effect, spec, where)
    path = where.parent / Path(spec.plugin).expanduser()
    if not path.exists():
        raise StemsteerError(
            f"{where}: {spec.plugin!r} is no effect of pedalboard, and there is no file {path}"
        )
    probe(path, spec.plugin_name, spec.load_s or LOAD_S, where)
    try:
        _check_plugin_name(path, spec, where)
        plugin: Any = pedalboard.load_plugin(str(path), plugin_name=spec.plugin_name)
        if spec.preset:
            plugin.load_preset(str(where.parent / spec.preset))
    except (ImportError, ValueError, OSError, RuntimeError) as error:
        raise StemsteerError(f"{where}: {path} cannot be used: {error}") from error
    if plugin.is_instrument:
        raise StemsteerError(f"{where}: {path} is an instrument, expected an effect")
    for parameter, value in spec.parameters.items():
        set_parameter(plugin, parameter, value, str(where))
    return plugin


def _check_plugin_name(path: Path, spec: PluginSpec, where: Path) -> None:
    """Refuse a name that is not in the file, which pedalboard minds only if there are several."""
    kind = getattr(pedalboard, "VST3Plugin" if path.suffix == ".vst3" else "AudioUnitPlugin", None)
    if spec.plugin_name is None or kind is None:
        return
    names = kind.get_plugin_names_for_file(str(path))
    if spec.plugin_name not in names:
        raise StemsteerError(
            f"{where}: {path} has no plugin {spec.plugin_name!r}; it has {', '.join(names)}"
        )


def _load_effect(effect: type, spec: PluginSpec, where: Path) -> Any:
    if spec.plugin in _WHOLE_FILES_ONLY:
        raise StemsteerError(f"{where}: {spec.plugin} cannot be used on a stream")
    if useless := [word for word in _FILE_WORDS if getattr(spec, word) is not None]:
        raise StemsteerError(
            f"{where}: {spec.plugin} has no {useless[0]}, which is for a VST3 or an Audio Unit; "
            f"expected {', '.join(w for w in _PLUGIN_WORDS if w not in _FILE_WORDS)}"
        )
    try:
        return made(effect, spec.parameters)
    except ValueError as error:
        raise StemsteerError(f"{where}: {spec.plugin} cannot be made so: {error}") from error
