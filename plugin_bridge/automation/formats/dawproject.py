"""Lanes from a DAWproject, which Bitwig Studio, Studio One and Cubase write.

A file is a zip archive with ``project.xml`` in it: tracks with a channel and its devices, whose
parameters have ids, and an arrangement with points for those ids::

    <Track name="guitar"><Channel><Pan id="p" min="0" max="1"/><Devices>
      <Vst3Plugin deviceName="Stemsteer"><Parameters>
        <RealParameter id="a" name="Azimuth" min="0" max="1"/> ...
    <Arrangement><Lanes timeUnit="beats"><Points><Target parameter="a"/>
      <RealPoint time="4" value="0.25" interpolation="linear"/> ...

A target is an instance of Stemsteer on a track, or the track itself if it has none; the pan is the
azimuth of the first. What belongs to another device, or to one that is off, is no lane.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from plugin_bridge.automation.automation import Automation, Key, make_lane
from plugin_bridge.automation.formats.tempo import DEFAULT_BPM, TempoMap
from plugin_bridge.automation.lane import Point
from plugin_bridge.control.controls import REMOTE_CONTROLS
from plugin_bridge.control.names import name_key, usable_name

MAX_XML_BYTES = 64_000_000
_OUR_DEVICES = ("stemsteer", "stemsteer split")
_MOST_DEPTH = 64
_RAMP_PIECES = 64  # steps of tempo that stand for a ramp
_SHAPES = {"hold": "step", "linear": "linear"}
_BROKEN = (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, zlib.error, EOFError)


@dataclass(frozen=True)
class _Parameter:
    """A parameter that a lane may move, with the range of its values in the file."""

    key: Key
    low: float
    high: float
    is_pan: bool = False

    def value(self, raw: float) -> float:
        """Return the value of the control."""
        share = (raw - self.low) / (self.high - self.low)
        return REMOTE_CONTROLS[self.key[1]].from_norm(min(max(share, 0.0), 1.0))


def read(content: bytes) -> Automation:
    """Read the pans and Stemsteer's parameters of a project.

    Raises ValueError if it is no project, or has no such lane, or has one that cannot be read.
    """
    project = _project(content)
    structure, arrangement = project.find("Structure"), project.find("Arrangement")
    if structure is None or arrangement is None:
        raise ValueError("a DAWproject without tracks or arrangement")
    parameters = _parameters(structure)
    clocks: dict[str, Callable[[float], float]] = {
        "beats": _tempo(project, arrangement).seconds,
        "seconds": float,
    }
    lanes, from_pan = {}, set[Key]()
    for points, unit, in_clip in _points(arrangement):
        target = points.find("Target")
        parameter = parameters.get(target.get("parameter", "") if target is not None else "")
        if parameter is None or len(points) < 2:
            continue
        if in_clip:
            raise ValueError(
                f"{parameter.key[1]} of {parameter.key[0]} is automated inside a clip, which is "
                "not read here; move the automation to the track and save again"
            )
        if unit not in clocks:
            raise ValueError(f"time in {unit!r}, expected beats or seconds")
        if parameter.is_pan and parameter.key in lanes and parameter.key not in from_pan:
            continue  # the plugin's own azimuth comes before the pan
        (from_pan.add if parameter.is_pan else from_pan.discard)(parameter.key)
        lanes[parameter.key] = make_lane(parameter.key[1], _curve(points, parameter, clocks[unit]))
    if not lanes:
        raise ValueError("no track has automation of its pan or of a parameter of Stemsteer")
    return Automation(lanes)


def _project(content: bytes) -> Element:
    """Return the root of project.xml; entities and external references are refused."""
    try:
        # in memory: a wrong offset is then a ValueError, and not one of the disk
        with (
            zipfile.ZipFile(io.BytesIO(content)) as archive,
            archive.open("project.xml") as file,
        ):
            text = file.read(MAX_XML_BYTES + 1)
        if len(text) > MAX_XML_BYTES:
            raise ValueError(f"its project.xml is longer than {MAX_XML_BYTES // 1_000_000} MB")
        root: Element = fromstring(text, forbid_dtd=True)
    except _BROKEN as error:
        raise ValueError(f"not a DAWproject: {error}") from error
    except (ParseError, DefusedXmlException) as error:
        raise ValueError(f"its project.xml cannot be read: {error!r}") from error
    if root.tag != "Project":
        raise ValueError(f"its project.xml is a {root.tag!r}, expected a Project")
    return root


def _parameters(structure: Element) -> dict[str, _Parameter]:
    """Return the parameters that lanes move, by id."""
    found: dict[str, _Parameter] = {}
    for target, pan, device in _targets(structure):
        if pan is not None:
            _add(found, pan, (target, "azimuth"))
        for parameter in device.findall("Parameters/*") if device is not None else ():
            title = parameter.get("name", "").partition(" (")[0].strip().casefold()
            for control in REMOTE_CONTROLS.values():
                if title == control.title.casefold():
                    _add(found, parameter, (target, control.name))
    return found


def _targets(structure: Element) -> Iterator[tuple[str, Element | None, Element | None]]:
    """Yield the name of each target, the pan that moves it and its device.

    A track is a target for each Stemsteer on it, of which the first has its pan, or for its pan.
    """
    taken: set[str] = set()
    for number, track in enumerate(structure.iter("Track"), 1):
        channel = track.find("Channel")
        if channel is None:
            continue
        devices = [d for d in channel.findall("Devices/*") if _is_ours(d)]
        for index, device in enumerate(devices or [None]):
            target = usable_name(track.get("name", ""), taken, f"track_{number}")
            taken.add(name_key(target))
            yield target, channel.find("Pan") if index == 0 else None, device


def _is_ours(device: Element) -> bool:
    """Return whether a device is Stemsteer, and on; the name it has on this track says nothing."""
    enabled = device.find("Enabled")
    is_on = enabled is None or enabled.get("value") != "false"
    is_on = is_on and device.get("loaded") != "false"
    return is_on and device.get("deviceName", "").casefold() in _OUR_DEVICES


def _add(found: dict[str, _Parameter], element: Element, key: Key) -> None:
    is_switch = element.tag == "BoolParameter"
    low = 0.0 if is_switch else float(element.get("min", 0))
    high = 1.0 if is_switch else float(element.get("max", 1))
    if math.isfinite(low) and math.isfinite(high) and high > low and element.get("id"):
        found[element.get("id", "")] = _Parameter(key, low, high, element.tag == "Pan")


def _points(arrangement: Element) -> Iterator[tuple[Element, str, bool]]:
    """Yield rows of points with the unit of their time, and whether they are inside a clip."""
    waiting = [(arrangement, "beats", False, 0)]
    while waiting:
        element, unit, in_clip, depth = waiting.pop()
        unit = element.get("timeUnit", unit)
        if depth > _MOST_DEPTH:
            raise ValueError(f"lanes in lanes, over {_MOST_DEPTH} deep")
        if element.tag == "Points":
            yield element, unit, in_clip
            continue
        in_clip = in_clip or element.tag == "Clip"
        waiting += [(child, unit, in_clip, depth + 1) for child in reversed(list(element))]


def _curve(
    points: Element, parameter: _Parameter, seconds: Callable[[float], float]
) -> list[Point]:
    """Return the points of a lane."""
    curve = []
    for row in points:
        if row.tag == "Target":
            continue
        word = row.get("value", "")
        raw = {"true": 1.0, "false": 0.0}.get(word) if row.tag == "BoolPoint" else float(word)
        if raw is None or not math.isfinite(raw):
            raise ValueError(f"a point of {parameter.key[1]} has the value {word!r}")
        shape = _SHAPES.get(row.get("interpolation", "hold"), "")
        curve.append(Point(seconds(float(row.get("time", "nan"))), parameter.value(raw), shape))
    return curve


def _tempo(project: Element, arrangement: Element) -> TempoMap:
    """Return the tempo map: that of the transport, or of the lane of tempo; ramps in steps."""
    transport = project.find("Transport/Tempo")
    start = float(transport.get("value", DEFAULT_BPM)) if transport is not None else DEFAULT_BPM
    rows = arrangement.findall("TempoAutomation/RealPoint")
    changes: list[tuple[float, float]] = []
    for row, following in zip_longest(rows, rows[1:]):
        beat, bpm = float(row.get("time", "nan")), float(row.get("value", "nan"))
        if following is None or row.get("interpolation") != "linear":
            changes.append((beat, bpm))
            continue
        length = (float(following.get("time", "nan")) - beat) / _RAMP_PIECES
        rise = (float(following.get("value", "nan")) - bpm) / _RAMP_PIECES
        steps = range(_RAMP_PIECES if length > 0 else 0)
        changes += [(beat + k * length, bpm + (k + 0.5) * rise) for k in steps]
    return TempoMap(changes or [(0.0, start)])
