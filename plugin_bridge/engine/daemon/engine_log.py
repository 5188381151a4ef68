"""The engine's log as a file: for its user alone, one line a message, old ones given up."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import sys
from io import TextIOWrapper
from typing import cast

from plugin_bridge.control.text import printable
from plugin_bridge.engine.daemon.worker_process import log
from plugin_bridge.paths import open_private, state_folder

LOG_NAME, LOG_BYTES, LOG_FILES = "engine.log", 1 << 20, 3
LONGEST_MESSAGE = 2000  # letters in the log


class _PrivateLog(logging.handlers.RotatingFileHandler):
    """A log that is made for its user alone; that it cannot be written is told once."""

    _has_failed = False

    def _open(self) -> TextIOWrapper:
        opened = open(self.baseFilename, self.mode, encoding="utf-8", opener=open_private)  # noqa: SIM115
        return cast(TextIOWrapper, opened)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's own name)
        if self._has_failed or sys.stderr is None:
            return
        self._has_failed = True
        told = f"stemsteer: {LOG_NAME} cannot be written, the engine goes on: {sys.exc_info()[1]}"
        with contextlib.suppress(OSError):  # of a terminal that was closed
            print(told, file=sys.stderr)


class _OneLine(logging.Formatter):
    """Writes a message as one line that steers no terminal; tracebacks keep theirs."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's own name)
        record.message = printable(record.message, LONGEST_MESSAGE)
        return super().formatMessage(record)


def log_to_file() -> None:
    """Write the engine's log into the user's state folder from now on."""
    handler = _PrivateLog(state_folder() / LOG_NAME, maxBytes=LOG_BYTES, backupCount=LOG_FILES)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
