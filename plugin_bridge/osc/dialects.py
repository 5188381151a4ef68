"""Messages in other conventions, as moves of our controls.

=============  ==============================================  ===================================
ADM-OSC        /adm/obj/N/azim  aed  x  xyz  w  gain           degrees, positive is left
IEM            /StereoEncoder/azimuth  width                   degrees, positive is left
REAPER         /track/N/pan  /track/N/fx/M/fxparam/P/value     0…1, with the names it sends
Ardour         /strip/pan_stereo_position  plugin/parameter    0…1; parameters as they are
AbletonOSC     /live/track/get/panning  device parameters      -1…1; parameters as they are
=============  ==============================================  ===================================

Objects, tracks and strips are instances by their number, unless the DAW has sent a name that
is one. What comes from behind or above is taken at its place between left and right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from plugin_bridge.control.controls import CONTROLS, Control, control
from plugin_bridge.control.surface import ControlSurface, Move, osc_name

Key = TypeVar("Key")
MAX_NAMES = 4096  # of tracks, and of parameters
AZIMUTH, WIDTH, GAIN = control("azimuth"), control("width"), control("gain")


class OscDialects:
    """Reads messages of other programs; remembers the names of tracks and parameters they send.

    Parameters
    ----------
    mirrored : take left for right, for a program that counts azimuths the other way.
    """

    def __init__(self, board: ControlSurface, *, mirrored: bool = False) -> None:
        self._board, self._sign = board, -1.0 if mirrored else 1.0
        self._tracks: dict[str, str] = {}  # number as the DAW counts -> name
        self._parameters: dict[tuple[str, ...], str] = {}  # track, plugin, parameter -> name

    def moves(self, address: str, arguments: Sequence[Any]) -> list[Move] | None:
        """The moves that a message asks for; None if it is in none of the conventions.

        Raises ValueError if its arguments are not as the convention has them.
        """
        for pattern, read in _READERS:
            if match := pattern.fullmatch(address):
                try:
                    return list(read(self, match, arguments))
                except (TypeError, IndexError, AttributeError, ArithmeticError) as error:
                    raise ValueError(f"{address} has {list(arguments)!r}") from error
        return None

    def _adm(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        instance, what = self._instance(int(match["n"])), match["what"]
        if instance is None:
            return
        if what in ("azim", "aed"):
            yield instance, "azimuth", self._from_left(values[0])
        elif what in ("x", "xyz", "xy"):
            yield instance, "azimuth", self._sign * AZIMUTH.high * float(values[0])
        elif what == "w":
            yield instance, "width", float(values[0])
        elif what == "gain":
            yield instance, "gain", _db(float(values[0]))

    def _iem(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        number = int(match["n"] or 0) + 1 if match["plugin"] == "MultiEncoder" else 1
        if instance := self._instance(number):
            if match["what"] == "azimuth":
                yield instance, "azimuth", self._from_left(values[0])
            else:
                yield instance, "width", min(abs(float(values[0])), WIDTH.high)

    def _track_name(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        _keep(self._tracks, match["n"], values[0])
        yield from ()

    def _track_pan(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        if instance := self._track(match["n"]):
            yield instance, "azimuth", self._sign * AZIMUTH.from_norm(float(values[0]))

    def _fx_name(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        _keep(self._parameters, (match["n"], match["fx"], match["p"]), values[0])
        yield from ()

    def _fx_value(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        named = _by_title(self._parameters.get((match["n"], match["fx"], match["p"]), ""))
        instance = self._track(match["n"])
        if named and instance:
            yield instance, named.name, named.from_norm(float(values[0]))

    def _strip_name(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        _keep(self._tracks, str(int(values[0])), values[1])
        yield from ()

    def _strip_pan(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        if instance := self._track(str(int(values[0]))):
            yield instance, "azimuth", self._sign * AZIMUTH.from_norm(float(values[1]))

    def _strip_parameter(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        """Ardour counts the parameters of a plugin from 1, in the order of the table."""
        strip, _, number, value = values
        instance = self._track(str(int(strip)))
        if instance and 1 <= int(number) <= len(CONTROLS):
            row = CONTROLS[int(number) - 1]
            if not row.output:
                yield instance, row.name, float(value)

    def _live_name(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        _keep(self._tracks, str(int(values[0]) + 1), values[1])
        yield from ()

    def _live_pan(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        if instance := self._track(str(int(values[0]) + 1)):
            yield instance, "azimuth", self._sign * AZIMUTH.high * float(values[1])

    def _live_names(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        track, device, *names = values
        for number, name in enumerate(names):
            _keep(self._parameters, (str(track), str(device), str(number)), name)
        yield from ()

    def _live_value(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        """Live shows a plugin's parameters as shares of their range."""
        track, device, number, value = values
        named = _by_title(self._parameters.get((str(track), str(device), str(number)), ""))
        instance = self._track(str(int(track) + 1))
        if named and instance:
            yield instance, named.name, named.from_norm(float(value))

    def _from_left(self, azimuth_deg: Any) -> float:
        """Our azimuth of a direction counted to the left, wherever around the listener it is."""
        around = math.remainder(float(azimuth_deg), 360.0)
        front = math.copysign(180.0 - abs(around), around) if abs(around) > 90 else around
        return AZIMUTH.clamp(-self._sign * front)

    def _instance(self, number: int) -> str | None:
        instances = self._board.instances
        return instances[number - 1] if 1 <= number <= len(instances) else None

    def _track(self, number: str) -> str | None:
        """The instance on a track: by the name that the DAW sent, else by its number."""
        name = osc_name(self._tracks.get(number, ""))
        for instance in self._board.instances:
            if osc_name(instance).lower() == name.lower():
                return instance
        return self._instance(int(number))


