"""Servers beside the audio: what each of them does, and the loop that drives them.

OSC is one; whatever else shows or moves controls from outside the process that plays is another.
They share one thread: it sleeps until one of them has something to read or to do.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from plugin_bridge.control.surface import ControlSurface

Report = Callable[[str], None]
"""Told in a sentence what a user should know."""
LONGEST_SLEEP_S = 0.2
AFTER_FAULT_S = 0.01


class Attended(Protocol):
    """Something that a thread looks after together with others."""

    def fileno(self) -> int:
        """Return the file descriptor that becomes readable when there is something to do."""

    def due_in_s(self) -> float:
        """Return the time until it is to be attended to in any case."""

    def attend(self) -> None:
        """Do what there is to do now, without waiting."""


class Server(Attended, Protocol):
    """Something that listens, and moves or shows the controls of a surface."""

    @property
    def name(self) -> str:
        """Return what it is called in messages."""

    @property
    def port(self) -> int:
        """Return the port on which it listens; 0: nowhere."""

    def stop(self) -> None:
        """Release its port, and end what it has started."""

    def summary(self) -> str:
        """Return what came in, in a line; empty if there is nothing to tell."""


class ServerSettings(Protocol):
    """How a server is to listen; goes to another process by pickle."""

    def open(self, surface: ControlSurface, report: Report) -> Server:
        """Return a server that listens already.

        Raises StemsteerError if it cannot, ValueError for settings that are none.
        """


class FaultReport:
    """Tells exceptions of ours, once of each kind, so that what meets them can go on."""

    def __init__(self, report: Report) -> None:
        self._report, self._told = report, set[str]()

    @contextlib.contextmanager
    def survived(self, what: object) -> Iterator[None]:
        """Run a block; an exception in it, on behalf of `what`, is told and ends only the block."""
        try:
            yield
        except Exception as error:
            words = f"{type(what).__name__}: {type(error).__name__}: {error}"
            if words not in self._told and len(self._told) < 100:
                self._told.add(words)
                self._report(f"a fault of Stemsteer itself, it goes on: {words}")
            time.sleep(AFTER_FAULT_S)  # a fault that stays must not take the processor


def attend_until(ended: Callable[[], bool], attended: Sequence[Attended], report: Report) -> None:
    """Look after all of them until `ended`.

    An exception in one ends neither it nor the others: it is told, once of each kind.
    """
    faults = FaultReport(report)
    while not ended():
        wait_s = min(LONGEST_SLEEP_S, *(each.due_in_s() for each in attended))
        select.select(attended, [], [], max(0.0, wait_s))
        for each in attended:
            with faults.survived(each):
                each.attend()


@contextlib.contextmanager
def running(server: Server, report: Report, *beside: Attended) -> Iterator[Server]:
    """Drive a server, and what is beside it, in a thread of this process; stop it at the end."""
    quit_event = threading.Event()
    thread = threading.Thread(
        target=attend_until,
        args=(quit_event.is_set, [server, *beside], report),
        name=f"stemsteer-{server.name.lower()}",
        daemon=True,
    )
    thread.start()
    try:
        yield server
    finally:
        quit_event.set()
        thread.join()
        server.stop()
