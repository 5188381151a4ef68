"""Small files: read whole, or refused before more of them is in memory than they may have."""

from __future__ import annotations

import os
import sys

import pytest

from plugin_bridge.small_files import read_small_file
from realtime.errors import StemsteerError


def test_a_file_is_read_up_to_its_limit_and_no_longer_one(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(bytes(1000))
    assert read_small_file(path, max_bytes=1000) == bytes(1000)
    with pytest.raises(StemsteerError, match=r"a\.json is longer than 0.000999 MB"):
        read_small_file(path, max_bytes=999)


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes that are files")
def test_what_may_never_end_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "device", tmp_path):
        with pytest.raises(StemsteerError, match="is not a file"):
            read_small_file(path, max_bytes=1000)


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_small_file(tmp_path / "a.json", max_bytes=1000)
