"""Read from the plugin's log which bounces have lost their engine."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime, timedelta
from pathlib import Path

from plugin_bridge.paths import state_folder

_LINE = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) ([^:]*): ERROR: (.* has \d+ blocks that were not)"
)


def plugin_log() -> Path:
    """Return where the plugins of all hosts log, before that in a `.1`; neither need be there."""
    return state_folder() / "plugin.log"


def last_loss(within: timedelta = timedelta(days=1)) -> str:
    """Return when, where and what of the last incomplete bounce, empty if there is none lately."""
    lines: list[str] = []
    for log in (plugin_log().with_suffix(".log.1"), plugin_log()):
        with contextlib.suppress(FileNotFoundError):
            lines += log.read_text(errors="replace").split("\n")
    for line in reversed(lines):
        if found := _LINE.match(line):
            when, host, what = found.groups()
            lately = datetime.now() - datetime.fromisoformat(when) < within
            return f"{when}, {host}: {what} processed" if lately else ""
    return ""
