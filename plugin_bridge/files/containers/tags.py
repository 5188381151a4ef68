"""Tags around the sound: ID3v2 and APEv2 in front; ID3v1, ID3v2, APEv2 and Lyrics3 behind."""

from __future__ import annotations

from plugin_bridge.files.containers.byte_view import ByteView

_MOST_TAGS = 16  # on each side
_ID3V1, _ID3V2, _APE = 128, 10, 32  # bytes: of the whole tag, of its header, of its header


def without_tags(view: ByteView) -> ByteView:
    """Return what is between the tags."""
    start, stop = 0, view.size
    for _ in range(_MOST_TAGS):
        start += leading_tag(view, start)
    for _ in range(_MOST_TAGS):
        stop -= _trailing_tag(view, start, stop)
    return view.view(view.part(start, stop)) if start < stop else view


def leading_tag(view: ByteView, start: int) -> int:
    """Return the size of the tag that begins at `start`, 0 if there is none."""
    head = view.at(start, _APE)
    size = 0
    if head[:3] == b"ID3" and len(head) >= _ID3V2:
        footer = _ID3V2 if head[5] & 0x10 else 0
        size = _ID3V2 + _syncsafe(head[6:10]) + footer
    elif head[:8] == b"APETAGEX" and len(head) == _APE:
        size = _APE + int.from_bytes(head[12:16], "little")
    return size if start + size <= view.size else 0


def _trailing_tag(view: ByteView, start: int, stop: int) -> int:
    """Return the size of the tag that ends at `stop`, 0 if there is none."""
    size = 0
    if view.at(max(start, stop - _ID3V1), 3) == b"TAG":
        size = _ID3V1
    tail = view.at(max(start, stop - _APE), min(_APE, stop - start))
    if tail[:8] == b"APETAGEX":
        has_header = _APE if tail[23] & 0x80 else 0
        size = int.from_bytes(tail[12:16], "little") + has_header
    elif tail[-_ID3V2:-7] == b"3DI":
        size = 2 * _ID3V2 + _syncsafe(tail[-4:])
    elif tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
        size = int(tail[-15:-9]) + 15
    return size if 0 < size <= stop - start else 0


def _syncsafe(data: bytes) -> int:
    """Return the number of four bytes of seven bits each."""
    return sum((byte & 0x7F) << shift for byte, shift in zip(data, (21, 14, 7, 0), strict=True))
