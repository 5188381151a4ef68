"""MIDI controllers as lanes and as live control.

A mapping says which controller moves which control of which target: a JSON object such as
``{"10": "guitar.azimuth", "2:74": "vocals.width"}``, the key ``[channel:]controller`` with channels
from 1. Without one, every controller of the table of controls moves every target. The
controllers 0 to 31 may be fine: their lower seven bits come as the controller 32 above.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mido

from plugin_bridge.automation.automation import ALL, Automation, Key, make_lane
from plugin_bridge.automation.formats.midi_chunks import repaired
from plugin_bridge.automation.lane import Point
from plugin_bridge.control.controls import BY_NAME, INPUTS, REMOTE_CONTROLS, own_name
from plugin_bridge.small_files import read_small_file
from realtime.errors import StemsteerError
from realtime.json_reader import read_json_object

MAX_MAP_BYTES = 1_000_000
TOGETHER_S = 0.003  # parts of one value are no further from each other
FINE = 32  # a controller of 0…31 has its fine part this much higher
ControllerKey = tuple[int | None, int]  # channel from 0 or None for any, controller


class ControllerMap:
    """The controls that MIDI controllers move; it remembers the coarse parts of fine ones.

    Parameters
    ----------
    assignments : for each controller the (target, control) that it moves.
    """

    def __init__(self, assignments: Mapping[ControllerKey, Key]) -> None:
        self._assignments = dict(assignments)
        self._coarse: dict[tuple[int, int], int] = {}

    @classmethod
    def of_table(cls) -> ControllerMap:
        """Return the mapping of the table of controls: each controller moves every target."""
        return cls({(None, c.midi_cc): (ALL, c.name) for c in INPUTS if c.midi_cc is not None})

    @classmethod
    def read(cls, path: Path) -> ControllerMap:
        """Read a mapping. Raises StemsteerError if it is none."""
        try:
            text = read_small_file(path, max_bytes=MAX_MAP_BYTES)
            rows = read_json_object(text, max_bytes=MAX_MAP_BYTES)
            return cls(
                {_parse_controller(key): _parse_control(value) for key, value in rows.items()}
            )
        except ValueError as error:
            raise StemsteerError(
                f"{path}: not a mapping of MIDI controllers: {error}; expected "
                '{"[CHANNEL:]CONTROLLER": "TARGET.CONTROL"}, as {"10": "guitar.azimuth"}'
            ) from error

    def control_change(self, channel: int, number: int, value: int) -> tuple[Key, float] | None:
        """Return the control that a controller moves, with its new value; None if it moves none."""
        coarse = self._coarse.get((channel, number - FINE))
        if number < FINE:
            self._coarse[channel, number] = value
        if key := self._find(channel, number):
            return key, _scaled(key, value, 7)
        if coarse is not None and (key := self._find(channel, number - FINE)):
            return key, _scaled(key, coarse * 128 + value, 14)
        return None

    def check_targets(self, names: Sequence[str]) -> None:
        """Raise ValueError if a controller moves a target that is not in `names`."""
        for target, name in self._assignments.values():
            if target not in (*names, ALL):
                raise ValueError(
                    f"a MIDI controller moves {target}.{name}, but there are {', '.join(names)}"
                )

    def _find(self, channel: int, number: int) -> Key | None:
        return self._assignments.get((channel, number)) or self._assignments.get((None, number))


def read(content: bytes, beside: Path) -> Automation:
    """Read the controllers of a MIDI file, by the table's mapping or by that of `beside`.

    A controller stays where it is until it moves: the lanes are steps. A track that is cut is told
    in the notes.

    Raises ValueError if the file is no MIDI file, none of its controllers moves anything, or,
    without a mapping, several channels would move the same control.
    """
    mapping = ControllerMap.read(beside) if beside.exists() else ControllerMap.of_table()
    points: dict[Key, list[Point]] = {}
    channels: dict[Key, set[int]] = {}
    messages, cuts_s = _messages(content)
    notes = tuple(
        f"a track cannot be read beyond {cut_s:.2f} s, where no event follows: its controllers "
        "behind that are left out; export the file anew"
        for cut_s in cuts_s
    )
    for time_s, message in _coarse_first(messages):
        moved = mapping.control_change(message.channel, message.control, message.value)
        if moved:
            key, value = moved
            channels.setdefault(key, set()).add(message.channel + 1)
            points.setdefault(key, []).append(Point(time_s, value, "step"))
    if not points:
        raise ValueError("; ".join(["none of its controllers moves a control", *notes]))
    if not beside.exists():
        _check_channels(channels, beside)
    return Automation({key: make_lane(key[1], rows) for key, rows in points.items()}, notes)


def _coarse_first(messages: list[tuple[float, Any]]) -> list[tuple[float, Any]]:
    """Return messages with the coarse part of a value before its fine part.

    MIDI wants the coarse part first; some programs write the fine one first, at the same moment.
    """
    ordered = list(messages)
    for index in range(1, len(ordered)):
        (before_s, before), (time_s, message) = ordered[index - 1], ordered[index]
        is_swapped = (
            before.control == message.control + FINE
            and message.control < FINE
            and before.channel == message.channel
            and time_s - before_s <= TOGETHER_S
        )
        follows = ordered[index + 1] if index + 1 < len(ordered) else None
        has_own_fine = (
            follows is not None
            and follows[1].control == before.control
            and follows[1].channel == before.channel
            and follows[0] - time_s <= TOGETHER_S
        )
        if is_swapped and not has_own_fine:
            ordered[index - 1], ordered[index] = (before_s, message), (before_s, before)
    return ordered


def _check_channels(channels: Mapping[Key, set[int]], beside: Path) -> None:
    """Raise ValueError if a lane would go to and fro between several channels."""
    for (_, name), numbers in channels.items():
        if len(numbers) > 1:
            listed = ", ".join(map(str, sorted(numbers)))
            raise ValueError(
                f"the channels {listed} all move {name}; say which one moves which target in "
                f'{beside.name}, as {{"{min(numbers)}:10": "guitar.azimuth"}}'
            )


def _messages(content: bytes) -> tuple[list[tuple[float, Any]], list[float]]:
    """Return the control changes with their times, and the times at which tracks are cut.

    Times are in seconds, by the file's own tempi.
    """
    messages: list[tuple[float, Any]] = []
    cuts_s: list[float] = []
    try:
        file = mido.MidiFile(file=io.BytesIO(repaired(content)))
        if file.ticks_per_beat <= 0:  # below 0 it is a time code
            raise ValueError(f"its division is {file.ticks_per_beat}, expected ticks a beat, 1 up")
        if file.type == 2:
            raise ValueError(
                "its tracks are songs by themselves (format 2), expected format 0 or 1: export it "
                "as one of these"
            )
        time_s = 0.0
        for message in file:
            time_s += message.time
            if message.type == "control_change":
                messages.append((time_s, message))
            elif message.type == "marker":
                cuts_s.append(time_s)
    except (EOFError, OSError, LookupError, TypeError) as error:
        raise ValueError(f"not a MIDI file: {error!r}") from error
    return messages, cuts_s


def _scaled(key: Key, value: int, bits: int) -> float:
    """Return the value of a control.

    A control whose default is the middle of its range is there at 64, as MIDI's pan is; the two
    halves then have different steps.
    """
    control = BY_NAME[key[1]]
    top, centre = 2**bits - 1, 2 ** (bits - 1)
    if control.default != (control.low + control.high) / 2:
        return control.from_norm(value / top)
    if value <= centre:
        return control.from_norm(value / centre / 2)
    return control.from_norm(0.5 + (value - centre) / (top - centre) / 2)


def _parse_controller(key: str) -> ControllerKey:
    channel, _, number = key.rpartition(":")
    if not (number.isdecimal() and (channel.isdecimal() or not channel)):
        raise ValueError(f"{key!r} is no [channel:]controller")
    controller = int(channel) - 1 if channel else None, int(number)
    if not 0 <= controller[1] <= 127 or (
        controller[0] is not None and not 0 <= controller[0] <= 15
    ):
        raise ValueError(f"{key!r} is no [channel:]controller")
    return controller


def _parse_control(words: object) -> Key:
    target, _, word = str(words).rpartition(".")
    name = own_name(word)
    if name not in REMOTE_CONTROLS:
        raise ValueError(f"{words!r} names no control")
    return target or ALL, name
