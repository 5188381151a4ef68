"""Patterns of OSC 1.0 in addresses (``* ? [a-c] [!a] {one,other}``), matched in bounded time.

The places in a name that a pattern has come to are the bits of a number, so one piece of the
pattern is one operation on all of them: time grows with the length of the pattern, whatever is in
it (the automaton of Thompson 1968, in a machine word as by Baeza-Yates and Gonnet 1992).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

MAX_PATTERN = 128
_PIECE = re.compile(r"\*+|\?|\[!?[^\]]*\]|\{[^}]*\}|[^*?\[{]+|.", re.DOTALL)
_RANGE = re.compile(r"(.)-(.)|(.)", re.DOTALL)
_SIGNS = frozenset("*?[{")
Masks = Mapping[str, int]  # of a name: for each character the places where it stands, as bits


def is_pattern(text: str) -> bool:
    """Return whether a part of an address is more than a name."""
    return not _SIGNS.isdisjoint(text)


@functools.lru_cache(4096)
def matches(pattern: str, name: str) -> bool:
    """Return whether a pattern matches a part of an address; one that is too long matches none."""
    if pattern == name or not is_pattern(pattern):
        return pattern == name
    if len(pattern) > MAX_PATTERN:
        return False
    masks, every = _masks(name), (1 << len(name)) - 1
    places = 1  # bit k: the pattern has come to the character k, all before it is matched
    for piece in _pieces(pattern):
        places = _after(piece, places, masks, every)
        if not places:
            return False
    return bool(places & (every + 1))


Piece = str | frozenset[str] | tuple[str, ...]
"""Characters, ``*`` or ``?`` by themselves; a class of characters; words of which one fits."""


@functools.lru_cache(256)
def _pieces(pattern: str) -> tuple[Piece, ...]:
    return tuple(_piece(found[0]) for found in _PIECE.finditer(pattern))


def _piece(text: str) -> Piece:
    if text[0] == "*":
        return "*"
    if text[0] == "[" and text[-1] == "]":
        excluded = text.startswith("[!")
        named = _class(text[1 + excluded : -1])
        return frozenset(map(chr, range(33, 127))) - named if excluded else named
    if text[0] == "{" and text[-1] == "}":
        return tuple(text[1:-1].split(","))
    return text


def _class(text: str) -> frozenset[str]:
    """Return the characters that ``a-cx`` between brackets stands for."""
    ranges = ((m[1] or m[3], m[2] or m[3]) for m in _RANGE.finditer(text))
    return frozenset(chr(code) for low, high in ranges for code in range(ord(low), ord(high) + 1))


def _after(piece: Piece, places: int, masks: Masks, every: int) -> int:
    """Return the places that a piece leads to from all of `places`."""
    if piece == "*":
        return (2 * every + 1) & -(places & -places)  # the first of them, and all behind it
    if piece == "?":
        return (places & every) << 1
    if isinstance(piece, str):
        return _literal(piece, places, masks)
    if isinstance(piece, frozenset):
        inside = sum(mask for sign, mask in masks.items() if sign in piece)
        return (places & inside) << 1
    found = 0
    for word in piece:
        found |= _literal(word, places, masks)
    return found


def _literal(text: str, places: int, masks: Masks) -> int:
    for sign in text:
        places = (places & masks.get(sign, 0)) << 1
    return places


@functools.lru_cache(1024)
def _masks(name: str) -> Masks:
    return {sign: sum(1 << k for k, other in enumerate(name) if other == sign) for sign in name}
