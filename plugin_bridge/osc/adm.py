"""ADM-OSC 1.0: objects of other programs are instances by their number, or by a name they sent.

Positions are in degrees, positive to the left, or from -1 left to 1 right; a message without
arguments asks for a value (https://immersive-audio-live.github.io/ADM-OSC/). What comes from
behind or above is taken at its place between left and right; a listener does not move.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from plugin_bridge.control.controls import control
from plugin_bridge.control.surface import ControlSurface, Move, osc_name
from plugin_bridge.osc.namespace import Reply
from plugin_bridge.osc.patterns import is_pattern, matches

QUERY_PORT = 4002
"""Where programs wait for answers that do not wait where they send from."""
MAX_NAMES = 4096
AZIMUTH, WIDTH, GAIN = control("azimuth"), control("width"), control("gain")
_PREFIX = r"/adm(?:/prog/\d{1,6})?(?:/config)?"
_OBJECT = re.compile(rf"{_PREFIX}/obj/(?P<object>[^/]+)(?:/(?P<what>[^/]+))?")
_OTHER = re.compile(rf"{_PREFIX}/(?P<kind>lis|env|bed|template|label)/.+")
_LISTENER = {**dict.fromkeys(("x", "y", "z", "yaw", "pitch", "roll"), 1), "xyz": 3, "ypr": 3}
_NUMBERS = re.compile(r"(?!\[\d*\])[\[{](\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)[\]}]")
"""A list of numbers; digits alone in brackets, as ``[12]``, are those of OSC: one of them."""
_FIXED = {"elev": 0.0, "dist": 1.0, "y": 1.0, "z": 0.0, "dref": 1.0, "dmax": 1.0}
_UNUSED = ("cartesian", "absdistance", "refdistance", "chan", "active", "depth", "height", "h", "d")
_KNOWN = ("azim", "x", "w", "gain", "mute", "name", "aed", "xy", "xyz", *_FIXED, *_UNUSED)


class AdmOsc:
    """Reads messages of ADM-OSC and answers its queries.

    Parameters
    ----------
    mirrored : take left for right, for a program that counts azimuths the other way.
    """

    def __init__(self, surface: ControlSurface, *, mirrored: bool = False) -> None:
        self._surface, self._sign = surface, -1.0 if mirrored else 1.0
        self._names: dict[int, str] = {}  # of objects, as they were sent
        self._muted: dict[str, float] = {}  # instance -> the gain it had, in dB

    def moves(self, address: str, arguments: Sequence[Any]) -> list[Move] | None:
        """Return the moves that a message asks for; None if it is not of ADM-OSC.

        Raises ValueError if its arguments are not as the convention has them.
        """
        if _OTHER.fullmatch(address):
            return []  # known, and nothing that we have
        found = _OBJECT.fullmatch(address)
        if not found or not any(matches(found["what"] or "", name) for name in _KNOWN):
            return None
        if found["what"] == "name":
            self._remember(found["object"], arguments[0])
        read = self._readers().get(found["what"])
        return [
            move
            for _, instance in self._objects(found["object"])
            for move in (read(instance, arguments) if read else ())
        ]

    def replies(self, address: str) -> list[Reply] | None:
        """Return the answers to a message without arguments; None if it is not of ADM-OSC."""
        if other := _OTHER.fullmatch(address):
            kind, what = other["kind"], address.rpartition("/")[2]
            size = _LISTENER.get(what, 0) if kind == "lis" else 0
            return [(address, (0.0,) * size)] if size else []
        found = _OBJECT.fullmatch(address)
        wanted = found["what"] or "*" if found else ""  # an object by itself: all of it
        if not found or not any(matches(wanted, name) for name in _KNOWN):
            return None
        prefix = address[: found.start("object")]
        return [
            (f"{prefix}{number}/{what}", values)
            for number, instance in self._objects(found["object"])
            for what, values in self._values(instance).items()
            if matches(wanted, what)
        ]

    def _readers(self) -> dict[str, Callable[[str, Sequence[Any]], Iterator[Move]]]:
        return {
            **dict.fromkeys(("azim", "aed"), self._azimuth),
            **dict.fromkeys(("x", "xy", "xyz"), self._x),
            "w": self._width,
            "gain": self._gain,
            "mute": self._mute,
        }

    def _azimuth(self, instance: str, values: Sequence[Any]) -> Iterator[Move]:
        yield instance, "azimuth", azimuth_from_left(self._sign * float(values[0]))

    def _x(self, instance: str, values: Sequence[Any]) -> Iterator[Move]:
        yield instance, "azimuth", self._sign * AZIMUTH.high * float(values[0])

    def _width(self, instance: str, values: Sequence[Any]) -> Iterator[Move]:
        """Version 1.0 has shares, 0 to 1; drafts before it had degrees."""
        value = float(values[0])
        yield instance, "width", WIDTH.from_norm(value) if value <= 1 else value

    def _gain(self, instance: str, values: Sequence[Any]) -> Iterator[Move]:
        gain_db = decibels(float(values[0]))
        if instance in self._muted:
            self._muted[instance] = gain_db  # heard when it is no longer muted
        else:
            yield instance, "gain", gain_db

    def _mute(self, instance: str, values: Sequence[Any]) -> Iterator[Move]:
        """Give a muted object the lowest gain, and then again the one that it had."""
        muted = float(values[0])
        if math.isnan(muted):
            raise ValueError("mute is not a number, expected 0 or 1")
        now_db = self._surface.value(instance, "gain")
        if muted and instance not in self._muted:
            self._muted[instance] = now_db
            yield instance, "gain", GAIN.low
        elif not muted and instance in self._muted:
            before_db = self._muted.pop(instance)
            if now_db == GAIN.low:  # else somebody has moved it meanwhile
                yield instance, "gain", before_db

    def _remember(self, number: str, name: Any) -> None:
        """Keep the name of an object, so long as there are not too many."""
        if number.isdecimal() and len(number) <= 6 and len(self._names) < MAX_NAMES:
            self._names[int(number)] = str(name)[:128]

    def _values(self, instance: str) -> dict[str, tuple[float | int | str, ...]]:
        """Return what each message without arguments asks for."""
        azimuth_deg = self._surface.value(instance, "azimuth")
        azim, x = -self._sign * azimuth_deg, self._sign * azimuth_deg / AZIMUTH.high
        muted = instance in self._muted
        gain_db = self._muted[instance] if muted else self._surface.value(instance, "gain")
        return {
            "azim": (azim,),
            "x": (x,),
            "w": (WIDTH.norm(self._surface.value(instance, "width")),),
            "gain": (0.0 if gain_db <= GAIN.low else 10 ** (gain_db / 20),),
            "mute": (int(muted),),
            "name": (instance,),
            "aed": (azim, _FIXED["elev"], _FIXED["dist"]),
            "xy": (x, _FIXED["y"]),
            "xyz": (x, _FIXED["y"], _FIXED["z"]),
            **{name: (value,) for name, value in _FIXED.items()},
        }

    def _objects(self, pattern: str) -> Iterator[tuple[int, str]]:
        """Yield number and instance of each object that a pattern stands for."""
        if not is_pattern(pattern):
            if pattern.isdecimal() and len(pattern) <= 6:
                yield from self._object(int(pattern))
            return
        numbers = _NUMBERS.fullmatch(pattern)
        for number in {*range(1, len(self._surface.instances) + 1), *self._names}:
            if _is_listed(number, numbers[1]) if numbers else matches(pattern, str(number)):
                yield from self._object(number)

    def _object(self, number: int) -> Iterator[tuple[int, str]]:
        """Yield the instance that is called like the object, else the one of its number."""
        instance = called_like(self._names.get(number), number, self._surface.instances)
        if instance is not None:
            yield number, instance


def _is_listed(number: int, words: str) -> bool:
    """Return whether a number is in a list with ranges, as ``1,4-12``."""
    for word in words.split(","):
        low, _, high = word.partition("-")
        if len(word) < 16 and int(low) <= number <= int(high or low):
            return True
    return False


def called_like(name: str | None, number: int, instances: Sequence[str]) -> str | None:
    """Return the instance of a name that another program has sent, else the one of its number."""
    if name:
        wanted = osc_name(name).lower()
        for instance in instances:
            if osc_name(instance).lower() == wanted:
                return instance
    return instances[number - 1] if 1 <= number <= len(instances) else None


def azimuth_from_left(azimuth_deg: float) -> float:
    """Return our azimuth of a direction counted to the left, all around the listener."""
    around = math.remainder(azimuth_deg, 360.0)
    front = math.copysign(180.0 - abs(around), around) if abs(around) > 90 else around
    return AZIMUTH.clamp(-front)


def decibels(gain: float) -> float:
    """Return a gain of the control in dB. Raises ValueError if it is not a number."""
    return GAIN.low if gain <= 0 else GAIN.clamp(20 * math.log10(gain))  # NaN is refused there
