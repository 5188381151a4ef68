"""MIDI files as they are found: alien chunks, wrong lengths, tracks without end, RIFF around them.

"Your programs should expect alien chunks and treat them as if they weren't there" (Standard MIDI
Files 1.0); Yamaha's XF files have them in front of, between and behind the tracks.
"""

from __future__ import annotations

import struct

_TRACK = b"MTrk"
_END = b"\x00\xff\x2f\x00"  # at once, end of track
_DATA_BYTES = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}


def repaired(data: bytes) -> bytes:
    """Return a MIDI file of the header and the tracks of `data`, with their true lengths.

    Raises ValueError if there is no header.
    """
    start = data.find(b"MThd", 0, 64)  # behind RIFF and RMID, if they are there
    if start < 0 or len(data) < start + 14:
        raise ValueError("not a MIDI file: it has no header MThd")
    size, kind, _, division = struct.unpack_from(">IHHh", data, start + 4)
    tracks = _tracks(data, start + 8 + max(6, size))
    head = struct.pack(">4sIHHh", b"MThd", 6, kind, len(tracks), division)
    return head + b"".join(struct.pack(">4sI", _TRACK, len(track)) + track for track in tracks)


def _tracks(data: bytes, position: int) -> list[bytes]:
    """Return the events of every track; a chunk of another name is passed over by its length."""
    tracks = []
    while position + 8 <= len(data):
        name, size = struct.unpack_from(">4sI", data, position)
        begin = position + 8
        if name == _TRACK:
            end, is_whole = _end_of_track(data, begin)
            tracks.append(data[begin:end] + (b"" if is_whole else _END))
            position = begin + size if begin + size >= end else end
        else:
            position = begin + size
        if data[position : position + 4] != _TRACK and not _is_name(data[position : position + 4]):
            found = data.find(_TRACK, begin)  # the length was wrong
            position = found if found >= 0 else len(data)
    return tracks


def _end_of_track(data: bytes, position: int) -> tuple[int, bool]:
    """Return where the last whole event of a track ends, and whether it is the end of the track."""
    status = 0
    while True:
        begin = position
        delta_end = _number_end(data, position)
        if delta_end is None or delta_end >= len(data) or data[begin:].startswith(_TRACK):
            return begin, False
        position = delta_end
        if data[position] & 0x80:
            status = data[position]
            position += 1
        if status in (0xFF, 0xF0, 0xF7):
            is_end = status == 0xFF and data[position : position + 1] == b"\x2f"
            position += status == 0xFF
            length_end = _number_end(data, position)
            if length_end is None:
                return begin, False
            position = length_end + _number(data[position:length_end])
            if is_end and position <= len(data):
                return position, True
        else:
            position += _DATA_BYTES.get(status >> 4, 0) or len(
                data
            )  # no event: the track is broken
        if position > len(data):
            return begin, False


def _number_end(data: bytes, position: int) -> int | None:
    """Return where a number of variable length ends; None if it does not within four bytes."""
    for end in range(position + 1, min(position + 4, len(data)) + 1):
        if not data[end - 1] & 0x80:
            return end
    return None


def _number(data: bytes) -> int:
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def _is_name(name: bytes) -> bool:
    """Return whether bytes can be the name of a chunk, or are the end of the file."""
    return all(32 <= letter < 127 for letter in name)
