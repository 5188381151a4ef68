"""A file that takes a session to write has one writer at a time."""

import subprocess
import sys

import pytest

from plugin_bridge.claim import Claim
from plugin_bridge.files.audio_writer import AudioWriter, SampleFormat
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError


def test_only_one_has_a_file_at_a_time(tmp_path):
    path = tmp_path / "a.wav"
    with Claim(path), pytest.raises(StemsteerError, match="is being written by another"):
        Claim(path)
    assert list(tmp_path.iterdir()) == []
    Claim(path).release()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_had_is_free(tmp_path):
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom plugin_bridge.claim import Claim\n"
        "claim = Claim(Path(sys.argv[1]))\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.wav")])
    assert [path.name for path in tmp_path.iterdir()] == [".a.wav.lock"]
    Claim(tmp_path / "a.wav").release()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(StemsteerError, match="cannot be written to"):
        Claim(tmp_path / "no" / "a.wav")


def test_a_name_that_is_too_long_while_the_file_is_made_is_told(tmp_path):
    path = tmp_path / (251 * "y" + ".png")
    words = "yyy.png: file name too long; give a shorter one$"
    with pytest.raises(StemsteerError, match=words):
        Claim(path)
    longer = path.with_name("y" + path.name)
    with pytest.raises(StemsteerError, match=words):
        AudioWriter(longer, 44_100, 2, SampleFormat("wav", "FLOAT"), 1)


def write_while_another_does(path):
    with atomic_write(path, replace=False) as hidden:
        hidden.write_text("ours")
        path.write_text("theirs")


def test_a_name_that_is_taken_meanwhile_stays_that_of_the_other(tmp_path):
    with pytest.raises(FileExistsError):
        write_while_another_does(tmp_path / "a")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["theirs"]
