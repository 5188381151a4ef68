"""Sizes that mean *unknown*, as programs leave them in headers that they cannot go back to."""

from __future__ import annotations

from typing import Literal

from plugin_bridge.files.containers.byte_view import ByteView

_MOST_CHUNKS = 4096
_SLACK_BELOW, _SLACK_ABOVE = 1 << 20, 1 << 12
_BASES = (
    0x7F00_0000,  # sox, AIFF
    0x7FFF_FFFF,  # sox 7FFFF000 and arecord 7FFFFF00 lie just below
    0x8000_0000,
    0xFFFF_FFFF,  # ffmpeg, GStreamer, mpg123; less a header, or rounded down to a whole sample
    0x7FFF_FFFF_FFFF_FFFF,
    0xFFFF_FFFF_FFFF_FFFF,
)


def is_unknown(size: int, there: int) -> bool:
    """Return whether a size of bytes stands for *unknown* before `there` bytes to the end.

    A true size of nearly 2 or 4 GiB cannot be told from a placeholder by its value; one that the
    file fulfils is taken at its word.
    """
    if size == 0:
        return there > 0
    near = any(base - _SLACK_BELOW <= size <= base + _SLACK_ABOVE for base in _BASES)
    return near and not size <= there <= size + _SLACK_BELOW


def are_chunks(view: ByteView, position: int, order: Literal["<", ">"]) -> bool:
    """Return whether chunks follow to the end: sound of size 0 before them is truly empty.

    A chunk is a name of four printable letters and a size in bytes; it begins at an even position.
    """
    byte_order: Literal["little", "big"] = "big" if order == ">" else "little"
    for _ in range(_MOST_CHUNKS):
        if position >= view.size:
            return True
        head = view.at(position, 8)
        if len(head) < 8 or not all(32 <= letter < 127 for letter in head[:4]):
            return False
        size = int.from_bytes(head[4:], byte_order)
        position += 8 + size + size % 2
        if position > view.size + 1:
            return False
    return False