def _keep(names: dict[Key, str], key: Key, name: Any) -> None:
    """Remember a name, so long as there are not too many: a flood of them takes no memory."""
    if key in names or len(names) < MAX_NAMES:
        names[key] = str(name)


def _db(gain: float) -> float:
    return GAIN.low if gain <= 0 else GAIN.clamp(20 * math.log10(gain))  # NaN is refused there


def _by_title(title: str) -> Control | None:
    """The control whose title a host shows, with or without its unit."""
    rows = (row for row in CONTROLS if not row.output and title.startswith(row.title))
    return max(rows, key=lambda row: len(row.title), default=None)


Reader = Callable[[OscDialects, re.Match[str], Sequence[Any]], Iterator[Move]]
_READERS: list[tuple[re.Pattern[str], Reader]] = [
    (re.compile(pattern), read)
    for pattern, read in (
        (r"/adm(/prog/\d+)?/obj/(?P<n>\d+)/(?P<what>\w+)", OscDialects._adm),
        (
            r"/(?P<plugin>StereoEncoder|MultiEncoder)/(?P<what>azimuth|width)(?P<n>\d*)",
            OscDialects._iem,
        ),
        (r"/track/(?P<n>\d+)/name", OscDialects._track_name),
        (r"/track/(?P<n>\d+)/pan", OscDialects._track_pan),
        (r"/track/(?P<n>\d+)/fx/(?P<fx>\d+)/fxparam/(?P<p>\d+)/name", OscDialects._fx_name),
        (r"/track/(?P<n>\d+)/fx/(?P<fx>\d+)/fxparam/(?P<p>\d+)/value", OscDialects._fx_value),
        (r"/strip/name", OscDialects._strip_name),
        (r"/strip/pan_stereo_position", OscDialects._strip_pan),
        (r"/strip/plugin/parameter", OscDialects._strip_parameter),
        (r"/live/track/get/name", OscDialects._live_name),
        (r"/live/track/get/panning", OscDialects._live_pan),
        (r"/live/device/get/parameters/name", OscDialects._live_names),
        (r"/live/device/get/parameter/value", OscDialects._live_value),
    )
]
