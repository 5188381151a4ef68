"""The one exception for what is wrong outside the program: files, models, peers."""

from __future__ import annotations

import errno


class StemsteerError(Exception):
    """A file, peer or device that cannot be used: the message says what, why and what to do."""


def one_line(error: Exception) -> str:
    """Return what an error says in one line, of the system's with the file that it is about.

    Of a name that is too long it says what to do, since none helps but another one.
    """
    if isinstance(error, OSError) and error.strerror and error.filename:
        advice = "; give a shorter one" if error.errno == errno.ENAMETOOLONG else ""
        return f"{error.filename}: {error.strerror.lower()}{advice}"
    return " ".join(str(error).split())
