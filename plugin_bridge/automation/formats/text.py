"""Automation files: CSV in two layouts, and JSON; MIDI and REAPER by their own modules.

CSV, one point a line, or one line a time with a column for each control; a blank cell is no
point, and `#` begins a comment::

    seconds,target,control,value,shape          seconds,guitar.azimuth,guitar.width
    0,guitar,azimuth,-30,linear                 0,-30,20
    2.5,guitar,azimuth,10,step                  2.5,10,

The first column is `seconds`, `beats` or `samples` and says what is counted. Beats are counted
at the tempi on lines of the control `tempo`, or at 120 a minute. JSON::

    {"unit": "beats", "tempo": [[0, 96]],
     "lanes": {"guitar": {"azimuth": [[0, -30], [4, 10, "step"]]}}}
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from plugin_bridge.automation.automation import ALL, Automation, Key, make_lane
from plugin_bridge.automation.formats.tempo import DEFAULT_BPM, TempoMap
from plugin_bridge.automation.lane import Lane, Point
from plugin_bridge.control.controls import BY_NAME, own_name
from plugin_bridge.small_files import read_small_file
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError
from realtime.json_reader import read_json

UNITS = ("seconds", "beats", "samples")
TITLES = ("seconds", "target", "control", "value", "shape")
"""First line of a file that is written, one point a line."""
TEMPO = "tempo"
MAX_BYTES = 64_000_000
_EXPECTED = {
    ".csv": "seconds,target,control,value,shape, or a column for each control, on every line",
    ".json": '{"lanes": {"guitar": {"azimuth": [[0, -30], [4, 10, "step"]]}}}',
    ".mid": "a standard MIDI file with controllers",
    ".dawproject": "points with time and value for the parameters of tracks, as in DAWproject 1.0",
    ".rpp": "entries PT <seconds> <value> <shape>, in <PARMENV <number> <lowest> <highest>",
}
LAYOUT_ERRORS = (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, csv.Error)
"""Raised by the readers for a file that is laid out in another way."""


@dataclass
class LaneBuilder:
    """Lanes being read: points in the unit of their file, until the tempo is known."""

    unit: str
    points: dict[Key, list[Point]] = field(default_factory=dict)
    tempo: list[tuple[float, float]] = field(default_factory=list)

    def add(self, target: str, name: str, point: Point) -> None:
        """Append a point to the lane of a control; without a target, it is for all of them."""
        self.points.setdefault((target or ALL, name), []).append(point)

    def finish(self, sample_rate: float) -> Automation:
        """Return the lanes in seconds. Raises ValueError for a point that a lane does not take."""
        if not self.points:
            raise ValueError("there is no point in it")
        seconds = self._clock(sample_rate)
        lanes = {}
        for (target, name), points in self.points.items():
            timed = [Point(seconds(p.time_s), p.value, p.shape) for p in points]
            try:
                lanes[target, name] = make_lane(name, timed)
            except ValueError as error:
                raise ValueError(f"{name} of {target}: {error}") from None
        return Automation(lanes)

    def _clock(self, sample_rate: float) -> Callable[[float], float]:
        """Return the function from the unit of the file to seconds."""
        if self.unit == "beats":
            return TempoMap(self.tempo or [(0.0, DEFAULT_BPM)]).seconds
        if self.tempo:
            raise ValueError("there is a tempo in it, but times are not in beats")
        return (lambda time: time / sample_rate) if self.unit == "samples" else float


def read_automation(path: Path, sample_rate: float) -> Automation:
    """Read a file of lanes by its ending: .csv, .json, .mid, .rpp or .dawproject.

    Parameters
    ----------
    sample_rate : of the mixture, for times in samples; Hz.

    Raises
    ------
    StemsteerError if the file is not there or is wrong; it says where.
    """
    from plugin_bridge.automation.formats import dawproject, midi, reaper

    of_midi = partial(midi.read, beside=path.with_suffix(path.suffix + ".json"))
    readers: dict[str, Callable[[bytes], Automation]] = {
        ".csv": partial(_read_csv, sample_rate=sample_rate),
        ".json": partial(_read_json, sample_rate=sample_rate),
        ".mid": of_midi,
        ".midi": of_midi,
        ".rpp": reaper.read,
        ".dawproject": dawproject.read,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise StemsteerError(f"{path}: expected a file ending in {', '.join(readers)}")
    try:
        return reader(read_small_file(path, max_bytes=MAX_BYTES))
    except FileNotFoundError:
        raise StemsteerError(f"{path}: there is no such file") from None
    except ValueError as error:
        raise StemsteerError(f"{path}: {error}") from error
    except LAYOUT_ERRORS as error:
        form = _EXPECTED.get(path.suffix.lower(), _EXPECTED[".mid"])
        raise StemsteerError(
            f"{path}: not laid out as automation: {error!r}; expected {form}"
        ) from error


def write_automation(path: Path, lanes: Mapping[Key, Lane]) -> None:
    """Write lanes as CSV in seconds, in order of time; reading it gives the same lanes."""
    rows = [row for key, lane in lanes.items() for row in point_rows(key, lane.points)]
    rows.sort(key=lambda row: (float(row[0]), row[1:]))
    with atomic_write(path) as hidden:
        hidden.write_text(csv_text([TITLES, *rows]), encoding="utf-8", newline="")


def point_rows(key: Key, points: Iterable[Point]) -> Iterator[list[str]]:
    """Yield the cells of points of a lane, below `TITLES`; reading them gives the same numbers."""
    target, name = key
    for point in points:
        yield [repr(point.time_s), target, name, repr(point.value), point.shape]


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as lines of CSV."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _read_csv(content: bytes, sample_rate: float) -> Automation:
    with io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="") as file:
        rows = _rows(file)
        number, titles = next(rows, (1, []))
        unit = titles[0].lower() if titles else ""
        if unit not in UNITS:
            raise ValueError(
                f"line {number}: the first column is {unit!r}, not seconds, beats or samples"
            )
        builder = LaneBuilder(unit)
        one_point_a_line = "control" in titles
        if one_point_a_line and "value" not in titles:
            raise ValueError(
                f"line {number}: no column is called value; expected {_EXPECTED['.csv']}"
            )
        titles = [_own_title(title) for title in titles]
        _check_titles(number, titles)
        for number, row in rows:
            try:
                if any(row[len(titles) :]):
                    raise ValueError(f"{len(row)} cells, expected the {len(titles)} of the titles")
                (_read_point if one_point_a_line else _read_columns)(builder, titles, row)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
        return builder.finish(sample_rate)


def _own_title(title: str) -> str:
    """Return the title of a column with the control's own name in it."""
    target, dot, name = title.rpartition(".")
    return f"{target}{dot}{own_name(name)}"


