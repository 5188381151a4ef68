"""AU files (Sun and NeXT): a header of six numbers, and sound to the end."""

from __future__ import annotations

import struct

from plugin_bridge.files.containers.byte_view import ByteView, Segment
from plugin_bridge.files.containers.sizes import is_unknown

_ORDERS = {b".snd": ">", b"dns.": "<"}
_LEAST_HEADER, _MOST_HEADER = 24, 1 << 20
_SAMPLE_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}


def segments(view: ByteView) -> list[Segment]:
    """Return the AU files that are in a view, one behind the other; none if it is not AU."""
    found: list[Segment] = []
    start = 0
    while start < view.size:
        head = view.at(start, _LEAST_HEADER)
        order = _ORDERS.get(head[:4])
        if order is None or len(head) < _LEAST_HEADER:
            break
        offset, declared, coding, rate_hz, channels = struct.unpack(f"{order}5I", head[4:])
        if not _LEAST_HEADER <= offset <= _MOST_HEADER:
            break
        sound = start + offset
        there = max(0, view.size - sound)
        size = there if is_unknown(declared, there) else min(declared, there)
        missing = ""
        if declared > size and not is_unknown(declared, there):
            byte_rate = rate_hz * channels * _SAMPLE_BYTES.get(coding, 1)
            missing = f"its header tells of {declared / max(1, byte_rate):.3f} s"
        told = size if size < 2**32 - 1 else 2**32 - 1
        clean = struct.pack(
            f"{order}4s5I", head[:4], _LEAST_HEADER, told, coding, rate_hz, channels
        )
        pieces = [clean, *view.part(sound, sound + size)]
        found.append(Segment(view.view(pieces), missing))
        start = sound + size
    return found
