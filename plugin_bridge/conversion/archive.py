"""The arrays of a checkpoint of torch, read without torch and without running what is in it.

A pickle is a program. `_ArrayUnpickler` knows numpy's arrays, torch's tensors and ordered
dictionaries, and refuses a file that asks for anything else.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from realtime.errors import StemsteerError

Arrays = dict[str, NDArray[np.float32]]
MAX_BYTES = 1 << 30  # of what a checkpoint holds; the largest we know has 0.2 GB
_STORAGES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "BoolStorage": np.bool_,
}
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
    except StemsteerError as error:
        raise StemsteerError(f"{name}: {error}") from error
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise StemsteerError(f"{name} is not a checkpoint that can be read: {error}") from error
    arrays = dict(_flat(found))
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

        return _ArrayUnpickler(io.BytesIO(archive.read(pickles[0])), storage).load()


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

    if _ArrayUnpickler(stream, storage).load() != _LEGACY_MAGIC:
        raise StemsteerError("neither a checkpoint of torch nor a zip file")
    for _ in ("version of the format", "of the machine"):
        _ArrayUnpickler(stream, storage).load()
    found = _ArrayUnpickler(stream, storage).load()
    for key in _ArrayUnpickler(stream, storage).load():
        size = int.from_bytes(stream.read(8), "little")
        numbers = storages[key]
        if size != numbers.size:
            raise StemsteerError(f"storage {key} has {size} numbers, expected {numbers.size}")
        numbers[:] = np.frombuffer(stream.read(numbers.nbytes), numbers.dtype)
    return found


class _ArrayUnpickler(pickle.Unpickler):
    """Read a pickle of arrays.

    Parameters
    ----------
    storage : gives the numbers of a storage by its key, type and size.
    """

    def __init__(
        self, stream: Any, storage: Callable[[str, type[np.generic], int], NDArray[Any]]
    ) -> None:
        super().__init__(stream)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        known = _KNOWN.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise StemsteerError(
                f"it asks for {module}.{name}, which is not an array: refused, since a checkpoint "
                "can run anything"
            )
        return known

    def persistent_load(self, reference: Any) -> NDArray[Any]:
        kind, type_, key, _, size = reference[:5]
        if kind != "storage" or type_ not in _STORAGES.values():
            raise StemsteerError(f"it refers to {kind!r}, expected a storage of numbers")
        return self._storage(str(key), type_, int(size))


def _tensor(
    storage: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> NDArray[Any]:
    """Make an array of a tensor's parts: `torch._utils._rebuild_tensor_v2`."""
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride), default=0) < 0 or (all(size) and last >= storage.size):
        raise StemsteerError(f"a tensor {size} reaches beyond its {storage.size} numbers")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


def _parameter(tensor: NDArray[Any], *_: object) -> NDArray[Any]:
    return tensor


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise StemsteerError(f"bytes encoded as {encoding!r}, expected latin1")
    return text.encode(encoding)


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.ndarray.__reduce__(np.zeros(1))[0],
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


def _flat(found: object, prefix: str = "") -> list[tuple[str, NDArray[np.float32]]]:
    """List the arrays of numbers in nested dictionaries, by joined names."""
    if isinstance(found, np.ndarray) and found.dtype.kind in "fiub":
        return [(prefix, np.ascontiguousarray(found, np.float32))]
    if not isinstance(found, Mapping):
        return []
    items = ((f"{prefix}.{key}" if prefix else str(key), value) for key, value in found.items())
    return [pair for name, value in items for pair in _flat(value, name)]
