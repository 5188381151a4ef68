"""The arrays of a checkpoint of torch, read without torch and without running what is in it.

`array_pickle` reads the pickles in it, which ask for arrays, tensors and ordered dictionaries; a
file that asks for anything else is refused.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.conversion.array_pickle import Array, ArrayUnpickler
from realtime.errors import StemsteerError

Arrays = dict[str, NDArray[np.float32]]
_Named = tuple[str, NDArray[np.float32]]
MAX_BYTES = 1 << 30  # of what a checkpoint holds; the largest we know has 0.2 GB
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def read_arrays(file: Path | IO[bytes]) -> Arrays:
    """Read the arrays of numbers of a checkpoint (.pth, .ckpt) by their names.

    Nested dictionaries have their names joined by dots.

    Raises
    ------
    StemsteerError if it is no checkpoint, is damaged, or asks for more than arrays.
    """
    name = str(getattr(file, "name", file))
    try:
        with file.open("rb") if isinstance(file, Path) else file as stream:
            found = _read_zip(stream) if zipfile.is_zipfile(stream) else _read_legacy(stream)
        arrays = dict(_flat(found))
    except StemsteerError as error:
        raise StemsteerError(f"{name}: {error}") from error
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise StemsteerError(f"{name} is not a checkpoint that can be read: {error}") from error
    if not arrays:
        raise StemsteerError(f"{name} holds no arrays of numbers")
    return arrays


def _read_zip(stream: IO[bytes]) -> object:
    """Read a checkpoint of torch 1.6 and later: a zip with a pickle and files of numbers."""
    with zipfile.ZipFile(stream) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
            raise StemsteerError(f"more than {MAX_BYTES >> 30} GB")
        pickles = [n for n in archive.namelist() if n.endswith("data.pkl")]
        if len(pickles) != 1:
            raise StemsteerError("a zip file, but not a checkpoint: it has no data.pkl")
        folder = pickles[0].removesuffix("data.pkl")

        def storage(key: str, kind: type[np.generic], size: int) -> NDArray[Any]:
            return np.frombuffer(archive.read(f"{folder}data/{key}"), kind, size)

        return ArrayUnpickler(io.BytesIO(archive.read(pickles[0])), storage).load()


def _read_legacy(stream: IO[bytes]) -> object:
    """Read a checkpoint of torch before 1.6: five pickles, and then the numbers of each storage."""
    if stream.seek(0, io.SEEK_END) > MAX_BYTES:
        raise StemsteerError(f"more than {MAX_BYTES >> 30} GB")
    stream.seek(0)
    storages: dict[str, NDArray[Any]] = {}

    def storage(key: str, kind: type[np.generic], size: int) -> NDArray[Any]:
        if size * np.dtype(kind).itemsize > MAX_BYTES:
            raise StemsteerError(f"more than {MAX_BYTES >> 30} GB")
        return storages.setdefault(key, np.zeros(size, kind))

    if ArrayUnpickler(stream, storage).load() != _LEGACY_MAGIC:
        raise StemsteerError("neither a checkpoint of torch nor a zip file")
    for _ in ("version of the format", "of the machine"):
        ArrayUnpickler(stream, storage).load()
    found = ArrayUnpickler(stream, storage).load()
    for key in ArrayUnpickler(stream, storage).load():
        size = int.from_bytes(stream.read(8), "little")
        numbers = storages[key]
        if size != numbers.size:
            raise StemsteerError(f"storage {key} has {size} numbers, expected {numbers.size}")
        numbers[:] = np.frombuffer(stream.read(numbers.nbytes), numbers.dtype)
    return found


def _flat(found: object, prefix: str = "") -> Iterator[_Named]:
    """Yield the arrays of numbers in nested dictionaries, by joined names."""
    if isinstance(found, Array):
        yield prefix, np.ascontiguousarray(found.numbers, np.float32)
    elif isinstance(found, dict):
        for key, value in found.items():
            if isinstance(key, str | int):
                yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
