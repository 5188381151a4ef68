"""Files that are written here are whole: what fails leaves the old one, and nothing else."""

import pytest

from plugin_bridge.automation import Lane, write_automation
from plugin_bridge.automation.lane import Point
from realtime.atomic import atomic_write


def test_a_file_is_replaced_when_the_new_one_is_complete(tmp_path):
    path = tmp_path / "lanes.csv"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), atomic_write(path) as hidden:
        hidden.write_text("new \ud800", encoding="utf-8")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]
    with atomic_write(path) as hidden:
        hidden.write_text("new")
        assert path.read_text() == "old"
    assert [file.read_text() for file in tmp_path.iterdir()] == ["new"]


def test_lanes_that_cannot_be_written_leave_those_that_are_there(tmp_path):
    path = tmp_path / "lanes.csv"
    path.write_text("old")
    lane = Lane([Point(0.0, 1.0)])
    with pytest.raises(UnicodeEncodeError):
        write_automation(path, {("guitar \ud800", "azimuth"): lane})
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]
