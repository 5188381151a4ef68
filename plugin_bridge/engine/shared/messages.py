"""Messages on the engine's socket: one packet is one JSON object; `PROTOCOL.md` lists them."""

from __future__ import annotations

import re
import secrets
from typing import Any

from plugin_bridge.engine.shared.ring import HOST_RATES_HZ
from realtime.errors import StemsteerError
from realtime.json_reader import read_json_object

MESSAGE_BYTES = 1 << 16
OWN_MESSAGE_BYTES = 1 << 18
"""Of what the daemon tells our own processes: more than a socket takes, so that nothing is cut."""
MAX_INSTANCES = 64
"""Most that an engine serves at a time."""
MAX_TIMBRES = 16_384
"""Bytes of the timbres that a project keeps."""
NAME = b"name "
"""Begins a message to an audio process, with the name of its instance from now on."""
REFUSED = "error "
"""Begins an answer to a peer, and what an audio process tells the daemon: why it is not served."""
NAMES = ("label", "track")
"""Of a hello, what a plugin may change while it is served."""
MAX_DEPTH = 4  # of the objects and lists in a message: a hello has one
_LABEL_LENGTH = 64
_UUID = re.compile(r"[0-9a-f]{32}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NUMBERS = {"pid": (1, 1 << 22), "rate_hz": HOST_RATES_HZ, "block": (0, 1 << 20)}
_NUMBERS |= {"latency": (1, 1 << 15), "outputs": (2, 4)}


def read_message(message: bytes) -> dict[str, Any]:
    """Return the JSON object that a peer sent. Raises StemsteerError if it is none."""
    try:
        return read_json_object(message, max_bytes=MESSAGE_BYTES, max_depth=MAX_DEPTH)
    except ValueError as error:
        raise StemsteerError(f"a message that is not JSON of ours: {error}") from error


def parse_hello(hello: dict[str, Any]) -> dict[str, Any]:
    """Return a hello with every field checked.

    A project may name a model, not point at a file: projects come from strangers.

    Raises StemsteerError for a field that is missing or out of range.
    """
    if hello.get("hello") != 1:
        raise StemsteerError(f"a hello of version {_shown(hello.get('hello'))}, expected 1")
    checked: dict[str, Any] = {}
    for name, (low, high) in _NUMBERS.items():
        value = hello.get(name)
        if type(value) is not int or not low <= value <= high:
            raise StemsteerError(f"hello: {name} is {_shown(value)}, expected {low} to {high}")
        checked[name] = value
    for name in (*NAMES, "host", "format"):
        checked[name] = shown_name(hello.get(name))
    model = hello.get("model") or ""
    if model and not (isinstance(model, str) and _MODEL.fullmatch(model)):
        raise StemsteerError(f"hello: the model {_shown(model)} is no model's name")
    checked["timbres"] = _bounded(hello.get("timbres"))  # the audio process reads it
    uuid = str(hello.get("uuid", ""))
    checked["uuid"] = uuid if _UUID.fullmatch(uuid) else secrets.token_hex(16)
    return {**checked, "model": model}


def parse_names(message: dict[str, Any]) -> dict[str, str]:
    """Return the names of a message by which a plugin says that it is called otherwise.

    Raises StemsteerError if it is another message.
    """
    if message.get("rename") != 1:
        raise StemsteerError("a message that no plugin sends after its hello")
    return {name: shown_name(message.get(name)) for name in NAMES}


def shown_name(text: object) -> str:
    """Return a name from outside as it may be shown: without control characters, and not long.

    An escape sequence in the label of a track would else be obeyed by the user's terminal.
    """
    if not isinstance(text, str):
        return ""
    shown = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(shown.split())[:_LABEL_LENGTH]


def _bounded(timbres: object) -> str:
    """Return the timbres of a project: of what is too long so much that it stays too long."""
    if not isinstance(timbres, str):
        return ""
    return timbres.encode(errors="replace")[: MAX_TIMBRES + 1].decode(errors="replace")


def _shown(value: object) -> str:
    """Return a value from outside for an error of one line."""
    return repr(value)[:_LABEL_LENGTH]
