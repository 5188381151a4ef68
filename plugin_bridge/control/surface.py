"""Where controls are played and shown: what OSC, MIDI and a display see of whatever runs."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

from plugin_bridge.control.controls import BY_NAME, INPUTS, Control

Move = tuple[str, str, float]  # instance, control, value
Meters = Mapping[str, Sequence[float]]
INPUTS_BY_NAME = {control.name: control for control in INPUTS}
_NOT_IN_ADDRESS = re.compile(r"[\s#*,/?\[\]{}]|[^\x21-\x7e]")


class ControlSurface(Protocol):
    """Instances by name, each with controls; every method may be called from any thread."""

    @property
    def instances(self) -> Sequence[str]:
        """Names of what is played: tracks with the plugin, or targets."""

    def controls(self, instance: str) -> Mapping[str, Control]:
        """The controls of an instance: the table's, and parameters of the plugins on its stem."""

    def value(self, instance: str, name: str) -> float:
        """Where a control is now."""

    def set_value(self, instance: str, name: str, value: float) -> None:
        """Move a control; the value is in its range. Never blocks for long."""

    def meters(self, instance: str) -> Meters:
        """What `controls.METERS` lists, as far as it is known."""


@functools.lru_cache(1024)
def osc_name(name: str) -> str:
    """How an instance is called in an OSC address."""
    return _NOT_IN_ADDRESS.sub("_", name) or "_"


class MemorySurface:
    """A board on which values are only written down."""

    def __init__(self, instances: Sequence[str]) -> None:
        self.instances = tuple(instances)
        self._lock = threading.Lock()
        self._values: dict[tuple[str, str], float] = {}

    def controls(self, instance: str) -> Mapping[str, Control]:
        return INPUTS_BY_NAME

    def value(self, instance: str, name: str) -> float:
        return self._values.get((instance, name), BY_NAME[name].default)

    def set_value(self, instance: str, name: str, value: float) -> None:
        with self._lock:
            self._values[instance, name] = value

    def meters(self, instance: str) -> Meters:
        return {}
