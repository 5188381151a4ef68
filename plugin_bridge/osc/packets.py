"""OSC 1.0 packets to messages with the time they are meant for, and back.

python-osc reads the messages, once it is known that they are no work without end. Bundles are
taken apart here: its own reader leaves out elements that are damaged without a word, and its
server sleeps until a bundle in the future is due.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pythonosc.osc_message import OscMessage
from pythonosc.parsing import ntp
from pythonosc.parsing.osc_types import write_string

BUNDLE = b"#bundle\0"
MAX_DEPTH = 8  # of bundles in bundles, and of arrays in arrays
MAX_BYTES = 8192  # of a packet; a message of ours is a tenth of that
MAX_ARGUMENTS = 1024  # of a message, with the brackets of arrays
_ADDRESS = re.compile(rb"/[!-~]*\0")
_TAGS = frozenset(b"ihfdsbrmtTFN[]")
_NUMBER_BYTES = {**dict.fromkeys(b"ifrm", 4), **dict.fromkeys(b"hdt", 8)}


class MalformedError(ValueError):
    """A packet is not OSC 1.0."""


@dataclass(frozen=True)
class Message:
    """A message; `due_s` in seconds since 1970, or None for at once.

    `unknown_type` is the type of an argument that is none of those we read: OSC 1.0 says that
    such a message is to be discarded.
    """

    address: str
    arguments: tuple[Any, ...]
    due_s: float | None = None
    unknown_type: str = ""


def decode(packet: bytes) -> list[Message]:
    """Return all messages of a packet in their order.

    Raises MalformedError if any part of it is damaged: a bundle holds together or not at all.
    """
    return list(_decode(packet, None, 0))


def _decode(packet: bytes, due_s: float | None, depth: int) -> Iterator[Message]:
    if packet.startswith(b"/"):
        yield _message(packet, due_s)
    elif packet.startswith(BUNDLE):
        if len(packet) < 16 or depth == MAX_DEPTH:
            raise MalformedError("a bundle is cut short or nested too deep")
        due_s = _later(due_s, _time(packet[8:16]))
        offset = 16
        while offset < len(packet):
            size = int.from_bytes(packet[offset : offset + 4], "big")
            offset += 4
            if size == 0 or size % 4 or offset + size > len(packet):
                raise MalformedError(f"an element of a bundle has {size} bytes")
            yield from _decode(packet[offset : offset + size], due_s, depth + 1)
            offset += size
    else:
        raise MalformedError("neither a message nor a bundle")


def _message(packet: bytes, due_s: float | None) -> Message:
    found = _ADDRESS.match(packet)
    if not found:
        raise MalformedError("an address does not end, or is not ASCII")
    address = found[0][:-1].decode("ascii")
    if unknown := _check_tags(packet, packet.find(b",", found.end())):
        return Message(address, (), due_s, unknown)
    try:
        return Message(address, tuple(OscMessage(packet)), due_s)
    except Exception as error:  # whatever a library makes of bytes of strangers
        raise MalformedError(f"a message is damaged: {error}") from error


def _check_tags(packet: bytes, begin: int) -> str:
    """Return a type that python-osc does not know, if there is one, and bound its work.

    It must not have to make up numbers that are not there, either. Fewer than four bytes may be
    missing at the end: there are senders that leave out zeros.
    """
    end = packet.find(b"\0", begin)
    if begin < 0 or end < 0:
        return ""
    tags = packet[begin + 1 : end]
    if len(tags) > MAX_ARGUMENTS:
        raise MalformedError(f"a message has {len(tags)} arguments")
    if unknown := set(tags) - _TAGS:
        return chr(min(unknown))
    if _depth(tags) > MAX_DEPTH:
        raise MalformedError("arrays are nested too deep")
    numbers = sum(_NUMBER_BYTES.get(tag, 0) for tag in tags)
    if numbers - 4 >= len(packet) - (end + 4) // 4 * 4 and numbers:
        raise MalformedError("a message is cut short")
    return ""


def _depth(tags: bytes) -> int:
    """Return how deep arrays are nested."""
    depth = deepest = 0
    for tag in tags:
        depth += (tag == ord("[")) - (tag == ord("]"))
        deepest = max(deepest, depth)
    return deepest


def _time(tag: bytes) -> float | None:
    return None if tag == ntp.IMMEDIATELY else ntp.ntp_to_system_time(tag)


def _later(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)


def encode(address: str, arguments: Sequence[float | int | str]) -> bytes:
    """Return a message; numbers go out as 32-bit floats or integers, as Python has them."""
    tags = "".join(map(_tag, arguments))
    if "s" not in tags:
        return _head(address, tags) + struct.pack(">" + tags, *arguments)
    data = (
        write_string(argument) if isinstance(argument, str) else struct.pack(">" + tag, argument)
        for tag, argument in zip(tags, arguments, strict=True)
    )
    return _head(address, tags) + b"".join(data)


def _tag(argument: float | int | str) -> str:
    """Return its type in OSC, which is that of `struct` for numbers."""
    if isinstance(argument, str):
        return "s"
    return "i" if isinstance(argument, int) else "f"


@functools.lru_cache(1024)
def _head(address: str, tags: str) -> bytes:
    return write_string(address) + write_string("," + tags)


def encode_bundle(messages: Sequence[bytes], due_s: float | None = None) -> bytes:
    """Return a bundle of encoded messages."""
    time = ntp.IMMEDIATELY if due_s is None else ntp.system_time_to_ntp(due_s)
    return BUNDLE + time + b"".join(struct.pack(">i", len(m)) + m for m in messages)
