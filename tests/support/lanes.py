"""Lanes out of files of automation, for tests."""

from __future__ import annotations

from pathlib import Path

from plugin_bridge.automation import Automation, read_automation

RATE = 44_100


def read(folder: Path, name: str, text: str) -> Automation:
    """The lanes of a file with that text."""
    (folder / name).write_text(text)
    return read_automation(folder / name, RATE)


def points(automation: Automation, target: str, name: str) -> list[tuple[float, float, str]]:
    """Time, value and shape of every point of a lane."""
    lane = automation.lane(target, name)
    assert lane is not None
    return [(p.time_s, p.value, p.shape) for p in lane.points]
