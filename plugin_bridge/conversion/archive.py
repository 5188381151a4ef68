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

from plugin_bridge.conversion.array_pickle import Array, ArrayUnpickler, Storage
from plugin_bridge.conversion.budget import Budget
from realtime.errors import StemsteerError

Arrays = dict[str, NDArray[np.float32]]
Numbers = dict[str, float]
_ENTRY_BYTES = 100  # of what a dictionary holds, about
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def read_arrays(file: Path | IO[bytes]) -> Arrays:
    """Read the arrays of numbers of a checkpoint, see `read_checkpoint`."""
    return read_checkpoint(file)[0]


def read_checkpoint(file: Path | IO[bytes]) -> tuple[Arrays, Numbers]:
    """Read the arrays of numbers of a checkpoint (.pth, .ckpt), and single numbers, by their names.

    Nested dictionaries have their names joined by dots.

    Raises
    ------
    StemsteerError if it is no checkpoint, is damaged, or asks for more than arrays.
    """
    name = str(getattr(file, "name", file))
    try:
        with file.open("rb") if isinstance(file, Path) else file as stream:
            found = _read_zip(stream) if zipfile.is_zipfile(stream) else _read_legacy(stream)
        arrays: Arrays = {}
        numbers: Numbers = {}
        for place, value in _flat(found, Budget()):
            if isinstance(value, Array):
                arrays[place] = value.floats
            else:
                numbers[place] = float(value)
    except StemsteerError as error:
        raise StemsteerError(f"{name}: {error}") from error
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise StemsteerError(f"{name} is not a checkpoint that can be read: {error}") from error
    if not arrays:
        raise StemsteerError(f"{name} holds no arrays of numbers")
    return arrays, numbers


def _read_zip(stream: IO[bytes]) -> object:
    """Read a checkpoint of torch 1.6 and later: a zip with a pickle and files of numbers."""
    with zipfile.ZipFile(stream) as archive:
        budget, storages = Budget(), _Storages()
        for member in archive.infolist():
            budget.take(member.file_size)
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise StemsteerError("compressed in a way that torch does not use")
        pickles = [n for n in archive.namelist() if n.endswith("data.pkl")]
        if len(pickles) != 1:
            raise StemsteerError("a zip file, but not a checkpoint: it has no data.pkl")
        folder = pickles[0].removesuffix("data.pkl")

        def read(key: str, kind: np.dtype[Any], size: int) -> NDArray[Any]:
            return np.frombuffer(archive.read(f"{folder}data/{key}"), kind, size)

        program = io.BytesIO(archive.read(pickles[0]))
        return ArrayUnpickler(program, storages.given_by(read), budget).load()


def _read_legacy(stream: IO[bytes]) -> object:
    """Read a checkpoint of torch before 1.6: five pickles, and then the numbers of each storage."""
    budget, storages = Budget(), _Storages()
    budget.take(stream.seek(0, io.SEEK_END))
    stream.seek(0)

    def room(key: str, kind: np.dtype[Any], size: int) -> NDArray[Any]:
        budget.take(size * kind.itemsize)
        return np.zeros(size, kind)

    def load() -> Any:
        return ArrayUnpickler(stream, storages.given_by(room), budget).load()

    if load() != _LEGACY_MAGIC:
        raise StemsteerError("neither a checkpoint of torch nor a zip file")
    for _ in ("version of the format", "of the machine"):
        load()
    found = load()
    for key in load():
        if not isinstance(key, str) or key not in storages.made:
            raise StemsteerError("it has a storage that no tensor refers to")
        size = int.from_bytes(stream.read(8), "little")
        numbers = storages.made[key]
        if size != numbers.size:
            raise StemsteerError(f"storage {key} has {size} numbers, expected {numbers.size}")
        numbers[:] = np.frombuffer(stream.read(numbers.nbytes), numbers.dtype)
    return found


class _Storages:
    """The storages of a checkpoint; each is made once, however many tensors refer to it."""

    def __init__(self) -> None:
        self.made: dict[str, NDArray[Any]] = {}

    def given_by(self, make: Storage) -> Storage:
        """Return what gives a storage, and has `make` make it the first time."""

        def given(key: str, kind: np.dtype[Any], size: int) -> NDArray[Any]:
            if key not in self.made:
                self.made[key] = make(key, kind, size)
            found = self.made[key]
            if found.dtype != kind or found.size != size:
                raise StemsteerError(f"storage {key} is referred to as two different ones")
            return found

        return given


def _flat(found: object, budget: Budget, prefix: str = "") -> Iterator[tuple[str, Array | float]]:
    """Yield the arrays and single numbers in nested dictionaries, by joined names."""
    budget.take(_ENTRY_BYTES + len(prefix))
    if isinstance(found, Array):
        budget.take(4 * found.numbers.size)
        yield prefix, found
    elif isinstance(found, int | float):
        yield prefix, found
    elif isinstance(found, dict):
        for key, value in found.items():
            if isinstance(key, str | int):
                yield from _flat(value, budget, f"{prefix}.{key}" if prefix else str(key))
