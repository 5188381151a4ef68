"""The one exception for what is wrong outside the program: files, models, peers."""

from __future__ import annotations


class StemsteerError(Exception):
    """A file, peer or device that cannot be used: the message says what, why and what to do."""


def one_line(error: Exception) -> str:
    """Return what an error says in one line, of the system's with the file that it is about."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror.lower()}"
    return " ".join(str(error).split())
