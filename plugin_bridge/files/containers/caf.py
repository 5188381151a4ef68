"""CAF files with plain samples (Apple, "Core Audio Format"), whose size may be −1."""

from __future__ import annotations

import struct

from plugin_bridge.files.containers.byte_view import ByteView, Segment
from plugin_bridge.files.containers.sizes import is_unknown

_MOST_CHUNKS = 4096
_EDIT_COUNT = 4  # bytes at the start of the sound


def segments(view: ByteView) -> list[Segment]:
    """Return the one file of a view; none if it is not CAF, or its samples are compressed."""
    if view.at(0, 4) != b"caff":
        return []
    position, description = 8, b""
    for _ in range(_MOST_CHUNKS):
        head = view.at(position, 12)
        if len(head) < 12:
            return []
        name, declared = struct.unpack(">4sQ", head)
        position += 12
        if name == b"desc":
            description = view.at(position, 32)
            if declared != 32 or description[8:12] != b"lpcm":
                return []
        elif name == b"data" and description:
            return [_segment(view, description, position, declared)]
        position += declared
    return []


def _segment(view: ByteView, description: bytes, start: int, declared: int) -> Segment:
    there = view.size - start
    unknown = is_unknown(max(0, declared - _EDIT_COUNT), there - _EDIT_COUNT)
    size = there if unknown else min(declared, there)
    packet = max(1, int.from_bytes(description[16:20], "big"))
    size -= max(0, size - _EDIT_COUNT) % packet
    missing = ""
    if declared > there and not unknown:
        missing = f"its header tells of {declared} bytes of sound, and there are {there}"
    head = b"caff\0\1\0\0desc" + struct.pack(">Q", 32) + description
    head += b"data" + struct.pack(">Q", size)
    return Segment(view.view([head, *view.part(start, start + size)]), missing)
