"""How much memory a checkpoint may ask for, all that it asks for taken together."""

from __future__ import annotations

from realtime.errors import StemsteerError

MAX_BYTES = 1 << 30  # of what a checkpoint holds; the largest we know has 0.2 GB


class Budget:
    """The bytes that are left of `MAX_BYTES`."""

    def __init__(self) -> None:
        self._left = MAX_BYTES

    def take(self, n_bytes: int) -> None:
        """Take so many bytes, before they are read or made.

        Raises StemsteerError if that is more than is left.
        """
        self._left -= n_bytes
        if n_bytes < 0 or self._left < 0:
            raise StemsteerError(f"more than {MAX_BYTES / (1 << 30):g} GB")
