"""MIDI files as they are found: alien chunks, wrong lengths, tracks without end, RIFF around them.

Of the events those stay that lanes are made of: the messages of channels, each with its status,
and the tempi. In place of any other an empty text keeps its time. Recorders of raw MIDI leave
single bytes of real time as events, which the standard does not have and which end nothing.

"Your programs should expect alien chunks and treat them as if they weren't there" (Standard MIDI
Files 1.0); Yamaha's XF files have them in front of, between and behind the tracks.
"""

from __future__ import annotations

import struct

_TRACK = b"MTrk"
_NOTHING = b"\xff\x01\x00"  # an empty text
_CUT = b"\x00\xff\x06\x00"  # at once, an empty marker
_END = b"\xff\x2f\x00"
_SYSEX, _ESCAPE, _META = 0xF0, 0xF7, 0xFF
_TEMPO, _END_OF_TRACK = b"\x51", b"\x2f"
_LONG = (0x80, 0x90, 0xA0, 0xB0, 0xE0, 0xF2)
_SHORT = (0xC0, 0xD0, 0xF1, 0xF3)
_DATA_BYTES = {**dict.fromkeys(_LONG, 2), **dict.fromkeys(_SHORT, 1)}
"""Data bytes of a message by its status, without its channel; one of real time has none."""


def repaired(data: bytes) -> bytes:
    """Return a MIDI file of the header and the tracks of `data`, with their true lengths.

    The only markers in it stand where a track is cut, since what is behind is no event.

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
            events, end, is_ended = _events(data, begin)
            is_cut = end not in (begin + size, len(data)) and not data.startswith(_TRACK, end)
            if not is_ended:
                events += is_cut * _CUT + b"\x00" + _END
            tracks.append(events)
            position = begin + size if begin + size >= end else end
        else:
            position = begin + size
        if data[position : position + 4] != _TRACK and not _is_name(data[position : position + 4]):
            found = data.find(_TRACK, begin)  # the length was wrong
            position = found if found >= 0 else len(data)
    return tracks


def _events(data: bytes, position: int) -> tuple[bytes, int, bool]:
    """Return the events of a track up to the last whole one, where that ends, and if it is the end.

    A message that has no status of its own has that of the last one of a channel.
    """
    events, status = bytearray(), 0
    while not data.startswith(_TRACK, position):
        begin = _number_end(data, position)  # of the event, behind its time
        if begin is None or begin >= len(data):
            break
        if 0x80 <= data[begin] < _SYSEX:
            status = data[begin]
        event, end = _event(data, begin, status)
        if end > len(data):
            break
        events += data[position:begin] + event
        position = end
        if event == _END:
            return bytes(events), position, True
    return bytes(events), position, False


def _event(data: bytes, begin: int, status: int) -> tuple[bytes, int]:
    """Return an event as it is kept, and where it ends; that is beyond the data if it is none.

    Parameters
    ----------
    status : of the last message of a channel, the one that begins here included; 0: none yet.
    """
    first = data[begin]
    if first in (_SYSEX, _ESCAPE, _META):
        kind = data[begin + 1 : begin + 2] if first == _META else b""
        length = begin + 1 + len(kind)
        end = _number_end(data, length)
        if end is None:
            return b"", len(data) + 1
        end += _number(data[length:end])
        kept = {_TEMPO: data[begin:end], _END_OF_TRACK: _END}
        return kept.get(kind, _NOTHING), end
    if first > _SYSEX:
        return _NOTHING, begin + 1 + _DATA_BYTES.get(first, 0)
    begin += first >= 0x80
    end = begin + _DATA_BYTES.get(status & 0xF0, len(data))
    if max(data[begin:end], default=0) >= 0x80:
        return b"", len(data) + 1
    return bytes([status]) + data[begin:end], end


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
