"""The one table of controls: what can be set, and how it is called everywhere.

The plugin's parameters (by a generated C++ header), the OSC addresses, the lanes of an automation
file, the MIDI controllers and the protocol page derive from it. Rows are only ever appended: the
id of a control is its place in the plugin's parameter list, and projects in the world refer to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from plugin_bridge.control.actions import ACTIONS

Kind = Literal["float", "choice", "switch", "count"]

INSTRUMENTS = (
    "any", "drums", "percussion", "mallets", "piano", "keys", "organ", "accordion", "guitar",
    "harp", "bass", "violin", "viola", "cello", "double_bass", "strings", "trumpet", "trombone",
    "horn", "tuba", "brass", "flute", "oboe", "clarinet", "bassoon", "saxophone", "reed",
    "vocals", "choir", "synth", "fx", "other",
)  # fmt: skip
"""Instruments by number; append only, at most 64. With ``any`` the timbre is free."""
MAX_INSTRUMENTS = 64  # fixed: a host keeps the parameter as a share of its range
LATENCY_MODES = (1024, 2048, 4096, 512, 8192)
"""Latency in samples at 44.1 kHz of each `latency_mode`; 512 takes a model's tier `direct`.

Append only: projects keep the number of a mode, and hosts cannot automate it.
"""
MODES = ("isolate", "remove")


@dataclass(frozen=True)
class Control:
    """One row: a value that is set from outside (or, an `output`, one that is shown).

    Parameters
    ----------
    id : number of the plugin's parameter, for ever.
    name : lane name, symbol of the parameter, and last part of the OSC address.
    kind : ``float``; ``choice``, a whole number that stands for one of `choices`; ``switch``,
        0 or 1; ``count``, a whole number (outputs only).
    low, high, default : in `unit`.
    smoothing_s : time over which a jump of the value is spread so that it does not click.
    midi_cc : MIDI controller that moves it if no mapping says otherwise.
    """

    id: int
    name: str
    title: str
    kind: Kind
    low: float
    high: float
    default: float
    unit: str
    smoothing_s: float
    midi_cc: int | None
    help: str
    choices: tuple[str, ...] = ()
    output: bool = False

    @property
    def address(self) -> str:
        """Return the last part of the OSC address: /stemsteer/<instance>/<address>."""
        return f"/{self.name}"

    @property
    def whole(self) -> bool:
        """Return whether only whole numbers mean something."""
        return self.kind != "float"

    def clamp(self, value: float) -> float:
        """Return the nearest legal value. Raises ValueError if `value` is no number."""
        if math.isnan(value):
            raise ValueError(f"{self.name} is not a number, expected {self.range}")
        value = min(max(value, self.low), self.high)
        return float(round(value)) if self.whole else float(value)

    def check(self, value: float) -> float:
        """Return `value` as a float. Raises ValueError if it is out of range, or not whole."""
        if self.clamp(value) != value:
            whole = ", whole numbers" if self.whole else ""
            raise ValueError(f"{self.name} is {value:g}, expected {self.range}{whole}")
        return self.clamp(value)

    def parse(self, text: str) -> float:
        """Return the value of a text: a number, one of `choices`, on or off.

        Raises ValueError for any other text.
        """
        word = text.strip().lower()
        if word in self.choices:
            return float(self.choices.index(word))
        if self.name == "instrument" and not _is_number(word):
            from plugin_bridge.control.instruments import number_of  # which reads this table

            return float(number_of(text))
        if self.kind == "switch" and word in ("on", "true", "off", "false"):
            return float(word in ("on", "true"))
        try:
            return float(word)
        except ValueError:
            raise ValueError(f"{self.name} is {text!r}, expected {self.range}") from None

    def norm(self, value: float) -> float:
        """Return the share of the range, 0…1, at which `value` lies."""
        return (self.clamp(value) - self.low) / (self.high - self.low)

    def from_norm(self, share: float) -> float:
        """Return the value at a share of the range, 0…1."""
        return self.clamp(self.low + share * (self.high - self.low))

    @property
    def range(self) -> str:
        """Return the legal values in words."""
        if self.choices and self.high == len(self.choices) - 1:
            return " or ".join(self.choices)
        return f"{self.low:g} to {self.high:g}" + (f" {self.unit}" if self.unit else "")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


_CHOICE_S = 0.05  # a change of sound fades over it

CONTROLS: tuple[Control, ...] = (
    Control(
        0, "azimuth", "Azimuth", "float", -45, 45, 0, "deg", 0.02, 10,
        "where the sound is: -45 hard left, 0 centre, 45 hard right, by the constant-power law",
    ),
    Control(
        1, "width", "Width", "float", 1, 90, 20, "deg", 0.02, 20,
        "full opening of the directions that belong to the sound",
    ),
    Control(
        2, "instrument", "Instrument", "choice", 0, MAX_INSTRUMENTS - 1, 0, "", _CHOICE_S, 70,
        "what the sound is; 0: anything that comes from the direction", INSTRUMENTS,
    ),
    Control(
        3, "timbre_morph", "Timbre Morph", "float", 0, 1, 0, "", 0.02, 71,
        "from the instrument's timbre (0) to the one given as a query (1)",
    ),
    Control(
        4, "strength", "Timbre Strength", "float", 0, 1, 1, "", 0.02, 22,
        "how much the timbre counts; 0: the direction alone decides",
    ),
    Control(
        5, "mix", "Mix", "float", 0, 1, 1, "", 0.02, 23,
        "0: the mixture untouched, 1: only what was asked for",
    ),
    Control(
        6, "mode", "Mode", "choice", 0, 1, 0, "", _CHOICE_S, 80,
        "isolate: the sound alone; remove: everything but the sound", MODES,
    ),
    Control(7, "gain", "Gain", "float", -60, 12, 0, "dB", 0.02, 7, "level of the output"),
    Control(
        8, "bypass", "Bypass", "switch", 0, 1, 0, "", 0.02, 81,
        "the mixture untouched, as late as the separated sound",
    ),
    Control(
        9, "latency_mode", "Latency Mode", "choice", 0, len(LATENCY_MODES) - 1, 0, "", 0.0,
        None,
        "latency in samples at 44.1 kHz; 512 takes a quick model, 8192 one that hears ahead",
        tuple(str(samples) for samples in LATENCY_MODES),
    ),
    Control(
        10, "offline", "Offline Render", "switch", 0, 1, 0, "", 0.0, None,
        "wait for the engine instead of playing dry: for bounces in hosts that do not say so",
    ),
    Control(
        11, "connected", "Connected", "switch", 0, 1, 0, "", 0.0, None,
        "whether an engine processes the sound", output=True,
    ),
    Control(
        12, "dropouts", "Dropouts", "count", 0, 1_000_000, 0, "", 0.0, None,
        "blocks for which the engine was late", output=True,
    ),
    Control(
        13, "load", "Load", "float", 0, 1, 0, "", 0.0, None,
        "share of real time that the engine needs", output=True,
    ),
    Control(
        14, "learn", "Learn", "switch", 0, 1, 0, "", 0.0, None,
        "switched on: listen to the sound for two seconds, then go by its timbre",
    ),
)  # fmt: skip
BY_NAME = {control.name: control for control in CONTROLS}
INPUTS = tuple(c for c in CONTROLS if not c.output and c.name not in ACTIONS)
"""Controls that have a value to set; what `ACTIONS` has, is a switch in the plugin alone."""
ALIASES = {"morph": "timbre_morph"}
"""Other names of controls, in OSC and in lanes."""
HOST_ONLY = ("latency_mode", "offline")
"""Controls that only a plugin's host can set, since it has to know."""
REMOTE_CONTROLS = {control.name: control for control in INPUTS if control.name not in HOST_ONLY}
"""Controls of a plugin that OSC and lanes can set from outside."""


@dataclass(frozen=True)
class Meter:
    """One row of what is fed back to subscribers beside the values of the controls."""

    name: str
    size: int
    unit: str
    help: str


DIRECTIONS = 45
METERS: tuple[Meter, ...] = (
    Meter("level_target", 1, "dB", "RMS of the target, full scale is 0"),
    Meter("level_residual", 1, "dB", "RMS of the residual, full scale is 0"),
    Meter("activity", 1, "", "how surely the target plays, 0 to 1"),
    Meter(
        "directions", DIRECTIONS, "",
        "share of the energy by direction, from -45 deg to 45 deg in steps of 2 deg",
    ),
    Meter("latency", 1, "samples", "from input to output"),
    Meter("load", 1, "", "share of real time that the engine needs"),
    Meter("dropouts", 1, "", "blocks for which the engine was late"),
)  # fmt: skip


def own_name(name: str) -> str:
    """Return the name of a control for another name of it; any other word as it is."""
    return ALIASES.get(name, name)


def control(name: str) -> Control:
    """Return the control `name`. Raises ValueError if there is none."""
    if name not in BY_NAME:
        raise ValueError(f"no control {name!r}; there are {', '.join(c.name for c in INPUTS)}")
    return BY_NAME[name]
