"""Named directions, and their JSON file: `scan` prints it, `render` reads it."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

from plugin_bridge.control.instruments import resolve
from plugin_bridge.control.target import ANYWHERE, Target, check_targets
from plugin_bridge.small_files import read_small_file
from realtime.atomic import atomic_write
from realtime.conditions import DEFAULT_DIRECTION
from realtime.errors import StemsteerError
from realtime.json_reader import read_json

MAX_BYTES = 4_000_000
READ = ("name", "azimuth_deg", "width_deg", "instrument", "strength", "morph", "like", "unlike",
        "stretches_s")  # fmt: skip
ALSO_WRITTEN = ("spread_deg", "level_db", "sure")
"""Fields that `scan` adds for who reads the file; nothing is done with them."""


def read_targets(path: str | os.PathLike[str]) -> list[Target]:
    """Read a JSON list of targets, each with a name and where it is, what it is, or both.

    Fields are those of `Target`: azimuth_deg and width_deg, which may be left out beside an
    instrument or an example, since the sound may then be anywhere; instrument, a word or a list
    of them; like and unlike, examples; strength and morph; stretches_s, pairs of start and end
    outside of which it is silent, at least one pair. What else `scan` writes, `ALSO_WRITTEN`, is
    left aside.

    Raises
    ------
    StemsteerError that says which entry is wrong, or what is wrong with all of them together.
    """
    try:
        entries = read_json(read_small_file(Path(path), max_bytes=MAX_BYTES), max_bytes=MAX_BYTES)
    except ValueError as error:
        raise StemsteerError(
            f"{path} is not JSON ({error}); `stemsteer scan INPUT --json` writes such a file"
        ) from error
    if entries == []:
        raise StemsteerError(
            f"{path}: the list has no targets; `stemsteer scan` says of a file why it finds none"
        )
    if not isinstance(entries, list):
        raise StemsteerError(
            f'{path}: expected a list of targets, as [{{"name": "guitar", "azimuth_deg": -30, '
            '"width_deg": 20}]'
        )
    targets = [_target(path, number, entry) for number, entry in enumerate(entries, 1)]
    try:
        check_targets(targets)
    except ValueError as error:
        raise StemsteerError(f"{path}: {error}") from error
    return targets


def write_targets(path: str | os.PathLike[str], targets: Sequence[Target]) -> None:
    """Write the file that `read_targets` reads."""
    with atomic_write(Path(path)) as hidden:
        hidden.write_text(json.dumps([target_fields(t) for t in targets], indent=2) + "\n", "utf-8")


def target_fields(target: Target) -> dict[str, Any]:
    """Return the fields of a target as its file has them, those of its name and direction first."""
    fields = dataclasses.asdict(target)
    fields["instrument"] = list(fields.pop("instruments"))
    usual = {"instrument": [], "strength": 1.0, "morph": 1.0, "like": (), "unlike": ()}
    usual |= {"stretches_s": ()}
    return {name: value for name, value in fields.items() if value != usual.get(name, ...)}


def _target(path: str | os.PathLike[str], number: int, entry: object) -> Target:
    fields = entry if isinstance(entry, dict) else {}
    try:
        return _parsed(fields)
    except KeyError as error:
        raise StemsteerError(f"{path}: target {number} lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise StemsteerError(f"{path}: target {number}: {error}") from error


def _parsed(fields: dict[str, Any]) -> Target:
    for field in fields:
        if field not in (*READ, *ALSO_WRITTEN):
            near = difflib.get_close_matches(field, READ, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(READ)}"
            raise ValueError(f"{field!r:.80} is none of its fields; {hint}")
    meanings = [resolve(word) for word in _words(fields, "instrument")]
    like, unlike = _words(fields, "like"), _words(fields, "unlike")
    azimuth_deg, width_deg = ANYWHERE
    if "azimuth_deg" in fields or not (meanings or like):
        azimuth_deg, width_deg = _number("azimuth_deg", fields["azimuth_deg"]), DEFAULT_DIRECTION[1]
    if not isinstance(fields["name"], str):
        raise ValueError(f"name is {fields['name']!r:.80}, expected a text in quotes")
    return Target(
        fields["name"],
        azimuth_deg,
        _number("width_deg", fields.get("width_deg", width_deg)),
        tuple(dict.fromkeys(name for meaning in meanings for name in meaning.classes)),
        _number("strength", fields.get("strength", 1.0)),
        _number("morph", fields.get("morph", 1.0)),
        like,
        unlike,
        _stretches(fields),
    )


def _stretches(fields: dict[str, Any]) -> tuple[tuple[float, float], ...]:
    """Return the stretches of a target. Raises ValueError if they are not pairs of numbers."""
    given = fields.get("stretches_s", [])
    if given == [] and "stretches_s" in fields:
        raise ValueError(
            "stretches_s is empty: leave the field out to take the whole song, or the target out "
            "if it never sounds"
        )
    pairs = given if isinstance(given, list) else [given]
    if not all(isinstance(p, list) and len(p) == 2 and all(map(_is_number, p)) for p in pairs):
        raise ValueError(f"stretches_s is {given!r:.80}, expected pairs as [[12.5, 20], [60, 75]]")
    return tuple((float(start), float(end)) for start, end in pairs)


def _number(name: str, value: object) -> float:
    """Return a field as a float. Raises ValueError if it is no number."""
    if not _is_number(value):
        raise ValueError(f"{name} is {value!r:.80}, expected a number")
    return float(value)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _words(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return a field that is a text or a list of texts. Raises ValueError if it is neither."""
    given = fields.get(name, [])
    words = [given] if isinstance(given, str) else given
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{name} is {given!r}, expected a text or a list of texts")
    return tuple(words)
