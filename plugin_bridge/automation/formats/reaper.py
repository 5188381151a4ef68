"""Lanes from a REAPER project: the pans of its tracks, and the parameters of Stemsteer there.

A project is a tree of chunks, ``<NAME ...`` to ``>``, one line an entry. Envelopes used here::

    <PANENV2             the track's pan (PANENV: before its effects); 1 is left, -1 right
    <PARMENV 3:17 0 1 0.5 "Azimuth / Stemsteer"    of the plugin above it; lowest, highest value
      ACT 1 -1           0: switched off
      PT 2.5 0.25 0      time in seconds, value, shape
    >

A target is the name of its track.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from plugin_bridge.automation.automation import Automation, Key, make_lane
from plugin_bridge.automation.lane import Point
from plugin_bridge.control.controls import REMOTE_CONTROLS, Control

PLUGIN = "stemsteer"
PIECES = 16  # straight pieces that stand for a segment of REAPER's other shapes
_STRAIGHT = {0: "linear", 1: "step", 2: "smooth"}
_PLUGINS = ("VST", "LV2", "CLAP", "AU")


@dataclass
class Chunk:
    """A chunk of a project: its words, the entries in it, and the chunks in it, in order."""

    words: list[str]
    entries: list[list[str]] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.words[0] if self.words else ""

    def entry(self, name: str) -> list[str] | None:
        """Return the words behind `name` in the first entry of that name."""
        return next((words[1:] for words in self.entries if words[:1] == [name]), None)


def read(path: Path, sample_rate: float) -> Automation:
    """Read the pans and Stemsteer's parameters of a project.

    Raises ValueError if it is no project, or has no such envelope that is switched on.
    """
    project = parse(path.read_text(encoding="utf-8", errors="replace"))
    lanes: dict[Key, list[Point]] = {}
    for track in (chunk for chunk in project.chunks if chunk.name == "TRACK"):
        target = " ".join(track.entry("NAME") or ["track"]) or "track"
        for name, points in _envelopes(track):
            lanes[target, name] = points
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
            open_chunks[-1].chunks.append(chunk)
            open_chunks.append(chunk)
        elif line == ">":
            open_chunks.pop()
            if not open_chunks:
                raise ValueError("not a REAPER project: more chunks end than begin")
        elif line:
            open_chunks[-1].entries.append(_words(line))
    if len(open_chunks) > 1 or not root.chunks or root.chunks[0].name != "REAPER_PROJECT":
        raise ValueError("not a whole REAPER project")
    return root.chunks[0]


def _words(line: str) -> list[str]:
    """Return the words of a line; what is in quotes (", ' or `) is one."""
    return [next(filter(None, match), "") for match in _WORD.findall(line)]


_WORD = re.compile(r'"([^"]*)"|\'([^\']*)\'|`([^`]*)`|(\S+)')


def _envelopes(track: Chunk) -> Iterator[tuple[str, list[Point]]]:
    """Names of controls and their points; a parameter of the plugin comes after the pan."""
    for chunk in track.chunks:
        if chunk.name in ("PANENV", "PANENV2") and _active(chunk):
            yield "azimuth", _points(chunk, lambda pan: -45.0 * pan)
    for chain in (chunk for chunk in track.chunks if chunk.name == "FXCHAIN"):
        ours = False
        for chunk in chain.chunks:
            if chunk.name in _PLUGINS:
                ours = PLUGIN in " ".join(chunk.words).lower()
            elif chunk.name == "PARMENV" and ours and _active(chunk):
                yield from _parameter(chunk)


def _active(envelope: Chunk) -> bool:
    return (envelope.entry("ACT") or ["0"])[0] == "1" and envelope.entry("PT") is not None


def _parameter(envelope: Chunk) -> Iterator[tuple[str, list[Point]]]:
    """Yield the lane of a parameter, which REAPER keeps as a share of its range."""
    number, low, high = envelope.words[1], *map(float, envelope.words[2:4])
    title = envelope.words[5].split(" / ")[0] if len(envelope.words) > 5 else ""
    control = _control(title, number)
    if control is not None and high > low:
        share = 1 / (high - low)
        yield control.name, _points(envelope, lambda v: control.from_norm((v - low) * share))


def _control(title: str, number: str) -> Control | None:
    """Find a control by the title that the host shows, else by its symbol, else by its number."""
    index, _, symbol = number.partition(":")
    for control in REMOTE_CONTROLS.values():
        if title:
            found = title.startswith(control.title)
        else:
            found = symbol == control.name or (not symbol and index == str(control.id))
        if found:
            return control
    return None


def _points(envelope: Chunk, convert: Callable[[float], float]) -> list[Point]:
    """Return the points of an envelope; what is no shape of a lane becomes straight pieces."""
    rows = [[float(word) for word in words[1:]] for words in envelope.entries if words[0] == "PT"]
    points = []
    for row, next_row in zip(rows, [*rows[1:], None], strict=True):
        time_s, value, shape = row[0], row[1], int(row[2]) if len(row) > 2 else 0
        if shape in _STRAIGHT or next_row is None:
            points.append(Point(time_s, convert(value), _STRAIGHT.get(shape, "linear")))
            continue
        tension = row[6] if len(row) > 6 else 0.0
        for piece in range(PIECES):
            u = piece / PIECES
            way = _way(shape, tension, u)
            value_here = value + (next_row[1] - value) * way
            points.append(Point(time_s + (next_row[0] - time_s) * u, convert(value_here)))
    return points


def _way(shape: int, tension: float, u: float) -> float:
    """Return how far REAPER's other shapes have come at a share u of the time.

    3 starts fast, 1 − (1 − u)³; 4 ends fast, u³; 5 is a Bézier curve, here between a straight line
    and one of these by its tension: near it, not equal to it.
    """
    fast_start, fast_end = 1 - (1 - u) ** 3, u**3
    if shape == 3:
        return fast_start
    if shape == 4:
        return fast_end
    curve = fast_end if tension > 0 else fast_start
    return u + abs(tension) * (curve - u)
