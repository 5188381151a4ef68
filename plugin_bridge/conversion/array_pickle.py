"""Pickles of arrays, read without handing what is in them any function or type.

A pickle is a program: it calls what it is given, with any arguments, and sets the state of what
comes of that. numpy's own types do not bear that: `numpy.ndarray` takes bytes for addresses if the
pickle says so. A pickle is therefore given stand-ins of ours alone. They take the arguments that
torch and numpy write, and make numbers of them. What it holds is never put into words: nested
tuples that are all one object may be longer in words than any memory.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.conversion.budget import Budget
from realtime.errors import StemsteerError

BFLOAT16 = np.dtype([("upper_half_of_float32", "<u2")])
STORAGES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype(np.float32),
    "DoubleStorage": np.dtype(np.float64),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": BFLOAT16,
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "BoolStorage": np.dtype(np.bool_),
}
_CODES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_MAX_STEPS = 1 << 22  # of a pickle; each makes an object, of some 200 bytes at the most
_ENTRY_BYTES = 100  # of a dictionary, about
_MAX_AXES = 32

Storage = Callable[[str, np.dtype[Any], int], NDArray[Any]]
"""Gives the numbers of a storage by its key, type and size."""


class _Inert:
    """What a pickle may hold, but can neither call nor change."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise StemsteerError("it changes what is not its own: refused")


class Dictionary(dict[Any, Any]):
    """An ordered dictionary of a pickle; attributes, as torch's ``_metadata``, are left out."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Take no state: the entries come by themselves."""


class Array(_Inert):
    """Numbers of a pickle: a storage, a tensor, or an array of numpy.

    One of numpy is made empty, and has its numbers when the pickle sets its state.
    """

    __slots__ = ("_numbers",)

    def __init__(self, numbers: NDArray[Any] | None = None) -> None:
        self._numbers = numbers

    @property
    def numbers(self) -> NDArray[Any]:
        if self._numbers is None:
            raise StemsteerError("an array without numbers")
        return self._numbers

    @property
    def floats(self) -> NDArray[np.float32]:
        """Return the numbers as float32, row by row."""
        numbers = self.numbers
        if numbers.dtype == BFLOAT16:
            upper = numbers["upper_half_of_float32"].astype(np.uint32)
            numbers = (upper << 16).view(np.float32)
        return np.ascontiguousarray(numbers, np.float32)

    def __setstate__(self, state: object) -> None:
        if self._numbers is not None:
            raise StemsteerError("an array whose numbers are changed")
        match state:
            case (1, tuple() as shape, _Dtype() as dtype, bool() as by_columns, bytes() as raw):
                self._numbers = _numbers_of(raw, dtype.numpy, shape, by_columns)
            case _:
                raise StemsteerError("an array of numpy that is not plain numbers")


class _Dtype(_Inert):
    """The type of an array's numbers."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: str) -> None:
        self._code, self._order = code, "|"

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self._code).newbyteorder(self._order)  # type: ignore[arg-type]

    def __setstate__(self, state: object) -> None:
        match state:
            case (3, "<" | ">" | "=" | "|" as order, None, None, None, -1, -1, 0):
                self._order = order
            case _:
                raise StemsteerError("an array of numpy that is not plain numbers")


class _Maker(_Inert):
    """Stands for a function of torch, or for a type that is called."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def __call__(self, *arguments: object) -> object:
        return self._make(*arguments)


