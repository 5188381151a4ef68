"""The JSON of a spec, and what its fields may be.

A model file comes from anywhere, and its spec is read first.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from realtime.json_reader import read_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from realtime.spec import Tier

MAX_SPEC_BYTES = 4_000_000
MIN_MODEL_RATE_HZ, MAX_MODEL_RATE_HZ = 1000, 768_000
MAX_WINDOW = 1 << 16
MAX_LOOKAHEAD = 1024
MAX_TURNS = 16
MAX_SIZE = 4096  # of a condition
MAX_TARGETS = 256
MAX_SCALED_WINDOW = 1 << 17
MAX_BINS = 1 << 23
"""Of all frames that a tier holds at once: 128 MB of two channels. The largest we know has 2^21."""
MAX_TARGET_BINS = 1 << 20
"""Of all targets in one frame: 200 MB of spectra, 24 frames at a time."""
_TEXT = ("name", "mask_axes", "description", "licence", "encoder")
_MAPPINGS = ("tiers", "conditions", "training", "classes", "gains_db")
_LONGEST_TEXT, _MOST_ENTRIES = 20_000, 4096
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # but for line breaks and tabs


def spec_text(spec: DataclassInstance, schema: int) -> str:
    """Return the JSON of a spec, with the number of its schema."""
    return json.dumps({"schema": schema, **dataclasses.asdict(spec)}, ensure_ascii=False)


def fields_of(text: str, schema: int) -> dict[str, Any]:
    """Return the fields of a spec, by name.

    Raises
    ------
    ValueError for what is not JSON, not of this schema, or has texts with control characters.
    """
    try:
        fields = read_json(text, max_bytes=MAX_SPEC_BYTES)
    except ValueError as error:
        raise ValueError(f"the spec is not JSON: {error}") from error
    if not isinstance(fields, dict) or fields.pop("schema", None) != schema:
        raise ValueError(f"the spec is not of schema {schema}")
    check_texts(fields)
    return fields


def check_texts(value: Any) -> None:
    """Raise ValueError for a text in a value of JSON that has control characters.

    Such could steer the terminal on which they are shown.
    """
    if isinstance(value, str) and _CONTROL.search(value):
        raise ValueError(f"{_short(value)} in the spec has control characters, expected none")
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    if isinstance(parts, list):
        for part in parts:
            check_texts(part)


def check_fields(fields: Mapping[str, Any]) -> None:
    """Raise ValueError that names the first field of a wrong type, or out of range."""
    for name in _TEXT:
        value = fields.get(name, "")
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
            raise ValueError(f"{name} of the spec is {_short(value)}, expected a text")
    name = str(fields.get("name", "x"))
    if not name.strip():
        raise ValueError("name of the spec is empty")
    if "\n" in name or "\t" in name:
        raise ValueError(f"name of the spec is {name!r}, which has control characters")
    for name in _MAPPINGS:
        value = fields.get(name, {})
        if not isinstance(value, dict) or len(value) > _MOST_ENTRIES:
            raise ValueError(f"{name} of the spec is {_short(value)}, expected names and values")
    _check_whole(
        "sample_rate", fields.get("sample_rate", 44_100), MIN_MODEL_RATE_HZ, MAX_MODEL_RATE_HZ
    )
    if fields.get("bins") is not None:
        _check_whole("bins", fields["bins"], 1, MAX_WINDOW)
    for name, size in fields.get("conditions", {}).items():
        _check_whole(f"the condition {name!r}", size, 1, MAX_SIZE)
    _check_targets(fields.get("targets", ()))
    for name in ("joint", "two_answers"):
        if not isinstance(fields.get(name, False), bool):
            value = _short(fields[name])
            raise ValueError(f"{name} of the spec is {value}, expected true or false")
    _check_whole("alone_turns", fields.get("alone_turns", 1), 1, MAX_TURNS)
    for name, tier in fields.get("tiers", {}).items():
        _check_tier(name, tier)
    for name, vector in fields.get("classes", {}).items():
        if not isinstance(vector, list) or not all(_is_number(value) for value in vector):
            raise ValueError(
                f"the class {name!r} of the spec is {_short(vector)}, expected numbers"
            )
    for name, gains in fields.get("gains_db", {}).items():
        if not isinstance(gains, dict) or not all(_is_number(gain) for gain in gains.values()):
            raise ValueError(f"gains_db of {name!r} are {_short(gains)}, expected numbers by name")


def check_encoder_fields(fields: Mapping[str, Any]) -> None:
    """Raise ValueError that names the first field of an encoder that is none, or out of range."""
    check_texts(fields)
    for name in ("encoder", "description", "licence"):
        value = fields.get(name, "")
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
            raise ValueError(f"{name} of the spec is {_short(value)}, expected a text")
    bounds = {"size": (2, MAX_SIZE), "sample_rate": (MIN_MODEL_RATE_HZ, MAX_MODEL_RATE_HZ)}
    bounds |= {"window": (2, MAX_WINDOW), "hop": (1, MAX_WINDOW), "bins": (1, MAX_WINDOW)}
    for name, (low, high) in bounds.items():
        if name in fields:
            _check_whole(name, fields[name], low, high)


def _check_tier(name: str, tier: Any) -> None:
    if not isinstance(tier, dict):
        raise ValueError(f"the tier {name!r} of the spec is {_short(tier)}, expected its fields")
    for field, least in (("window", 2), ("synthesis", 2), ("hop", 1)):
        _check_whole(f"{field} of the tier {name!r}", tier.get(field), least, MAX_WINDOW)
    _check_whole(f"lookahead of the tier {name!r}", tier.get("lookahead", 0), 0, MAX_LOOKAHEAD)
    _check_whole(f"turns of the tier {name!r}", tier.get("turns", 1), 1, MAX_TURNS)
    runs = tier.get("runs")
    if runs is not None and not isinstance(runs, dict):
        raise ValueError(f"runs of the tier {name!r} are {_short(runs)}, expected their fields")
    for field, value in (runs or {}).items():
        if field == "mirrored" and isinstance(value, bool):
            continue
        _check_whole(f"{field} of the runs of {name!r}", value, -MAX_LOOKAHEAD, MAX_WINDOW)


def check_memory(model: str, tier: Tier, targets: int) -> None:
    """Raise ValueError for a tier, as it is scaled, that asks for far more memory than any needs.

    Parameters
    ----------
    targets : how many the model has of its own; 0: the user says.
    """
    runs = tier.runs
    frames = max(tier.lookahead, runs.frames if runs else 0, runs.every + runs.fade if runs else 0)
    samples = runs.frames * runs.step if runs else 0
    for what, asked, most in (
        ("windows of samples", tier.window, MAX_SCALED_WINDOW),
        ("bins in all frames that it holds", frames * tier.bins, MAX_BINS),
        ("samples in all frames that it sees", samples, MAX_BINS),
        ("bins in a frame of all targets", targets * tier.bins, MAX_TARGET_BINS),
    ):
        if asked > most:
            raise ValueError(
                f"model {model!r} asks for too much memory: {asked} {what}, expected {most} at most"
            )


def _check_targets(targets: Any) -> None:
    is_list = isinstance(targets, (list, tuple)) and len(targets) <= MAX_TARGETS
    if not is_list or not all(isinstance(name, str) and 0 < len(name) <= 200 for name in targets):
        raise ValueError(f"targets of the spec are {_short(targets)}, expected a list of names")
    if len(set(targets)) < len(targets):
        raise ValueError("two targets of the spec have the same name")


def _check_whole(what: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(
            f"{what} of the spec is {_short(value)}, expected a whole number, {low} to {high}"
        )


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _short(value: Any) -> str:
    """Return a value for a message, cut where it is long."""
    text = repr(value) if isinstance(value, (str, int, float, type(None))) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:60]} …"
