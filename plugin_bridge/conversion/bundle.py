"""The arrays of a checkpoint of TensorFlow, read without TensorFlow.

A checkpoint is a table of entries (``model.index``: a sorted string table as LevelDB writes them,
of protocol buffers ``BundleEntryProto``) and files of numbers (``model.data-00000-of-00001``).
Sources: LevelDB, doc/table_format.md; TensorFlow, core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from plugin_bridge.conversion.archive import Arrays
from plugin_bridge.conversion.budget import Budget
from realtime.errors import StemsteerError

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER, _TRAILER = 48, 5  # bytes; the trailer of a block: its compression and a checksum
_MAX_INDEX_BYTES = 16 << 20
_ENTRY_BYTES = 200  # of an entry, about
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # of types.proto
_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE, _SLICES = 1, 2, 3, 4, 5, 7  # fields of BundleEntryProto
_DIMENSION, _LENGTH = 2, 1  # of TensorShapeProto and its Dim


def read_bundle(index: Path) -> Arrays:
    """Read the arrays of numbers of a checkpoint by their names, as float32.

    Parameters
    ----------
    index : the file that ends in ``.index``; those of its numbers lie beside it.

    Raises
    ------
    StemsteerError if it is no such checkpoint, is damaged, or asks for too much memory.
    """
    try:
        if index.stat().st_size > _MAX_INDEX_BYTES:
            raise StemsteerError(f"larger than {_MAX_INDEX_BYTES >> 20} MB")
        budget = Budget()
        entries = dict(_entries(index.read_bytes(), budget))
        arrays = {k.decode(): _array(index, fields, budget) for k, fields in entries.items() if k}
    except StemsteerError as error:
        raise StemsteerError(f"{index}: {error}") from error
    except OSError:
        raise
    except (ValueError, IndexError, TypeError, KeyError, AttributeError) as error:
        raise StemsteerError(f"{index} is not a checkpoint that can be read: {error}") from error
    if not arrays:
        raise StemsteerError(f"{index} holds no arrays of numbers")
    return arrays


def _entries(data: bytes, budget: Budget) -> Iterator[tuple[bytes, dict[int, int | bytes]]]:
    """Yield the keys and fields of an index; a short one may repeat a long key many times."""
    for key, value in _table(data):
        budget.take(_ENTRY_BYTES + len(key) + len(value))
        yield key, dict(_fields(value))


def _array(index: Path, fields: dict[int, int | bytes], budget: Budget) -> np.ndarray:
    """Read the numbers of an entry."""
    if _SLICES in fields:
        raise StemsteerError("an array in slices, which Spleeter's checkpoints have not")
    kind = np.dtype(_TYPES[_number(fields, _DTYPE)])
    shape = tuple(
        _number(dict(_fields(_bytes(value))), _LENGTH)
        for field, value in _fields(_bytes(fields.get(_SHAPE, b"")))
        if field == _DIMENSION
    )
    size, numbers = _number(fields, _SIZE), int(np.prod(shape, dtype=object))
    if size != numbers * kind.itemsize:
        raise StemsteerError(f"an array {shape} of {size} bytes, expected {numbers} numbers")
    budget.take(max(size, 4 * numbers))
    data = _data_file(index, _number(fields, _SHARD))
    with data.open("rb") as file:
        file.seek(_number(fields, _OFFSET))
        found = file.read(size)
    if len(found) != size:
        raise StemsteerError(f"{data.name} is torn: it ends within an array")
    return np.frombuffer(found, kind).reshape(shape).astype(np.float32)


def _data_file(index: Path, shard: int) -> Path:
    stem = index.name.removesuffix(".index")
    files = sorted(index.parent.glob(f"{stem}.data-{shard:05d}-of-*"))
    if len(files) != 1:
        raise StemsteerError(
            f"{len(files)} files {stem}.data-{shard:05d}-of-… beside it, expected one: keep all "
            "files of the checkpoint in one folder"
        )
    return files[0]


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a sorted string table."""
    if data[-8:] != _MAGIC or len(data) < _FOOTER:
        raise StemsteerError("not the index of a checkpoint of TensorFlow")
    footer = data[-_FOOTER:]
    _, at = _handle(footer, 0)  # of the block of metadata
    (offset, size), _ = _handle(footer, at)
    for _, value in _block(data, offset, size):
        yield from _block(data, *_handle(value, 0)[0])


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block; a key says how much of the one before it repeats."""
    block = data[offset : offset + size]
    if len(block) != size or offset + size + _TRAILER > len(data):
        raise StemsteerError("torn: a block reaches beyond its end")
    if data[offset + size]:
        raise StemsteerError("a compressed index, which TensorFlow does not write")
    restarts = int.from_bytes(block[-4:], "little")
    end, at, key = size - 4 * (restarts + 1), 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        yield key, block[at + fresh : at + fresh + length]
        at += fresh + length


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and where the next handle begins."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protocol buffer, number and value."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            number, at = _varint(message, at)
            yield tag >> 3, number
            continue
        if tag & 7 == 2:
            length, at = _varint(message, at)
        elif tag & 7 in (1, 5):
            length = 8 if tag & 7 == 1 else 4
        else:
            raise StemsteerError("damaged: a field of no known kind")
        if at + length > len(message):
            raise StemsteerError("torn: a field reaches beyond its end")
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where the next begins."""
    number = 0
    for shift in range(0, 64, 7):
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise StemsteerError("damaged: a number of more than 64 bits")


def _number(fields: dict[int, int | bytes], field: int) -> int:
    value = fields.get(field, 0)
    if not isinstance(value, int):
        raise StemsteerError(f"damaged: field {field} is not a number")
    return value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise StemsteerError("damaged: a number where a message is expected")
    return value
