"""The file of a chain: effects of pedalboard, and the user's VST3 or Audio Units.

A chain is a JSON file::

    {"gain_db": -3,
     "plugins": [{"plugin": "Reverb", "parameters": {"room_size": 0.8, "wet_level": 0.3}},
                 {"plugin": "~/.vst3/Echo.vst3", "name": "echo", "preset": "long.vstpreset"}]}

`plugin` is an effect of pedalboard or a path, `name` what lanes and OSC call it by (else that of
the plugin, small), `plugin_name` chooses one of several in a file, `load_s` is how long it may take
to load.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pedalboard

from plugin_bridge.control.controls import BY_NAME
from plugin_bridge.hosting.chain import PluginChain
from plugin_bridge.hosting.impulse_response import with_impulse_response
from plugin_bridge.hosting.parameters import create_effect, is_effect, set_parameter
from plugin_bridge.hosting.probe import LOAD_S, probe
from plugin_bridge.small_files import read_small_file
from realtime.errors import StemsteerError
from realtime.json_reader import read_json

GAIN = BY_NAME["gain"]
MAX_BYTES = 4_000_000
_WHOLE_FILES_ONLY = ("PitchShift", "Resample", "GSMFullRateCompressor")
"""Lose sound when they are fed chunk by chunk."""
_CHAIN_FIELDS = ("plugins", "gain_db")
_PLUGIN_FIELDS = ("plugin", "name", "parameters", "preset", "plugin_name", "load_s")
_FILE_FIELDS = ("preset", "plugin_name", "load_s")  # an effect of pedalboard has no use for them


@dataclass(frozen=True)
class PluginSpec:
    """One plugin of a chain as its file asks for it; `load_s` is how long it may take to load."""

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
        content = read_json(read_small_file(path, max_bytes=MAX_BYTES), max_bytes=MAX_BYTES)
        content = content if isinstance(content, dict) else {"plugins": content}
        _check_fields(content, _CHAIN_FIELDS, "the chain")
        gain_db = _number("gain_db", content.get("gain_db", 0))
        plugins = content.get("plugins", [])
        if not isinstance(plugins, list):
            raise ValueError(f"plugins is {plugins!r:.60}, expected a list")
        specs = [_read_spec(entry) for entry in plugins]
    except ValueError as error:
        raise StemsteerError(f"{path} is no chain of plugins: {error}") from error
    if len({spec.name for spec in specs}) < len(specs):
        raise StemsteerError(f'{path}: two plugins have the same name; give each a "name"')
    if not GAIN.low <= gain_db <= GAIN.high:
        raise StemsteerError(f"{path}: gain_db is {gain_db:g}, expected {GAIN.range}")
    loaded = {spec.name: _load(spec, path) for spec in specs}
    return PluginChain(loaded, gain_db, sample_rate, channels, str(path))


def _check_fields(content: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    if extra := set(content) - set(known):
        raise ValueError(f"unknown word {min(extra)!r} in {what}; there are {', '.join(known)}")


def _number(name: str, value: Any) -> float:
    """Return a value as a number. Raises ValueError if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r:.60}, expected a number") from None


def _read_spec(entry: Any) -> PluginSpec:
    """Return a plugin of a chain as it is asked for. Raises ValueError if that cannot be read."""
    if not isinstance(entry, dict):
        raise ValueError(f'a plugin is {entry!r:.60}, expected {{"plugin": NAME}}')
    if "plugin" not in entry:
        raise ValueError("a plugin lacks 'plugin', its name or path")
    plugin = str(entry["plugin"])
    name = str(entry.get("name") or Path(plugin).stem.lower())
    _check_fields(entry, _PLUGIN_FIELDS, "a plugin")
    if "/" in name:
        raise ValueError(f"name is {name!r}, expected one without /")
    for word in ("preset", "plugin_name"):
        if not isinstance(entry.get(word, ""), str):
            raise ValueError(f"{word} of {plugin} is {entry[word]!r}, expected words in quotes")
    load_s = _number(f"load_s of {plugin}", entry["load_s"]) if "load_s" in entry else None
    if load_s is not None and not 0 < load_s <= 3600:
        raise ValueError(f"load_s is {load_s:g}, expected seconds up to an hour")
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ValueError(f"parameters of {plugin} is {parameters!r:.60}, expected them by name")
    for parameter, value in parameters.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{parameter} of {plugin} is {value}, expected a finite number")
    return PluginSpec(
        plugin, name, parameters, entry.get("preset"),
        entry.get("plugin_name"), load_s,
    )  # fmt: skip


def _load(spec: PluginSpec, where: Path) -> Any:
    """Load one plugin of the chain in the file `where`. Raises StemsteerError."""
    effect = getattr(pedalboard, spec.plugin, None)
    if is_effect(effect):
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
    """Raise StemsteerError for a name that is not in the file.

    pedalboard itself looks at the name only if the file holds several plugins.
    """
    kind = getattr(pedalboard, "VST3Plugin" if path.suffix == ".vst3" else "AudioUnitPlugin", None)
    if spec.plugin_name is None or kind is None:
        return
    names = kind.get_plugin_names_for_file(str(path))
    if spec.plugin_name not in names:
        raise StemsteerError(
            f"{where}: {path} has no plugin {spec.plugin_name!r}; it has {', '.join(names)}"
        )


def _load_effect(effect: type, spec: PluginSpec, where: Path) -> Any:
    """Make an effect of pedalboard."""
    if spec.plugin in _WHOLE_FILES_ONLY:
        raise StemsteerError(f"{where}: {spec.plugin} cannot be used on a stream")
    if useless := [word for word in _FILE_FIELDS if getattr(spec, word) is not None]:
        raise StemsteerError(
            f"{where}: {spec.plugin} has no {useless[0]}, which is for a VST3 or an Audio Unit; "
            f"expected {', '.join(w for w in _PLUGIN_FIELDS if w not in _FILE_FIELDS)}"
        )
    try:
        return create_effect(effect, with_impulse_response(spec.parameters, where))
    except ValueError as error:
        raise StemsteerError(f"{where}: {spec.plugin} cannot be made so: {error}") from error
