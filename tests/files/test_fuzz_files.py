"""Damaged files end in a line that names them: no crash, no hang, no traceback, memory flat."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.soak import rounds

BATCH = 500  # files a process: a crash is then found again by reading a few


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["audio", "text"])
def test_damaged_files_end_in_a_line(tmp_path, kind):
    count = rounds(10_000)
    for first in range(0, count, BATCH):
        words = [kind, first, min(BATCH, count - first), tmp_path]
        command = [sys.executable, "-m", "tests.support.fuzz_files", *map(str, words)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=3000, errors="replace",
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )  # fmt: skip
        assert done.returncode == 0, (
            f"from {first}: signal {-done.returncode}\n{done.stderr[-2000:]}"
        )
        *wrong, last = done.stdout.splitlines()
        assert not wrong, "\n".join(wrong)
        before_mb, after_mb = map(float, last.split()[1:])
        assert after_mb - before_mb < 30
