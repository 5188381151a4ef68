"""How far a catalogue is, how fast, and what has failed: a bar, or a line a minute in a pipe."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from plugin_bridge.cli.console import say, warn

if TYPE_CHECKING:
    from plugin_bridge.cluster.manifest import Record
    from plugin_bridge.cluster.plan import Plan

_LINE_EVERY_S = 60.0


class CatalogueDisplay:
    """Songs, songs and hours of sound a minute, time left and failures; failures in a pipe, too."""

    def __init__(self) -> None:
        from rich import progress
        from rich.console import Console

        console = Console(stderr=True)
        self._bar = progress.Progress(
            progress.BarColumn(None),
            progress.TextColumn("{task.fields[words]}"),
            progress.TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=600,
        )
        self._task: Any = None
        self._sizes: dict[str, int] = {}
        self._songs = self._failed = 0
        self._audio_s = 0.0

    def begin(self, plan: Plan, dashboard: str) -> None:
        """Begin to count; what is left is counted in bytes, since songs are of any length."""
        self._sizes = {job.song.name: _size(job.song.path) for job in plan.jobs}
        self._began_s = self._told_s = time.monotonic()
        if dashboard and not self._bar.disable:
            self._bar.console.print(f"dashboard: {dashboard}", markup=False)
        self._task = self._bar.add_task("", total=sum(self._sizes.values()), words=self._words())

    def show(self, record: Record) -> None:
        """Count a song that has ended, and say why if it failed."""
        self._songs += 1
        if record.error:
            self._failed += 1
            warn(f"{record.song}: {record.error}")
        else:
            self._audio_s += record.frames / record.sample_rate
        self._bar.update(self._task, advance=self._sizes[record.song], words=self._words())

    def tick(self) -> None:
        """Show that time goes by."""
        if self._task is not None:
            self._bar.update(self._task, words=self._words())
            if self._bar.disable and time.monotonic() >= self._told_s + _LINE_EVERY_S:
                self._told_s = time.monotonic()
                say(self._words(), err=True)

    def waiting(self) -> None:
        """Say that no workers are left on the cluster."""
        warn("no workers are left: waiting until some are there again; Ctrl-C ends it")

    def stopping(self) -> None:
        """Say what is waited for after Ctrl-C."""
        warn("waiting for the songs in work to stop; a second Ctrl-C ends it at once")

    def _words(self) -> str:
        minutes = max(time.monotonic() - self._began_s, 1e-3) / 60
        failed = f", {self._failed} failed" if self._failed else ""
        return (
            f"{self._songs} of {len(self._sizes)} songs{failed}, {self._songs / minutes:.1f} songs "
            f"and {self._audio_s / 3600 / minutes:.2f} h of sound a minute"
        )

    def __enter__(self) -> CatalogueDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._bar.stop()


def _size(path: Any) -> int:
    try:
        return max(1, int(path.stat().st_size))
    except OSError:
        return 1
