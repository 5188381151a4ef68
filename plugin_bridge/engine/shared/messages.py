"""Messages on the engine's socket: one packet is one JSON object; `PROTOCOL.md` lists them."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

from realtime.errors import StemsteerError

MESSAGE_BYTES = 1 << 16
_UUID = re.compile(r"[0-9a-f]{32}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NUMBERS = {"pid": (1, 1 << 22), "rate_hz": (8_000, 768_000), "block": (0, 1 << 20)}
_NUMBERS |= {"latency": (1, 1 << 15), "outputs": (2, 4)}


def read_message(message: bytes) -> dict[str, Any]:
    """Return the JSON object that a peer sent. Raises StemsteerError if it is none."""
    try:
        read = json.loads(message)
    except ValueError as error:
        raise StemsteerError(f"a message that is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise StemsteerError("a message that is not a JSON object")
    return read


def parse_hello(hello: dict[str, Any]) -> dict[str, Any]:
    """Return a hello with every field checked.

    A project may name a model, not point at a file: projects come from strangers.

    Raises StemsteerError for a field that is missing or out of range.
    """
    if hello.get("hello") != 1:
        raise StemsteerError(f"a hello of version {hello.get('hello')!r}, expected 1")
    checked: dict[str, Any] = {}
    for name, (low, high) in _NUMBERS.items():
        value = hello.get(name)
        if not isinstance(value, int) or not low <= value <= high:
            raise StemsteerError(f"hello: {name} is {value!r}, expected {low} to {high}")
        checked[name] = value
    for name in ("label", "host", "format"):
        checked[name] = str(hello.get(name, ""))[:64]
    model = hello.get("model") or ""
    if model and not (isinstance(model, str) and _MODEL.fullmatch(model)):
        raise StemsteerError(f"hello: the model {str(model)[:64]!r} is no model's name")
    uuid = str(hello.get("uuid", ""))
    checked["uuid"] = uuid if _UUID.fullmatch(uuid) else secrets.token_hex(16)
    return {**checked, "model": model}
