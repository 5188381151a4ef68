"""The user's library of timbres, as browsers are shown it."""

from __future__ import annotations

import contextlib
import time

from plugin_bridge.timbre import TimbreLibrary
from realtime.errors import StemsteerError

EVERY_S = 1.0
MOST = 200


class TimbreList:
    """Tells the timbres by name, each with the encoder that made it; looks at the disk rarely."""

    def __init__(self) -> None:
        self._library = TimbreLibrary()
        self._next_s = 0.0
        self._encoders: dict[str, str] = {}

    def told(self) -> list[list[str]]:
        """Return pairs of name and encoder; a file that is no timbre is left out."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + EVERY_S
            self._encoders = {name: self._encoder(name) for name in self._library.names()[:MOST]}
        return [[name, encoder] for name, encoder in self._encoders.items() if encoder]

    def _encoder(self, name: str) -> str:
        """Return which encoder made a timbre; it is read once."""
        known = self._encoders.get(name)
        if known is not None:
            return known
        with contextlib.suppress(StemsteerError):
            return self._library.load(name).encoder
        return ""
