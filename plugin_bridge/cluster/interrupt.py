"""Ctrl-C, noted instead of raised, so that it breaks off no line that is being written."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from plugin_bridge.launch import ending_signals


class Interrupt:
    """Notes the first signal to end while its block runs; a second one interrupts at once.

    Outside the main thread, which signals never reach, it notes nothing.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._note) for each in ending_signals()}
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt(number)
        self.number = number

    def raise_if_noted(self) -> None:
        """Raise KeyboardInterrupt if a signal was noted."""
        if self.number:
            raise KeyboardInterrupt(self.number)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
