"""AIFF and AIFF-C files (Apple, "Audio Interchange File Format")."""

from __future__ import annotations

import struct

from plugin_bridge.files.containers.byte_view import ByteView, Segment
from plugin_bridge.files.containers.sizes import are_chunks, is_unknown

_MOST_CHUNKS = 4096
_MOST_COMMON_BYTES = 1024
_SAMPLE_BYTES = {
    b"fl32": 4, b"FL32": 4, b"fl64": 8, b"FL64": 8, b"in24": 3, b"in32": 4, b"23ni": 4,
    b"ulaw": 1, b"ULAW": 1, b"alaw": 1, b"ALAW": 1,
}  # fmt: skip
_PLAIN = (b"NONE", b"twos", b"sowt", b"raw ")  # samples of the bits that COMM tells


def segments(view: ByteView) -> list[Segment]:
    """Return the AIFF files that are in a view, one behind the other; none if it is not AIFF."""
    found: list[Segment] = []
    start = 0
    while start < view.size and _kind(view, start):
        chunks = _chunks(view, start)
        if b"COMM" not in chunks or b"SSND" not in chunks or len(chunks[b"COMM"][0]) < 18:
            break
        segment, start = _segment(view, start, chunks)
        found.append(segment)
    return found


def _kind(view: ByteView, start: int) -> bytes:
    head = view.at(start, 12)
    return head[8:12] if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC") else b""


def _chunks(view: ByteView, start: int) -> dict[bytes, tuple[bytes, int, int]]:
    """Return content, position and size of COMM and SSND; SSND may come first.

    The size of SSND is what is there, and negative if that is less than it tells.
    """
    found: dict[bytes, tuple[bytes, int, int]] = {}
    position = start + 12
    for _ in range(_MOST_CHUNKS):
        head = view.at(position, 8)
        if len(head) < 8 or len(found) == 2 or head[:4] == b"FORM":
            break
        name, size = struct.unpack(">4sI", head)
        position += 8
        there = view.size - position
        if name == b"COMM":
            found[name] = view.at(position, min(size, _MOST_COMMON_BYTES)), position, size
        elif name == b"SSND":
            # without a sample, SSND still has the eight bytes of its offset and block size
            if is_unknown(max(0, size - 8), there - 8) and not are_chunks(view, position + 8, ">"):
                size = _unknown_length(view, position)
            found[name] = b"", position, size
        position += size + size % 2
    return found


def _unknown_length(view: ByteView, position: int) -> int:
    """Return the size of sound that goes on to the next file, or to the end."""
    for found in view.find_all(b"FORM", position):
        if _kind(view, found):
            return found - position
    return view.size - position


def _segment(
    view: ByteView, start: int, chunks: dict[bytes, tuple[bytes, int, int]]
) -> tuple[Segment, int]:
    """Return the segment of a file, and where the next one may begin."""
    common, common_position, common_size = chunks[b"COMM"]
    _, sound, declared = chunks[b"SSND"]
    size = min(declared, view.size - sound)
    channels, told, bits = struct.unpack_from(">hIh", common)
    width = _sample_bytes(view, start, common, bits)
    samples, missing = told, ""
    if width > 0 and channels > 0:
        offset = int.from_bytes(view.at(sound, 4), "big")
        samples = max(0, size - 8 - offset) // (width * channels)
        if declared > size:
            missing = "its header tells of more bytes than there are"
    common = common[:2] + struct.pack(">I", samples) + common[6:]
    version = b"FVER\0\0\0\x04\xa2\x80\x51\x40" if _kind(view, start) == b"AIFC" else b""
    body = version + struct.pack(">4sI", b"COMM", len(common)) + common + b"\0" * (len(common) % 2)
    whole = 4 + len(body) + 8 + size
    head = struct.pack(">4sI4s", b"FORM", min(whole, 2**32 - 1), _kind(view, start)) + body
    head += struct.pack(">4sI", b"SSND", size)
    end = max(sound + size + size % 2, common_position + common_size)
    return Segment(view.view([head, *view.part(sound, sound + size)]), missing), end


def _sample_bytes(view: ByteView, start: int, common: bytes, bits: int) -> int:
    """Return the bytes of a sample; 0 for a compression with blocks of its own."""
    coding = common[18:22] if _kind(view, start) == b"AIFC" else b"NONE"
    return (bits + 7) // 8 if coding in _PLAIN else _SAMPLE_BYTES.get(coding, 0)
