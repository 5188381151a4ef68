"""WAV files: RIFF, RIFX, RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088), and Wave64 (Sony)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from plugin_bridge.files.containers.byte_view import ByteView, Segment
from plugin_bridge.files.containers.sizes import are_chunks, is_unknown

_KINDS: dict[bytes, Literal["<", ">"]] = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<", b"BW64": "<"}
_MOST_CHUNKS = 4096
_MOST_FORMAT_BYTES = 4096
_RF64_BYTES = 2**32 - 2**16
_TIME_REFERENCE = 338
"""Where a bext chunk tells it (EBU Tech 3285): behind description, originator, date and time."""
_WAVE64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_WAVE64_CHUNK = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"  # behind a name of four letters
_TRAILERS = (b"LIST", b"id3 ", b"ID3 ")  # chunks that may stand behind sound of unknown length


@dataclass
class _Header:
    """What the chunks in front of the sound tell."""

    order: Literal["<", ">"]
    format: bytes = b""
    fact: bytes = b""
    time_reference: int = 0
    data_size_64: int | None = None
    data_start: int = 0
    declared: int = 0


def segments(view: ByteView) -> list[Segment]:
    """Return the WAV files that are in a view, one behind the other; none if it is not WAV."""
    found: list[Segment] = []
    start = 0
    while start < view.size and _begins(view, start):
        header = _read_header(view, start)
        if header is not None and _begins(view, header.data_start):
            header = _read_header(view, header.data_start)  # sox writes it twice into a pipe
        if header is None:
            break
        segment, start = _segment(view, header)
        found.append(segment)
    return found


def _begins(view: ByteView, start: int) -> bool:
    head = view.at(start, 40)
    if head[:16] == _WAVE64_RIFF:
        return head[24:40] == b"wave" + _WAVE64_CHUNK
    return head[:4] in _KINDS and head[8:12] == b"WAVE"


def _read_header(view: ByteView, start: int) -> _Header | None:
    """Read the chunks up to the sound; None if there is no sound, or no format before it."""
    if view.at(start, 4) not in _KINDS:
        return _read_wave64(view, start)
    header = _Header(_KINDS[view.at(start, 4)])
    position = start + 12
    for _ in range(_MOST_CHUNKS):
        head = view.at(position, 8)
        if len(head) < 8:
            return None
        name, size = struct.unpack(f"{header.order}4sI", head)
        position += 8
        if name == b"data":
            header.data_start, header.declared = position, size
            if size == 0xFFFF_FFFF and header.data_size_64 is not None:
                header.declared = header.data_size_64
            return header if len(header.format) >= 16 else None
        if name == b"ds64":
            sizes = view.at(position, 16)
            header.data_size_64 = int.from_bytes(sizes[8:16], "little")
        elif name == b"fmt ":
            header.format = view.at(position, min(size, _MOST_FORMAT_BYTES))
        elif name == b"fact":
            header.fact = view.at(position, min(size, 4))
        elif name == b"bext" and size >= _TIME_REFERENCE + 8:
            told = view.at(position + _TIME_REFERENCE, 8)
            header.time_reference = int.from_bytes(told, "little")
        position += size + size % 2  # chunks begin at even positions
    return None


def _read_wave64(view: ByteView, start: int) -> _Header | None:
    """Read the chunks of Wave64: names of 16 bytes, sizes of 8 that count both, multiples of 8."""
    header = _Header("<")
    position = start + 40
    for _ in range(_MOST_CHUNKS):
        head = view.at(position, 24)
        if len(head) < 24:
            return None
        size = int.from_bytes(head[16:24], "little")
        if head[:16] == b"data" + _WAVE64_CHUNK:
            header.data_start, header.declared = position + 24, max(0, size - 24)
            return header if len(header.format) >= 16 else None
        if head[:16] == b"fmt " + _WAVE64_CHUNK:
            header.format = view.at(position + 24, min(max(0, size - 24), _MOST_FORMAT_BYTES))
        position += max(24, size + -size % 8)
    return None


def _segment(view: ByteView, header: _Header) -> tuple[Segment, int]:
    """Return the segment of a header, and where the next one may begin."""
    start, declared = header.data_start, header.declared
    there = view.size - start
    empty = declared == 0 and are_chunks(view, start, header.order)
    unknown = is_unknown(declared, there) and not empty
    missing = ""
    if unknown:
        size = _sound_of_unknown_length(view, header) - start
        end = start + size
        size -= size % max(1, struct.unpack_from(f"{header.order}H", header.format, 12)[0])
    else:
        size = min(declared, there)
        end = start + size + size % 2
        if declared > there:
            byte_rate = struct.unpack_from(f"{header.order}I", header.format, 8)[0]
            missing = f"its header tells of {declared / max(1, byte_rate):.3f} s"
    head = _header_bytes(header, size, keep_fact=not unknown)
    sound = view.view([head, *view.part(start, start + size)])
    return Segment(sound, missing, time_reference=header.time_reference), end


def _sound_of_unknown_length(view: ByteView, header: _Header) -> int:
    """Return where sound ends that goes on to the next file, to a last chunk, or to the end."""
    end = view.size
    for found in view.find_all(b"WAVEfmt ", header.data_start):
        if found - 8 >= header.data_start and _begins(view, found - 8):
            return found - 8
    tail_start = max(header.data_start, end - (1 << 20))
    tail = view.at(tail_start, end - tail_start)
    for name in _TRAILERS:
        found = tail.rfind(name)
        if found >= 0 and len(tail) >= found + 8:
            size = struct.unpack_from(f"{header.order}I", tail, found + 4)[0]
            if found + 8 + size + size % 2 in (len(tail), len(tail) + 1):
                return tail_start + found
    return end


def _header_bytes(header: _Header, size: int, *, keep_fact: bool) -> bytes:
    """Return a header of the same format for `size` bytes of sound."""
    order = header.order
    chunks = struct.pack(f"{order}4sI", b"fmt ", len(header.format)) + header.format
    chunks += b"\0" * (len(header.format) % 2)
    if keep_fact and len(header.fact) == 4:
        chunks += struct.pack(f"{order}4sI", b"fact", 4) + header.fact
    whole = 4 + len(chunks) + 8 + size
    if whole > _RF64_BYTES:
        wide = struct.pack("<4sIQQQI", b"ds64", 28, whole + 36, size, 0, 0)
        return b"RF64\xff\xff\xff\xffWAVE" + wide + chunks + b"data\xff\xff\xff\xff"
    kind = b"RIFX" if order == ">" else b"RIFF"
    head = struct.pack(f"{order}4sI4s", kind, whole, b"WAVE")
    return head + chunks + struct.pack(f"{order}4sI", b"data", size)
