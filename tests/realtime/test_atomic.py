"""Files that are written here are whole: what fails leaves the old one, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_bridge.automation import Lane, write_automation
from plugin_bridge.automation.lane import Point
from realtime.atomic import atomic_write, sha256_of
from realtime.errors import StemsteerError


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


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_after_it(tmp_path, monkeypatch):
    path, calls = tmp_path / "lanes.csv", []
    fsync, replace = os.fsync, os.replace

    def record_fsync(file: int) -> None:
        flushed = Path(os.readlink(f"/proc/self/fd/{file}"))
        calls.append("folder" if flushed == tmp_path else flushed.read_text())
        fsync(file)

    def record_replace(source: Path, target: Path) -> None:
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    with atomic_write(path) as hidden:
        hidden.write_text("new")
    assert calls == ["new", "replace", "folder"]


def test_what_a_killed_process_left_is_removed_and_what_others_are_writing_is_not(tmp_path):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                           capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    (tmp_path / f".lanes.csv.{ended}.part").write_text("half")
    (tmp_path / f".lanes.csv.{os.getppid()}.part").write_text("of a process that runs")
    (tmp_path / f".others.csv.{ended}.part").write_text("of another file")
    with atomic_write(tmp_path / "lanes.csv") as hidden:
        hidden.write_text("new")
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"lanes.csv", f".lanes.csv.{os.getppid()}.part", f".others.csv.{ended}.part"}


def test_only_a_file_has_a_hash(tmp_path):
    (tmp_path / "device").symlink_to("/dev/null")
    for path in (tmp_path, tmp_path / "device"):
        with pytest.raises(StemsteerError, match="is not a file, expected one"):
            sha256_of(path)
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "nowhere")
