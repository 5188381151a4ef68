"""An X server without a screen: what is on it, and a mouse and a keyboard for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.support.engine_sandbox import need

WIDTH, HEIGHT = 1280, 1000


class Display:
    """A running server; its programs need its `environment`."""

    def __init__(self, name: str, frame_buffer: Path) -> None:
        self._name, self._frame_buffer = name, frame_buffer

    @property
    def environment(self) -> dict[str, str]:
        """Return the test's environment with this server."""
        return {**os.environ, "DISPLAY": self._name}

    def picture(self, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
        """Return what is on the screen from its corner on, (height, width, RGB)."""
        data = self._frame_buffer.read_bytes()  # X Window Dump, version 7
        head = np.frombuffer(data, ">u4", 20)
        start, stride, n_colours = int(head[0]), int(head[12]), int(head[19])
        rows = np.frombuffer(data, np.uint8, stride * HEIGHT, start + 12 * n_colours)
        bgrx = rows.reshape(HEIGHT, stride // 4, 4)
        return bgrx[:height, :width, 2::-1]

    def hand(self, *words: object) -> None:
        """Move the mouse or press keys, by commands of xdotool."""
        command = ["xdotool", *map(str, words)]
        subprocess.run(command, env=self.environment, check=True, timeout=30)


@contextlib.contextmanager
def display() -> Iterator[Display]:
    """A `Display` for as long as the context lasts."""
    need("Xvfb", "xdotool")
    with tempfile.TemporaryDirectory(prefix="stemsteer-x-") as folder:
        read, write = os.pipe()
        screen = ["-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-fbdir", folder, "-nolisten", "tcp"]
        command = ["Xvfb", "-displayfd", str(write), *screen]
        server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        try:
            number = os.fdopen(read).readline().strip()
            assert number, "Xvfb did not start"
            yield Display(f":{number}", Path(folder) / "Xvfb_screen0")
        finally:
            server.terminate()
            server.wait(60)