def _check_titles(number: int, titles: list[str]) -> None:
    if twice := [title for title in titles if title and titles.count(title) > 1]:
        raise ValueError(f"line {number}: two columns are called {twice[0]}; leave one out")


def _rows(lines: Iterable[str]) -> Any:
    """Yield number and cells of each line that is neither empty nor a comment."""
    reader = csv.reader(lines, skipinitialspace=True)
    for row in reader:
        if row and any(row) and not row[0].startswith("#"):
            yield reader.line_num, [cell.strip() for cell in row]


def _read_point(builder: LaneBuilder, titles: list[str], row: list[str]) -> None:
    """Read a line that is one point: time, target, control, value, shape."""
    cells = dict(zip(titles, row, strict=False))
    time, name = _number(row[0], builder.unit), own_name(cells.get("control", ""))
    if name == TEMPO:
        builder.tempo.append((time, _number(cells.get("value", ""), TEMPO)))
        return
    shape = cells.get("shape", "") or "linear"
    builder.add(
        cells.get("target", ""), name, Point(time, _value(name, cells.get("value", "")), shape)
    )


def _read_columns(builder: LaneBuilder, titles: list[str], row: list[str]) -> None:
    """Read a line that is a time and a value for each ``target.control`` of the titles."""
    time = _number(row[0], builder.unit)
    for title, cell in zip(titles[1:], row[1:], strict=False):
        if not cell:
            continue
        target, _, name = title.rpartition(".")
        if name == TEMPO:
            builder.tempo.append((time, _number(cell, TEMPO)))
        else:
            builder.add(target, name, Point(time, _value(name, cell)))


def _read_json(text: bytes, sample_rate: float) -> Automation:
    content = read_json(text, max_bytes=MAX_BYTES)
    if not isinstance(content, dict):
        what = "a list of targets is for --targets, lanes" if isinstance(content, list) else "lanes"
        raise ValueError(f"{what} are an object, as {_EXPECTED['.json']}")
    builder = LaneBuilder(content.get("unit", "seconds"))
    if builder.unit not in UNITS:
        raise ValueError(f"unit is {builder.unit!r}, expected one of {', '.join(UNITS)}")
    builder.tempo = [(float(beat), float(bpm)) for beat, bpm in content.get("tempo", [])]
    for target, lanes in content["lanes"].items():
        for word, points in lanes.items():
            name = own_name(word)
            for time, value, *shape in points:
                number = _value(name, str(value))
                builder.add(target, name, Point(float(time), number, *shape[:1]))
    return builder.finish(sample_rate)


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{what} is {text!r}, not a number") from None


def _value(name: str, text: str) -> float:
    """Return the value of a cell: a number, or a word where the control has choices."""
    return BY_NAME[name].parse(text) if name in BY_NAME else _number(text, name)
