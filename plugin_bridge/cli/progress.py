"""The bar that shows how far a command is, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_bridge.files.audio_reader import AudioReader


@contextmanager
def progress_bar(source: AudioReader) -> Iterator[Callable[[int], None]]:
    """Show how far a file is read, with speed and time left; nothing in a pipe.

    Yields
    ------
    A function that is told how many samples more are done.
    """
    from rich import progress
    from rich.console import Console
    from rich.text import Text

    class Speed(progress.ProgressColumn):
        def render(self, task: progress.Task) -> Any:
            times = (task.speed or 0) / source.sample_rate
            return Text(f"{times:.0f} x real time", no_wrap=True)

    console = Console(stderr=True)
    bar = progress.Progress(
        progress.BarColumn(None),
        progress.TaskProgressColumn(),
        Speed(),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=source.n_samples)
        yield lambda more: bar.advance(task, more)
