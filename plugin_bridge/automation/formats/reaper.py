"""Lanes from a REAPER project: the pans of its tracks, and the parameters of Stemsteer there.

A project is a tree of chunks, ``<NAME ...`` to ``>``, one line an entry. Envelopes used here::

    <PANENV2             the track's pan (PANENV: before its effects); 1 is left, -1 right
    BYPASS 0 0 0         of the effect that follows: bypassed, offline
    <VST "VST3: Stemsteer (Stemsteer)" Stemsteer.vst3 0 "its name on this track" ...
    <PARMENV 3:17 0 1 0.5 "Azimuth / Stemsteer"    of the effect above it; lowest, highest value
      ACT 1 -1           0: switched off
      PT 2.5 0.25 0      time in seconds, value, shape
    >

A target is an instance of Stemsteer on a track, or the track itself if it has none, and is called
by the name of the track. What belongs to another effect, or to one that is bypassed, is no lane.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from plugin_bridge.automation.automation import Automation, Key, make_lane
from plugin_bridge.automation.formats.reaper_shapes import STRAIGHT, pieces
from plugin_bridge.automation.lane import Point
from plugin_bridge.control.controls import REMOTE_CONTROLS, Control
from plugin_bridge.control.names import name_key, usable_name

_OUR_NAME = re.compile(r"(?:\w+: )?stemsteer(?: split)?(?: \(.*\))?", re.IGNORECASE)
_OUR_FILES = ("stemsteer", "stemsteer split", "stemsteersplit", "stemsteer-split")
_FILE_ENDINGS = (".vst3", ".vst", ".dll", ".so", ".dylib", ".clap", ".lv2", ".component")
_PLUGINS = ("VST", "LV2", "CLAP", "AU")
_NOT_EFFECTS = ("PARMENV", "PROGRAMENV", "COMMENT", "TAKEFX")
_MOST_DEPTH = 64


@dataclass
class Chunk:
    """A chunk of a project: its words, and the entries and chunks in it, in order."""

    words: list[str]
    content: list[Chunk | list[str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def chunks(self) -> list[Chunk]:
        """Return the chunks in it."""
        return [row for row in self.content if isinstance(row, Chunk)]

    @property
    def entries(self) -> list[list[str]]:
        """Return the words of the entries in it."""
        return [row for row in self.content if not isinstance(row, Chunk)]

    def entry(self, name: str) -> list[str] | None:
        """Return the words behind `name` in the first entry of that name."""
        return next((words[1:] for words in self.entries if words[:1] == [name]), None)


def read(content: bytes) -> Automation:
    """Read the pans and Stemsteer's parameters of a project.

    Raises ValueError if it is no project, has no such envelope that is switched on, or has one that
    cannot be read.
    """
    project = parse(content.decode("utf-8-sig", errors="replace"))
    lanes: dict[Key, list[Point]] = {}
    taken: set[str] = set()
    tracks = [chunk for chunk in project.chunks if chunk.name == "TRACK"]
    for number, track in enumerate(tracks, 1):
        name = " ".join(track.entry("NAME") or [])
        for curves in _targets(track):
            target = usable_name(name, taken, f"track_{number}")
            taken.add(name_key(target))
            lanes.update({(target, control): points for control, points in curves.items()})
    if not lanes:
        raise ValueError(
            "no track has an active envelope of its pan or of a parameter of Stemsteer"
        )
    return Automation({key: make_lane(key[1], points) for key, points in lanes.items()})


def parse(text: str) -> Chunk:
    """Read the tree of a project. Raises ValueError if its chunks do not close."""
    root = Chunk([])
    open_chunks = [root]
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("<"):
            chunk = Chunk(_words(line[1:]))
            open_chunks[-1].content.append(chunk)
            open_chunks.append(chunk)
            if len(open_chunks) > _MOST_DEPTH:
                raise ValueError(f"not a REAPER project: chunks in chunks, over {_MOST_DEPTH} deep")
        elif line == ">":
            open_chunks.pop()
            if not open_chunks:
                raise ValueError("not a REAPER project: more chunks end than begin")
        elif line:
            open_chunks[-1].content.append(_words(line))
    if len(open_chunks) > 1 or not root.chunks or root.chunks[0].name != "REAPER_PROJECT":
        raise ValueError("not a whole REAPER project")
    return root.chunks[0]


def _words(line: str) -> list[str]:
    """Return the words of a line; what is in quotes (", ' or `) is one."""
    return [next(filter(None, match), "") for match in _WORD.findall(line)]


_WORD = re.compile(r'"([^"]*)"|\'([^\']*)\'|`([^`]*)`|(\S+)')


def _targets(track: Chunk) -> Iterator[dict[str, list[Point]]]:
    """Yield the curves of every target of a track by control; the pan is the azimuth of the first.

    An envelope of the plugin's own azimuth comes before the pan.
    """
    pan: dict[str, list[Point]] = {}
    for chunk in track.chunks:
        if chunk.name in ("PANENV", "PANENV2") and _is_active(chunk):
            pan = {"azimuth": _points(chunk, lambda pan: -45.0 * pan)}
    instances: list[dict[str, list[Point]]] = []
    if track.entry("FX") != ["0"]:  # all effects of the track are switched off
        for chunk in track.chunks:
            if chunk.name == "FXCHAIN":
                instances += _instances(chunk)
    first, *others = instances or [{}]
    yield from (curves for curves in ({**pan, **first}, *others) if curves)


def _instances(chain: Chunk) -> Iterator[dict[str, list[Point]]]:
    """Yield the curves of every instance of Stemsteer that is on; containers are chains, too."""
    is_on = True
    current: dict[str, list[Point]] | None = None
    for row in chain.content:
        if not isinstance(row, Chunk):
            if row[0] == "BYPASS":  # it stands in front of its effect
                is_on = "1" not in row[1:3]
        elif row.name == "PARMENV":
            if current is not None and _is_active(row):
                current.update(_parameter(row))
        elif row.name not in _NOT_EFFECTS:
            if current is not None:
                yield current
            current = {} if is_on and _is_ours(row) else None
            if row.name == "CONTAINER" and is_on:
                yield from _instances(row)
            is_on = True
    if current is not None:
        yield current


def _is_ours(effect: Chunk) -> bool:
    """Return whether an effect is Stemsteer: by its file, else by the name of the plugin.

    The name that it has on this track, which the user gives, says nothing.
    """
    if effect.name not in _PLUGINS:
        return False
    name, file = (*effect.words[1:3], "", "")[:2]
    plain = PurePosixPath(file.replace("\\", "/").lower())
    if plain.suffix in _FILE_ENDINGS:
        return plain.stem in _OUR_FILES
    return _OUR_NAME.fullmatch(name) is not None


def _is_active(envelope: Chunk) -> bool:
    is_on = (envelope.entry("ACT") or ["0"])[0] == "1"
    if is_on and envelope.entry("POOLEDENVINST") is not None:
        words = " ".join(envelope.words[:1] + envelope.words[5:6])
        raise ValueError(
            f"the envelope {words} has automation items, which are not read here; in REAPER, glue "
            "them into the envelope: Envelope, Automation items, Convert to underlying envelope"
        )
    return is_on and envelope.entry("PT") is not None


def _parameter(envelope: Chunk) -> Iterator[tuple[str, list[Point]]]:
    """Yield the lane of a parameter, which REAPER keeps as a share of its range."""
    number, low, high = envelope.words[1], *map(float, envelope.words[2:4])
    title = envelope.words[5].split(" / ")[0] if len(envelope.words) > 5 else ""
    control = _control(title, number)
    if control is not None and high > low:
        share = 1 / (high - low)
        yield control.name, _points(envelope, lambda v: control.from_norm((v - low) * share))


def _control(title: str, number: str) -> Control | None:
    """Find a control by the title that the host shows, else by its symbol.

    A host may count parameters of its own, so that a number alone tells nothing; None is what the
    plugin has and no lane moves. Raises ValueError for a parameter without title and symbol.
    """
    symbol = number.partition(":")[2]
    plain = title.partition(" (")[0].strip().casefold()  # without its unit
    for control in REMOTE_CONTROLS.values():
        if plain == control.title.casefold() if plain else symbol == control.name:
            return control
    if not plain and not symbol.isidentifier():
        raise ValueError(
            f"the envelope PARMENV {number} of Stemsteer does not tell the name of its parameter; "
            "save the project with a newer REAPER, or write a CSV file"
        )
    return None


def _points(envelope: Chunk, convert: Callable[[float], float]) -> list[Point]:
    """Return the points of an envelope; what is no shape of a lane becomes straight pieces."""
    rows = [[float(word) for word in words[1:]] for words in envelope.entries if words[0] == "PT"]
    points = []
    for row, next_row in zip(rows, [*rows[1:], None], strict=True):
        time_s, value, shape = row[0], row[1], int(row[2]) if len(row) > 2 else 0
        if shape in STRAIGHT or next_row is None:
            points.append(Point(time_s, convert(value), STRAIGHT.get(shape, "linear")))
            continue
        tension = row[6] if len(row) > 6 else 0.0
        for u, way in pieces(shape, tension):
            between = value + (next_row[1] - value) * way
            points.append(Point(time_s + (next_row[0] - time_s) * u, convert(between)))
    return points
