"""The texts that an ONNX file carries, read without a session: nothing of the graph is touched.

An ONNX file is a protocol buffer, a row of fields: a number that tells field and kind, and then,
of what has a length, the length and the bytes. Field 14 of a model is an entry of its metadata,
of which field 1 is the key and field 2 the value (onnx.proto, ModelProto).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from realtime.spec_fields import MAX_SPEC_BYTES

_METADATA, _KEY, _VALUE = 14, 1, 2
_WITH_LENGTH = 2
_FIXED_BYTES = {1: 8, 5: 4}
_MOST_FIELDS = 10_000


def metadata_text(path: Path, key: str) -> str | None:
    """Return the text under `key`; None if there is none, or the file is no ONNX file.

    Raises ValueError if it is longer than a spec may be.
    """
    try:
        if not path.is_file():  # as a pipe, which may never be written to
            return None
        with open(path, "rb") as file:
            for number, start, size in _fields(file, 0, os.fstat(file.fileno()).st_size):
                if number == _METADATA:
                    entry = {n: (a, s) for n, a, s in _fields(file, start, start + size)}
                    if _KEY in entry and _read(file, entry[_KEY], 1000) == key.encode():
                        return _read(file, entry.get(_VALUE, (0, 0)), MAX_SPEC_BYTES).decode()
    except (OSError, EOFError, UnicodeDecodeError):
        return None
    return None


def _fields(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, position and size of every field that has a length."""
    for _ in range(_MOST_FIELDS):
        if start >= stop:
            return
        file.seek(start)
        tag = _number(file)
        kind = tag & 7
        if kind == _WITH_LENGTH:
            size = _number(file)
            start = file.tell() + size
            if start > stop:
                raise EOFError
            yield tag >> 3, start - size, size
        elif kind == 0:
            _number(file)
            start = file.tell()
        elif kind in _FIXED_BYTES:
            start = file.tell() + _FIXED_BYTES[kind]
        else:
            raise EOFError


def _number(file: BinaryIO) -> int:
    """Read a number of seven bits a byte, the lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 0x7F) << shift
        if not byte[0] & 0x80:
            return value
    raise EOFError


def _read(file: BinaryIO, place: tuple[int, int], most: int) -> bytes:
    start, size = place
    if size > most:
        raise ValueError(f"a text of {size} bytes in it, expected at most {most}")
    file.seek(start)
    return file.read(size)
