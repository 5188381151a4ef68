"""Read JSON that somebody else has written: bounded in size, in depth and in its numbers."""

from __future__ import annotations

import json
from typing import Any, NoReturn

MAX_DEPTH = 32
"""Objects and lists in each other: ours have six at most."""
_MOST_DIGITS = 20  # of a whole number of 64 bits, with its sign
_WHOLE = range(-(1 << 63), 1 << 63)


def read_json(text: str | bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value of a JSON text.

    Parameters
    ----------
    text : bytes are UTF-8.
    max_bytes : the longest text (characters, for a string) that is read at all.

    Raises
    ------
    ValueError, in words for the one who sent it, for what is no JSON, has a number that is not
    finite, a whole one of more than 64 bits or a name twice in an object, or is too long or nested
    too deeply. Python's own reader ends in a RecursionError there, takes the last of two values,
    or gives what later ends another function in an OverflowError.
    """
    if len(text) > max_bytes:
        raise ValueError(f"it is longer than {max_bytes} bytes")
    try:
        value = json.loads(
            text,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError(f"it is nested deeper than {max_depth} levels") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    if _is_deeper(value, max_depth):
        raise ValueError(f"it is nested deeper than {max_depth} levels")
    return value


def read_json_object(
    text: str | bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH
) -> dict[str, Any]:
    """Return the JSON object of a text. Raises ValueError as `read_json`, and for other values."""
    value = read_json(text, max_bytes=max_bytes, max_depth=max_depth)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def _is_deeper(value: Any, max_depth: int) -> bool:
    """Return whether a value is nested deeper than that; by levels, so that no call is nested."""
    level = [value]
    for _ in range(max_depth):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return any(isinstance(inner, dict | list) for inner in level)


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:20]} … is too large a number")
    return number


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS or int(digits) not in _WHOLE:
        raise ValueError(f"{digits[:20]} … is too large a number")
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, inner in pairs:
        if name in value:
            raise ValueError(f"{name!r:.40} is twice in one object; leave one out")
        value[name] = inner
    return value
