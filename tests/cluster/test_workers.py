"""The cluster on this machine: what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not here")

from plugin_bridge.cluster.workers import LocalWorkers

pytestmark = pytest.mark.realtime  # processes enough to disturb others


def test_the_folder_of_a_killed_cluster_is_removed_by_the_next_and_no_other(tmp_path, monkeypatch):
    begin = "from plugin_bridge.cluster.workers import LocalWorkers; w = LocalWorkers(1)"
    code = f"{begin}; print(flush=True); input()"
    killed = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert killed.stdout is not None
    killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (left,) = tmp_path.iterdir()
    other = tmp_path / "stemsteer-catalogue-of-somebody-else"
    other.mkdir()
    with LocalWorkers(0) as first:
        assert not left.exists()
        with LocalWorkers(0):
            assert Path(first._folder).is_dir()
    assert list(tmp_path.iterdir()) == [other]
