"""Control surfaces: where OSC, MIDI and a display set the controls of what runs, and see it."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from plugin_bridge.control.actions import Action
from plugin_bridge.control.controls import BY_NAME, REMOTE_CONTROLS, Control
from plugin_bridge.control.timbre_requests import RequestQueue, Slot, TimbreChange, Vector
from realtime.arrays import Audio

Move = tuple[str, str, float]  # instance, control, value
Meters = Mapping[str, Sequence[float]]
Facts = Mapping[str, str]
_NOT_IN_ADDRESS = re.compile(r"[\s#*,/?\[\]{}]|[^\x21-\x7e]")


@dataclass(frozen=True)
class Sound:
    """The newest samples of an instance, each (2, n) and of the same moment of the input.

    `target` and `residual`, which is everything else, are as the separator gives them, before mix,
    mode and gain; `end`, the position behind them, grows while sound goes on.
    """

    end: int
    sample_rate: float
    mixture: Audio
    target: Audio
    residual: Audio

    def __reduce__(self) -> tuple[object, ...]:
        """Go to another process as one row of bytes: arrays by themselves take thrice as long."""
        rows = np.stack([self.mixture, self.target, self.residual])
        return _sound, (self.end, self.sample_rate, rows.tobytes())


def _sound(end: int, sample_rate: float, rows: bytes) -> Sound:
    return Sound(end, sample_rate, *np.frombuffer(rows, np.float32).reshape(3, 2, -1))


class ControlSurface(Protocol):
    """Instances by name, each with controls; every method may be called from any thread."""

    @property
    def connected(self) -> bool:
        """Return whether what plays is there."""

    @property
    def instances(self) -> Sequence[str]:
        """Return the names of the instances: tracks with the plugin, or targets."""

    def controls(self, instance: str) -> Mapping[str, Control]:
        """Return the controls of an instance: those of the table, and parameters of plugins."""

    def value(self, instance: str, name: str) -> float:
        """Return where a control is now."""

    def set_value(self, instance: str, name: str, value: float) -> None:
        """Set a control to a value in its range, without blocking for long."""

    def meters(self, instance: str) -> Meters:
        """Return what `controls.METERS` lists, as far as it is known."""

    def facts(self, instance: str) -> Facts:
        """Return what does not change: model, tier, host, ... as far as it is known."""

    def sound(self, instance: str) -> Sound | None:
        """Return the newest sound, to be shown; None where it is not known."""

    def refresh(self, instances: Collection[str], every_s: float = 0.0) -> bool:
        """Return whether meters, and the sound of these, are those of now.

        Where they are in another process they are asked for, and come by and by; with `every_s`
        they come again at that distance, as long as this is called so.
        """

    def actions(self, instance: str) -> Mapping[str, Action]:
        """Return what else can be asked of an instance, by `requests`."""

    @property
    def requests(self) -> RequestQueue:
        """Return what has been asked and not been done."""

    def timbres(self, instance: str) -> Mapping[str, str]:
        """Return its timbres in words: `encoder` of its model, and what `like` and `unlike` are.

        And `instruments`, which it began with, until its control is moved. `encoder` is empty if
        the model takes no timbre, and left out as long as it is not loaded.
        """

    def timbre_vector(self, instance: str, slot: Slot) -> Vector | None:
        """Return a timbre that an instance has now; None if there is none, or it is not known."""

    def change_timbre(self, change: TimbreChange) -> None:
        """Give an instance another timbre, to which the sound crosses over.

        Raises ValueError if its model takes none of that size.
        """

    def listen(self, instance: str, seconds: float) -> None:
        """Let a `Heard` follow on `requests`, when the instance has sounded for so long.

        With 0, what is listened to ends with the next samples.
        """


@functools.lru_cache(1024)
def osc_name(name: str) -> str:
    """Return how an instance is called in an OSC address."""
    return _NOT_IN_ADDRESS.sub("_", name) or "_"


class WithoutTimbres:
    """The part of a surface where nothing sounds that could have a timbre."""

    def __init__(self) -> None:
        self.requests = RequestQueue()

    def actions(self, instance: str) -> Mapping[str, Action]:
        return {}

    def timbres(self, instance: str) -> Mapping[str, str]:
        return {"encoder": ""}

    def timbre_vector(self, instance: str, slot: Slot) -> Vector | None:
        return None

    def change_timbre(self, change: TimbreChange) -> None:
        raise ValueError("nothing sounds here that could have a timbre")

    def listen(self, instance: str, seconds: float) -> None:
        raise ValueError("nothing sounds here that could be learned")


class MemorySurface(WithoutTimbres):
    """A surface that only keeps the values."""

    connected = True

    def __init__(self, instances: Sequence[str]) -> None:
        super().__init__()
        self.instances = tuple(instances)
        self._lock = threading.Lock()
        self._values: dict[tuple[str, str], float] = {}

    def controls(self, instance: str) -> Mapping[str, Control]:
        return REMOTE_CONTROLS

    def value(self, instance: str, name: str) -> float:
        return self._values.get((instance, name), BY_NAME[name].default)

    def set_value(self, instance: str, name: str, value: float) -> None:
        with self._lock:
            self._values[instance, name] = value

    def meters(self, instance: str) -> Meters:
        return {}

    def facts(self, instance: str) -> Facts:
        return {}

    def sound(self, instance: str) -> Sound | None:
        return None

    def refresh(self, instances: Collection[str], every_s: float = 0.0) -> bool:
        return True
