"""The user's library of timbres, as browsers are shown it."""

from __future__ import annotations

import contextlib
import time

from plugin_bridge.timbre import TimbreLibrary
from realtime.errors import StemsteerError

EVERY_S = 1.0
MOST = 200
File = tuple[str, int, int]
"""A name, and what tells one file of that name from another: `TimbreLibrary.stamp`."""


class TimbreList:
    """Tells the timbres by name, each with the encoder that made it; looks at the disk rarely."""

    def __init__(self) -> None:
        self._library = TimbreLibrary()
        self._next_s = 0.0
        self._encoders: dict[File, str] = {}
        self._n_more = 0

    def told(self) -> dict[str, object]:
        """Return ``timbres``, pairs of name and encoder, and ``n_more``, how many are left out.

        A file that is no timbre is none of them.
        """
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + EVERY_S
            names = self._library.names()
            files = [(name, *self._library.stamp(name)) for name in names[:MOST]]
            self._encoders = {file: self._encoder(file) for file in files}
            self._n_more = len(names[MOST:])
        timbres = [[name, encoder] for (name, *_), encoder in self._encoders.items() if encoder]
        return {"timbres": timbres, "n_more": self._n_more}

    def _encoder(self, file: File) -> str:
        """Return which encoder made a timbre; each file is read once."""
        known = self._encoders.get(file)
        if known is not None:
            return known
        with contextlib.suppress(StemsteerError):
            return self._library.load(file[0]).encoder
        return ""
