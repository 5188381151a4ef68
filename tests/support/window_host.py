"""A plugin's window in a small host, and what is seen in it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.support.display import Display
from tests.support.engine_sandbox import CPP, binary, compiled
from tests.support.waiting import until

WIDTH, HEIGHT = 560, 420
FIELD = (10, 44, 550, 322)
"""Left, top, right and bottom of the field at that size."""
TAKEN = (255, 180, 84)
"""Colour of the handle, and of what is heard."""
KINDS = ["clap", "vst3", "lv2"]
MIDDLE = 200
"""A row within the field, beside the handle's name."""
CAIRO = ("-I/usr/include/cairo",)
Picture = np.ndarray


class WindowHost:
    """A running host of tests/plugin/cpp/window_host.h."""

    def __init__(self, display: Display, process: subprocess.Popen[str]) -> None:
        self.display, self.process = display, process

    def ask(self, *words: object) -> str:
        """Give a command; return its answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the host has died at {words}: {self.process.wait(10)}"
        return answer.strip()

    def value(self, control: str) -> float:
        """Return the value of a control as the plugin has it."""
        return float(self.ask("get", control))

    def picture(self) -> Picture:
        """Return what is seen of the window, at its normal size."""
        return self.display.picture(WIDTH, HEIGHT)


@contextlib.contextmanager
def window_host(
    display: Display,
    kind: str,
    folder: Path,
    sound: Path | None = None,
    flags: tuple[str, ...] = (),
    name: str = "Stemsteer",
    **environment: str,
) -> Iterator[WindowHost]:
    """Run a host of a format with the plugin in a folder of bundles; it must end well."""
    program = compiled(
        f"{kind}_window_host", CPP / "window" / "libraries.cpp", flags=(*CAIRO, *flags)
    )
    command = [str(program), str(binary(folder, kind, name)), *([str(sound)] if sound else [])]
    process = subprocess.Popen(
        command,
        env={**display.environment, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield WindowHost(display, process)
        assert process.stdin
        process.stdin.close()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def x_of(azimuth_deg: float, scale: float = 1) -> float:
    """Return where an azimuth is in the window, pixels."""
    left, _, right, _ = FIELD
    return scale * (left + (azimuth_deg + 45) / 90 * (right - left))


def handle_x(picture: Picture) -> float | None:
    """Return where the handle's line is; None: there is none, or more than one."""
    left, top, right, bottom = FIELD
    area = picture[top + 40 : bottom - 4, left:right].astype(int)
    like = (np.abs(area - TAKEN).max(2) < 40).mean(0) > 0.95
    found = np.flatnonzero(like)
    return left + float(found.mean()) + 0.5 if 0 < found.size <= 3 else None


def brightness(picture: Picture, azimuth_deg: float) -> np.ndarray:
    """Return the mean colour of the field around an azimuth, beside lines."""
    _, top, _, bottom = FIELD
    centre = round(x_of(azimuth_deg))
    area = picture[top + 40 : bottom - 60, centre - 4 : centre + 5].astype(float)
    mean: np.ndarray = area.mean((0, 1))
    return mean


def resources(host: WindowHost) -> tuple[int, int, float]:
    """Return the threads, the open files and the memory in MB of a host."""
    place = Path(f"/proc/{host.process.pid}")
    pages = int((place / "statm").read_text().split()[1])
    return (
        len(list((place / "task").iterdir())),
        len(list((place / "fd").iterdir())),
        pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
    )


def drag(host: WindowHost, *xs: float, key: str | None = None) -> None:
    """Press at the first place, go to the others, let go."""
    steps = [word for x in xs[1:] for word in ("mousemove", round(x), MIDDLE)]
    keys = (["keydown", key], ["keyup", key]) if key else ([], [])
    host.display.hand(
        *keys[0], "mousemove", round(xs[0]), MIDDLE, "mousedown", 1, *steps, "mouseup", 1, *keys[1]
    )


def moves_until(host: WindowHost, end: str, look: Callable[[], object] = lambda: None) -> list[str]:
    """Return what the window has moved, as soon as it ends so; `look` is called meanwhile."""
    told = ""

    def ended():
        nonlocal told
        look()
        told += host.ask("moves")
        return told.endswith(end)

    until(ended, f"the host is told '{end}'; it was told '{told}'")
    return told.rstrip(";").split(";")


def near(host: WindowHost, control: str, value: float, tolerance: float = 0.06) -> None:
    """Wait until a control of the plugin has a value."""
    until(
        lambda: abs(host.value(control) - value) < tolerance,
        f"{control} is {value}; it is {host.value(control)}",
    )