class ArrayUnpickler(pickle.Unpickler):
    """Read a pickle of arrays; it gives plain values, `Dictionary` and `Array`.

    Parameters
    ----------
    stream : where the pickle begins, and which can be read anew from there.
    storage : gives the numbers of a storage by its key, type and size.
    budget : what the pickle may have in memory beside its own length.
    """

    def __init__(self, stream: IO[bytes], storage: Storage, budget: Budget) -> None:
        _check_steps(stream)
        super().__init__(stream)
        self._storage, self._budget = storage, budget
        ndarray = _Inert()
        self._known: dict[tuple[str, str], _Inert] = {
            ("collections", "OrderedDict"): _Maker(self._dictionary),
            ("_codecs", "encode"): _Maker(self._encode),
            ("numpy", "ndarray"): ndarray,
            ("numpy", "dtype"): _Maker(_dtype),
            ("numpy.core.multiarray", "_reconstruct"): _Maker(
                lambda kind, shape, code: _empty(kind is ndarray, shape, code)
            ),
            ("torch._utils", "_rebuild_tensor_v2"): _Maker(_tensor),
            ("torch._utils", "_rebuild_parameter"): _Maker(_parameter),
        }

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return name
        known = self._known.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise StemsteerError(
                f"it asks for {module}.{name}, which is not an array: refused, since a checkpoint "
                "can run anything"
            )
        return known

    def persistent_load(self, reference: Any) -> Array:
        kind, type_, key, _, size = reference[:5]
        if kind != "storage" or not isinstance(type_, str) or type_ not in STORAGES:
            raise StemsteerError("it refers to something that is not a storage of numbers")
        if not isinstance(key, str) or not _are_sizes((size,)):
            raise StemsteerError("a storage whose key is no word, or whose size is no number")
        return Array(self._storage(key, STORAGES[type_], size))

    def _dictionary(self, entries: object = ()) -> Dictionary:
        if not isinstance(entries, tuple | list):
            raise StemsteerError("a dictionary of what is no list of entries")
        self._budget.take(_ENTRY_BYTES * len(entries))
        return Dictionary(entries)

    def _encode(self, text: object, encoding: object) -> bytes:
        if encoding != "latin1" or not isinstance(text, str):
            raise StemsteerError("bytes that are not encoded as latin1")
        self._budget.take(len(text))
        return text.encode("latin1")


def _check_steps(stream: IO[bytes]) -> None:
    """Read the steps of a pickle without taking them, and go back to where it begins.

    Python makes room for as many values as the pickle says that it remembers, and for as many
    bytes as it says that follow.
    """
    begin = stream.tell()
    for place, (step, value, _) in enumerate(pickletools.genops(stream)):
        remembered = (value or 0) if step.name in ("PUT", "BINPUT", "LONG_BINPUT") else 0
        if max(place, remembered) > _MAX_STEPS:
            raise StemsteerError(f"a pickle of more than {_MAX_STEPS} steps")
    stream.seek(begin, io.SEEK_SET)


def _are_sizes(values: object) -> bool:
    """Return whether it is a tuple of as many whole numbers from 0 as an array may have axes."""
    return (
        isinstance(values, tuple)
        and len(values) <= _MAX_AXES
        and all(isinstance(value, int) and 0 <= value < 1 << 62 for value in values)
    )


def _numbers_of(
    raw: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], by_columns: bool
) -> NDArray[Any]:
    if not _are_sizes(shape) or math.prod(shape) * dtype.itemsize != len(raw):
        raise StemsteerError(f"an array whose shape does not fit its {len(raw)} bytes")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if by_columns else "C")


def _dtype(code: object, *_: object) -> _Dtype:
    """Name the type of an array's numbers: `numpy.dtype`."""
    if not isinstance(code, str) or code not in _CODES:
        raise StemsteerError("an array of numpy that is not plain numbers")
    return _Dtype(code)


def _empty(is_array: bool, shape: object, code: object) -> Array:
    """Make an array that has no numbers yet: numpy's `_reconstruct`."""
    if not is_array or shape != (0,) or code not in (b"b", "b"):
        raise StemsteerError("an array of numpy that does not begin as one")
    return Array()


def _tensor(storage: object, offset: Any, size: Any, stride: Any, *_: object) -> Array:
    """Make an array of a tensor's parts: `torch._utils._rebuild_tensor_v2`."""
    if not isinstance(storage, Array) or not all(map(_are_sizes, ((offset,), size, stride))):
        raise StemsteerError("a tensor that is not numbers of a storage")
    numbers = storage.numbers.reshape(-1)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) > numbers.size or (all(size) and last >= numbers.size):
        raise StemsteerError(f"a tensor {size} reaches beyond its {numbers.size} numbers")
    steps = [step * numbers.itemsize for step in stride]
    return Array(np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False))


def _parameter(tensor: object, *_: object) -> Array:
    """Take a tensor as it is: `torch._utils._rebuild_parameter`."""
    if not isinstance(tensor, Array):
        raise StemsteerError("a parameter that is no tensor")
    return tensor
