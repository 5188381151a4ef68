"""The engine's log: nobody forges its lines, and a full disk is told once."""

from __future__ import annotations

import errno
import io
import os

import pytest

from plugin_bridge.cli.engine import _report
from plugin_bridge.engine.daemon.engine_log import log_to_file
from plugin_bridge.engine.daemon.worker_process import log

FORGED = "a: like: x\n2026-01-01 00:00:00,000 ERROR forged\x1b[2J\x9b\u202e"


@pytest.fixture
def handler(engine_sandbox, monkeypatch):
    """The handler of the engine's log, in folders of its own."""
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "propagate", False)
    log_to_file()
    (made,) = log.handlers
    yield made
    made.close()


@pytest.mark.parametrize("tell", [_report, lambda words: log.info("%s", words)])
def test_a_message_is_one_line_without_control_characters(handler, engine_sandbox, tell):
    tell(FORGED)
    (line,) = engine_sandbox.engine_log.read_text().splitlines()
    assert line.isprintable()
    assert r"x\n2026-01-01 00:00:00,000 ERROR forged\x1b[2J" in line


def test_a_traceback_keeps_its_lines(handler, engine_sandbox):
    try:
        raise ZeroDivisionError("of the test")
    except ZeroDivisionError:
        log.exception("a fault")
    lines = engine_sandbox.engine_log.read_text().splitlines()
    assert lines[0].endswith("ERROR a fault")
    assert lines[1].startswith("Traceback")
    assert lines[-1] == "ZeroDivisionError: of the test"


class FullDisk(io.StringIO):
    """A file on a disk without space."""

    def write(self, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told_once_in_a_line(handler, capsys):
    handler.setStream(FullDisk()).close()
    for _ in range(3):
        log.info("a message")
    (line,) = capsys.readouterr().err.splitlines()
    assert "engine.log cannot be written" in line
    assert "No space left on device" in line
