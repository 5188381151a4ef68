"""FLAC files (RFC 9639), whose header need not tell how many samples there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plugin_bridge.files.containers.byte_view import ByteView, Segment
from plugin_bridge.files.containers.tags import leading_tag, without_tags

_MAGIC = b"fLaC"
_STARTS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")  # with STREAMINFO, which comes first
_MOST_BLOCKS = 4096  # of metadata
_TAIL_BYTES = 1 << 20  # more than any frame of two channels
_MOST_HEADER = 16
_BLOCK_SIZES = {1: 192} | {k: 144 << k for k in range(2, 6)} | {k: 1 << k for k in range(8, 16)}


@dataclass(frozen=True)
class _Frame:
    """Where a frame begins, and the samples before and in it."""

    position: int
    first: int
    samples: int


def segments(view: ByteView) -> list[Segment]:
    """Return the FLAC files that are in a view, one behind the other; none if it is not FLAC."""
    if view.at(0, 4) != _MAGIC:
        return []
    starts = sorted({0, *(found for magic in _STARTS for found in view.find_all(magic, 1))})
    ends = [*(_end_before(view, start) for start in starts[1:]), view.size]
    parts = (view.view(view.part(a, b)) for a, b in zip(starts, ends, strict=True))
    return [segment(without_tags(part)) for part in parts]


def segment(view: ByteView, total: int = 0) -> Segment:
    """Return a FLAC file with its true length; `total` is what a container tells of it."""
    header = view.at(0, 42)
    first_frame = _skip_metadata(view)
    if header[:4] != _MAGIC or len(header) < 42 or first_frame is None:
        return Segment(view)
    told = (header[21] & 0x0F) << 32 | int.from_bytes(header[22:26], "big")
    if first_frame >= view.size:
        return Segment(view, "no frame of sound follows its header", 0)
    there, whole = _length(view, first_frame, int.from_bytes(header[10:12], "big"))
    missing = ""
    if there is None:  # what is behind the last frame is neither a frame nor a tag
        there = total or told
    elif there < told:
        rate_hz = int.from_bytes(header[18:21], "big") >> 4
        missing = f"its header tells of {told / max(1, rate_hz):.3f} s"
    elif not whole and there != told:
        missing = "its last frame is cut"
    patched = bytearray(header)
    patched[21] = (header[21] & 0xF0) | (there >> 32 & 0x0F)
    patched[22:26] = (there & 0xFFFF_FFFF).to_bytes(4, "big")
    pieces = [bytes(patched), *view.part(len(header), view.size)]
    return Segment(view.view(pieces), missing, there)


def _end_before(view: ByteView, start: int) -> int:
    """Return where the file before the one at `start` ends: a tag may stand between them."""
    tags = (found for found in view.find_all(b"ID3", 0, start))
    return next((found for found in tags if found + leading_tag(view, found) == start), start)


def _skip_metadata(view: ByteView) -> int | None:
    """Return where the first frame begins; None if the blocks of metadata do not end."""
    position = 4
    for _ in range(_MOST_BLOCKS):
        head = view.at(position, 4)
        if len(head) < 4:
            return None
        position += 4 + int.from_bytes(head[1:4], "big")
        if head[0] & 0x80:
            return position
    return None


def _length(view: ByteView, first_frame: int, block_size: int) -> tuple[int | None, bool]:
    """Return how many samples there are, by the last frame, and whether that frame is whole.

    A frame tells its own number, and the CRC behind it tells that it is one and that it is whole:
    only the end of the file has to be read. What is no FLAC may follow, so the CRC may come before
    the end: one cut frame in seven has a CRC by chance, which its decoder then tells.
    """
    start = max(first_frame, view.size - _TAIL_BYTES)
    tail = view.at(start, view.size - start)
    cut: _Frame | None = None
    for frame in _frames_backwards(tail, block_size):
        if _crc16(tail[frame.position :]) == 0:
            return frame.first + frame.samples, True
        cut = cut or frame
        if len(tail) - frame.position > 1 << 17:  # a CRC of what is longer than frames is no use
            break
    if cut is None:
        return None, False
    if _has_crc_within(tail[cut.position :]):
        return cut.first + cut.samples, True
    return cut.first, False


def _frames_backwards(tail: bytes, block_size: int) -> Iterator[_Frame]:
    """Yield what looks like a frame, the last one first."""
    position = len(tail)
    while (position := tail.rfind(b"\xff", 0, position)) >= 0:
        if tail[position + 1 : position + 2] in (b"\xf8", b"\xf9"):
            frame = _frame(tail[position : position + _MOST_HEADER], position, block_size)
            if frame is not None:
                yield frame


def _frame(head: bytes, position: int, block_size: int) -> _Frame | None:
    """Read the header of a frame (RFC 9639, 9.1); None if it is none."""
    if len(head) < 6:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 0x0F
    number_size = max(1, 8 - (head[4] ^ 0xFF).bit_length())  # as in UTF-8: ones at the top
    end = 4 + number_size
    extra = {6: 1, 7: 2}.get(size_code, 0)
    crc_at = end + extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if (
        size_code == 0
        or number_size > 7
        or crc_at >= len(head)
        or _crc8(head[:crc_at]) != head[crc_at]
    ):
        return None
    number = head[4] & (0x7F >> (number_size if number_size > 1 else 0))
    for byte in head[5:end]:
        number = number << 6 | byte & 0x3F
    told = int.from_bytes(head[end : end + extra], "big") + 1
    samples = told if extra else _BLOCK_SIZES[size_code]
    first = number if head[1] & 1 else number * block_size
    return _Frame(position, first, samples)


def _table(polynomial: int, bits: int) -> list[int]:
    top, mask, table = 1 << (bits - 1), (1 << bits) - 1, []
    for value in range(256):
        crc = value << (bits - 8)
        for _ in range(8):
            crc = (crc << 1 ^ polynomial if crc & top else crc << 1) & mask
        table.append(crc)
    return table


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
    return crc


def _has_crc_within(data: bytes) -> bool:
    """Return whether the first bytes of `data`, however many, end in their CRC."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
        if crc == 0:
            return True
    return False
