"""Messages in other conventions, as moves of our controls.

=============  ==============================================  ===================================
ADM-OSC        /adm/obj/N/azim  aed  x  xy  xyz  w  gain ...   `adm`
IEM            /StereoEncoder/azimuth  width                   degrees, positive is left
REAPER         /track/N/pan  /track/N/fx/M/fxparam/P/value     0…1, with the names it sends
Ardour         /strip/pan_stereo_position  plugin/parameter    0…1; parameters as they are
AbletonOSC     /live/track/get/panning  device parameters      -1…1; parameters as they are
=============  ==============================================  ===================================

Tracks and strips are instances by their number, unless the DAW has sent a name that is one.
A parameter of a plugin is ours if it is called exactly like a control, and its plugin like ours
where the DAW has told what that is called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from plugin_bridge.control.controls import CONTROLS, INPUTS, Control, control
from plugin_bridge.control.surface import ControlSurface, Move
from plugin_bridge.osc.adm import AdmOsc, azimuth_from_left, called_like
from plugin_bridge.osc.namespace import Reply

Key = TypeVar("Key")
MAX_NAMES = 4096  # of tracks, of plugins, and of parameters
MAX_LENGTH = 128  # of a name
AZIMUTH, WIDTH = control("azimuth"), control("width")
OUR_PLUGIN = "stemsteer"
TITLES = {
    title: row for row in INPUTS for title in {row.title, f"{row.title} ({row.unit})"}
}  # as hosts show them, with or without the unit
EVERYBODYS = ("bypass",)
"""Controls that hosts add to every effect: ours only where the plugin is known to be ours."""


class OscDialects:
    """Reads messages of other programs; remembers the names of tracks and parameters they send.

    Parameters
    ----------
    mirrored : take left for right, for a program that counts azimuths the other way.
    """

    def __init__(self, surface: ControlSurface, *, mirrored: bool = False) -> None:
        self._surface, self._sign = surface, -1.0 if mirrored else 1.0
        self._adm = AdmOsc(surface, mirrored=mirrored)
        self._tracks: dict[str, str] = {}  # number as the DAW counts -> name
        self._plugins: dict[tuple[str, str], str] = {}  # track, plugin -> name
        self._parameters: dict[tuple[str, str, str], str] = {}  # track, plugin, parameter -> name

    def moves(self, address: str, arguments: Sequence[Any]) -> list[Move] | None:
        """Return the moves that a message asks for; None if it is in none of the conventions.

        Raises ValueError if its arguments are not as the convention has them.
        """
        try:
            for pattern, read in _READERS:
                if match := pattern.fullmatch(address):
                    return list(read(self, match, arguments))
            return self._adm.moves(address, arguments)
        except (TypeError, IndexError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"{address} has {list(arguments)!r}") from error

    def replies(self, address: str) -> list[Reply] | None:
        """Return the answers to a message without arguments; None if it asks for nothing here."""
        return self._adm.replies(address)

    def _iem(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        number = int(match["n"] or 0) + 1 if match["plugin"] == "MultiEncoder" else 1
        if instance := self._instance(number):
            if match["what"] == "azimuth":
                yield instance, "azimuth", azimuth_from_left(self._sign * float(values[0]))
            else:
                yield instance, "width", min(abs(float(values[0])), WIDTH.high)

    def _track_name(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        _keep(self._tracks, match["n"], values[0])
        yield from ()

    def _track_pan(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        if instance := self._track(match["n"]):
            yield instance, "azimuth", self._sign * AZIMUTH.from_norm(float(values[0]))

    def _fx_name(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        _keep(self._plugins, (match["n"], match["fx"]), values[0])
        yield from ()

    def _fx_parameter_name(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        _keep(self._parameters, (match["n"], match["fx"], match["p"]), values[0])
        yield from ()

    def _fx_value(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        named = self._named(match["n"], match["fx"], match["p"])
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

    def _live_device_name(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        track, device, name = values
        _keep(self._plugins, (str(track), str(device)), name)
        yield from ()

    def _live_names(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        track, device, *names = values
        for number, name in enumerate(names):
            _keep(self._parameters, (str(track), str(device), str(number)), name)
        yield from ()

    def _live_value(self, match: re.Match[str], values: Sequence[Any]) -> Iterator[Move]:
        """Live shows a plugin's parameters as shares of their range."""
        track, device, number, value = values
        named = self._named(str(track), str(device), str(number))
        instance = self._track(str(int(track) + 1))
        if named and instance:
            yield instance, named.name, named.from_norm(float(value))

    def _named(self, track: str, plugin: str, parameter: str) -> Control | None:
        """Return the control that a parameter of a plugin is, if the plugin is ours.

        A DAW that has not told the names of plugins is taken at the parameter's word.
        """
        named = TITLES.get(self._parameters.get((track, plugin, parameter), ""))
        owner = self._plugins.get((track, plugin))
        if owner is None:
            return named if named and named.name not in EVERYBODYS else None
        return named if OUR_PLUGIN in owner.lower() else None

    def _instance(self, number: int) -> str | None:
        return called_like(None, number, self._surface.instances)

    def _track(self, number: str) -> str | None:
        return called_like(self._tracks.get(number), int(number), self._surface.instances)


def _keep(names: dict[Key, str], key: Key, name: Any) -> None:
    """Remember a name, so long as there are not too many: a flood of them takes no memory."""
    if key in names or len(names) < MAX_NAMES:
        names[key] = str(name)[:MAX_LENGTH]


Reader = Callable[[OscDialects, re.Match[str], Sequence[Any]], Iterator[Move]]
_TRACK, _FX = r"/track/(?P<n>\d{1,6})", r"/track/(?P<n>\d{1,6})/fx/(?P<fx>\d{1,6})"
_READERS: list[tuple[re.Pattern[str], Reader]] = [
    (re.compile(pattern), read)
    for pattern, read in (
        (
            r"/(?P<plugin>StereoEncoder|MultiEncoder)/(?P<what>azimuth|width)(?P<n>\d{0,6})",
            OscDialects._iem,
        ),
        (rf"{_TRACK}/name", OscDialects._track_name),
        (rf"{_TRACK}/pan", OscDialects._track_pan),
        (rf"{_FX}/name", OscDialects._fx_name),
        (rf"{_FX}/fxparam/(?P<p>\d{{1,6}})/name", OscDialects._fx_parameter_name),
        (rf"{_FX}/fxparam/(?P<p>\d{{1,6}})/value", OscDialects._fx_value),
        (r"/strip/name", OscDialects._strip_name),
        (r"/strip/pan_stereo_position", OscDialects._strip_pan),
        (r"/strip/plugin/parameter", OscDialects._strip_parameter),
        (r"/live/track/get/name", OscDialects._live_name),
        (r"/live/track/get/panning", OscDialects._live_pan),
        (r"/live/device/get/name", OscDialects._live_device_name),
        (r"/live/device/get/parameters/name", OscDialects._live_names),
        (r"/live/device/get/parameter/value", OscDialects._live_value),
    )
]
