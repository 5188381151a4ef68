"""A folder that may not be read, also by the user who may read all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest


def forbid(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the system refuse to list a folder."""
    scandir = os.scandir

    def refusing(path="."):
        if not isinstance(path, int) and os.path.realpath(path) == os.path.realpath(folder):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
