"""MP3 files: frames one behind the other, which need not tell how many there are.

A decoder learns the length of an MP3 from the frame *Xing* or *Info* at its start; without it the
length is guessed from the size of the file, and what is beyond the guess is not read. Here the
frames are counted, and the frame *Info* is put right or put in.

A decoder that finds a frame Info believes that LAME wrote it, and leaves out the 529 samples by
which such decoders are late. A file that has none loses nothing in other programs, so a silent
frame behind our own Info takes their place, and what is left of it is skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from plugin_bridge.files.containers.byte_view import ByteView, Piece, Segment
from plugin_bridge.files.containers.tags import leading_tag

_BIT_RATES = {  # kbit/s by index 1 to 14, of (MPEG-1, layer), else (MPEG-2 and 2.5, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_SAME = 0xFFFE_0C00  # bits of a header that are the same in every frame: version, layer, rate
_SEARCHED_BYTES = 1 << 16  # for the first frame, or for the next one behind damage
_MOST_GAPS = 256  # of damage that are passed over
_ENOUGH_FRAMES = 3  # one behind the other, to believe that they are some
_LOOK = 48  # bytes of a frame that hold its header and the name of Xing, Info or VBRI
_VBRI_AT = 36
_INFO_RATE = 9  # index of a bit rate at which any frame has room for Info


@dataclass(frozen=True)
class _Header:
    """The header of a frame; `size` in bytes, `info_at` is where Xing or Info would stand."""

    word: int
    layer: int
    size: int
    samples: int
    rate_hz: int
    info_at: int


@dataclass
class _Stream:
    """What one encoder wrote: a frame Info in front, if there is one, and frames of sound."""

    header: _Header
    info: bytes = b""
    count: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)
    is_cut: bool = False

    def add(self, start: int, stop: int) -> None:
        """Append a frame, to the range of the one before if it follows it."""
        self.count += 1
        if self.ranges and self.ranges[-1][1] == start:
            start = self.ranges.pop()[0]
        self.ranges.append((start, stop))


def segments(view: ByteView) -> list[Segment]:
    """Return the streams of frames in a view, one behind the other; none if there are no frames."""
    start = _first_frame(view, 0)
    if start is None:
        return []
    return [_segment(view, stream) for stream in _streams(view, start) if stream.count]


def _streams(view: ByteView, position: int) -> list[_Stream]:
    """Walk from frame to frame; a tag, a frame Info or another format begins the next stream."""
    streams: list[_Stream] = []
    begins, gaps = True, 0
    while position < view.size:
        look = view.at(position, _LOOK)
        header = _header(look)
        if header is None or not (begins or _alike(header, streams[-1].header)):
            if tag := leading_tag(view, position) or (128 if look[:3] == b"TAG" else 0):
                position, begins = position + tag, True
                continue
            found = _first_frame(view, position + 1)
            gaps += 1
            if found is None or gaps > _MOST_GAPS:
                break
            following = _header(view.at(found, 4))
            begins = begins or following is None or not _alike(following, streams[-1].header)
            position = found
            continue
        stop = position + header.size
        kind = look[4 + header.info_at :][:4]
        is_info = header.layer == 3 and (
            kind in (b"Xing", b"Info") or look[_VBRI_AT:][:4] == b"VBRI"
        )
        if begins or is_info:
            streams.append(_Stream(header))
            begins = False
        if stop > view.size:
            streams[-1].is_cut = True
            break
        if is_info:
            streams[-1].info = view.at(position, header.size)
        else:
            streams[-1].add(position, stop)
        position = stop
    return streams


def _segment(view: ByteView, stream: _Stream) -> Segment:
    header, info, missing = stream.header, stream.info, ""
    told = _told_frames(header, info)
    if told is not None and told > stream.count + 1:
        missing = f"its header tells of {told * header.samples / header.rate_hz:.3f} s"
    elif stream.is_cut:
        missing = "its last frame is cut"
    makes_info = told is None and header.layer == 3
    if makes_info:
        info = _made_info(header, stream.count + 1)
    elif told is not None and abs(told - stream.count) > 1:
        at = 4 + header.info_at + 8
        info = info[:at] + stream.count.to_bytes(4, "big") + info[at + 4 :]
    pieces: list[Piece] = [info]
    for start, stop in stream.ranges:
        pieces += view.part(start, stop)
    n_samples = stream.count * header.samples if told is None else None
    return Segment(view.view(pieces), missing, n_samples, has_lead_in=makes_info)


def _told_frames(header: _Header, info: bytes) -> int | None:
    """Return how many frames Xing or Info tells of; None if there is none that does."""
    at = 4 + header.info_at
    if info[at : at + 4] not in (b"Xing", b"Info") or len(info) < at + 12:
        return None
    has_frames = info[at + 7] & 1
    return int.from_bytes(info[at + 8 : at + 12], "big") if has_frames else None


def _made_info(header: _Header, count: int) -> bytes:
    """Return a frame Info of the same format that tells of `count` frames, and a silent one."""
    word = header.word & ~0x0000_F200 | 0x0001_0000 | _INFO_RATE << 12
    like = _header(word.to_bytes(4, "big"))
    assert like is not None
    head = word.to_bytes(4, "big")
    info = head + bytes(like.info_at) + b"Info" + (1).to_bytes(4, "big") + count.to_bytes(4, "big")
    return info.ljust(like.size, b"\0") + head.ljust(like.size, b"\0")


def _first_frame(view: ByteView, start: int) -> int | None:
    """Return where frames follow one another, near `start`; None if they do not."""
    stop = min(view.size, start + _SEARCHED_BYTES)
    for position in view.find_all(b"\xff", start, stop):
        if _runs(view, position):
            return position
    return None


def _runs(view: ByteView, position: int) -> bool:
    """Return whether frames of one format follow one another, or go on to the end."""
    first = header = _header(view.at(position, 4))
    for _ in range(_ENOUGH_FRAMES - 1):
        if header is None or first is None or not _alike(header, first):
            return False
        position += header.size
        if position >= view.size or leading_tag(view, position):
            return True
        header = _header(view.at(position, 4))
    return header is not None and first is not None and _alike(header, first)


def _alike(one: _Header, other: _Header) -> bool:
    return one.word & _SAME == other.word & _SAME


def _header(data: bytes) -> _Header | None:
    """Read the header of a frame; None if it is none, or of the free format."""
    word = int.from_bytes(data[:4], "big")
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    bit_rate, rate = word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or rate == 3 or bit_rate in (0, 15):
        return None
    is_first = version == 3  # MPEG-1
    rate_hz = _RATES_HZ[version][rate]
    bits = 1000 * _BIT_RATES[is_first, layer][bit_rate - 1]
    samples = {1: 384, 2: 1152, 3: 1152 if is_first else 576}[layer]
    padding = word >> 9 & 1
    size = (
        (12 * bits // rate_hz + padding) * 4
        if layer == 1
        else samples // 8 * bits // rate_hz + padding
    )
    mono = word >> 6 & 3 == 3
    info_at = (17 if mono else 32) if is_first else (9 if mono else 17)
    return _Header(word, layer, size, samples, rate_hz, info_at)
