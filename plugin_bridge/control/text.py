"""Text from outside, made fit for a terminal."""

from __future__ import annotations


def printable(text: str, longest: int = 400) -> str:
    """Return text without what would steer a terminal or cannot be encoded, and not too long.

    Escape sequences, line breaks and other control characters become ``\\x1b`` and the like, and
    so do the bytes of a file name that is not UTF-8.
    """
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)
    return text if len(text) <= longest else f"{text[:longest]}…"


def _escaped(sign: str) -> str:
    code = ord(sign)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8, as Python keeps it (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return sign.encode("unicode_escape").decode("ascii")
