"""The one exception for what is wrong outside the program: files, models, peers."""

from __future__ import annotations


class StemsteerError(Exception):
    """A file, peer or device that cannot be used: the message says what, why and what to do."""
