"""Keys of the terminal while `stemsteer live` plays: what is asked by one of them."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from plugin_bridge.control.actions import LEARN_S

if TYPE_CHECKING:
    from plugin_bridge.control.surface import ControlSurface

HELP = "keys: l learns the sound, f forgets it, 1 to 9 choose a target"


@contextlib.contextmanager
def single_keys(fd: int | None = None) -> Iterator[int | None]:
    """Let a terminal give each key at once, unseen; yield its descriptor, None if there is none.

    Parameters
    ----------
    fd : of the terminal; None: standard input, if it is one.
    """
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield None
        return
    fd = sys.stdin.fileno() if fd is None and sys.stdin.isatty() else fd
    if fd is None:
        yield None
        return
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)  # Ctrl-C still interrupts
    try:
        yield fd
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


class KeyActions:
    """Asks the chosen target of a surface for what a key stands for; the first one at the start."""

    def __init__(self, surface: ControlSurface) -> None:
        self._surface = surface
        self.target = surface.instances[0]

    def attend(self, fd: int | None) -> None:
        """Do what the keys say that were pressed since the last time."""
        while fd is not None and select.select([fd], [], [], 0)[0]:
            if not (keys := os.read(fd, 64).decode(errors="replace")):
                return
            for key in keys:
                self.press(key)

    def press(self, key: str) -> None:
        """Do what a key says; one that says nothing is left out."""
        from plugin_bridge.control.timbre_requests import Request

        instances = self._surface.instances
        if key in "123456789" and int(key) <= len(instances):
            self.target = instances[int(key) - 1]
        elif key == "l":
            self._surface.requests.put(Request(self.target, "learn", (LEARN_S,)))
        elif key == "f":
            self._surface.requests.put(Request(self.target, "like", ("",)))
