"""`stemsteer catalogue` as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not here")

from plugin_bridge.cli.catalogue import _print_summary
from plugin_bridge.cluster.catalogue import Summary
from plugin_bridge.cluster.manifest import Record
from plugin_bridge.launch import own_process
from tests.support.catalogues import lines, write_long_song, write_song
from tests.support.commands import stemsteer
from tests.support.unreadable import forbid

pytestmark = pytest.mark.realtime  # processes enough to disturb others
TAKEN = ("--azimuth", "-30", "--model", "panorama")


def command(*words):
    return own_process("plugin_bridge.cli", "catalogue", *words)


def run(*words):
    return stemsteer("catalogue", *words)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def test_it_goes_on_after_the_whole_of_it_was_killed(tmp_path):
    music, out = tmp_path / "music", tmp_path / "stems"
    for seed in range(3):
        write_song(music / f"{seed}.flac", seed)
    long = write_long_song(music / "big.wav", 40)
    words = (music, "--out", out, *TAKEN, "--workers", 1, "--json")
    first = subprocess.Popen(command(*words), stdout=subprocess.DEVNULL)
    wait_for(lambda: list(out.rglob(".target.wav.*.part")))
    first.send_signal(signal.SIGKILL)
    first.wait()
    long.unlink()
    (music / "empty.wav").touch()
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, "one song failed"
    report = json.loads(done.stdout)
    assert report["done"] + report["done_before"] == 3
    assert [failed["song"] for failed in report["failed"]] == ["empty.wav"]
    names = sorted(line["song"] for line in lines(out))
    assert names == ["0.flac", "1.flac", "2.flac", "empty.wav"]
    assert (out / "0.flac" / "target.flac").exists()


def test_ctrl_c_ends_it_and_its_workers_and_says_so(tmp_path):
    music, out = tmp_path / "music", tmp_path / "stems"
    write_long_song(music / "big.wav", 60)
    words = (music, "--out", out, *TAKEN, "--workers", 1)
    process = subprocess.Popen(command(*words), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: list(out.rglob(".target.wav.*.part")))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == (
        "stemsteer: waiting for the songs in work to stop; a second Ctrl-C ends it at once\n"
        "stemsteer: stopped\n"
    )
    assert [path.name for path in out.iterdir()] == ["manifest.jsonl"]
    assert lines(out) == []


def test_the_summary_counts_one_song_and_says_how_failed_ones_are_tried_again(tmp_path, capsys):
    failed = Record("a.flac", "failed", "a.flac", error="it is broken")
    _print_summary(Summary(tmp_path, kept=2, done=1, audio_s=40.0, seconds=4.0), False)
    said = capsys.readouterr()
    assert said.out.startswith("done: 1 song in 4 s, 10 times as fast as real time; 2 before, 0 fa")
    assert said.err == ""
    _print_summary(Summary(tmp_path, failed=[failed], seconds=0.1), False)
    said = capsys.readouterr()
    assert said.out.startswith("done: 0 songs; 0 before, 1 failed")
    assert "--retry-failed tries again" in said.err


def test_a_dry_run_says_what_would_be_done_and_does_nothing(tmp_path):
    write_song(tmp_path / "music" / "a.flac")
    done = run(tmp_path / "music", "--out", tmp_path / "stems", *TAKEN, "--dry-run", "--json")
    assert json.loads(done.stdout) == {"to_do": ["a.flac"], "done": 0, "failed": []}
    assert not (tmp_path / "stems").exists()


def test_stems_of_earlier_renders_are_named_before_they_are_taken_for_songs(tmp_path):
    for name in ("a.flac", "b-stems/target.flac", "b-stems/residual.flac"):
        write_song(tmp_path / "music" / name)
    done = run(tmp_path / "music", "--out", tmp_path / "stems", *TAKEN, "--dry-run")
    assert "2 of 3 songs, as b-stems/residual.flac, lie beside a residual" in done.stderr
    (tmp_path / "list.jsonl").write_text('{"input": "music/b-stems/residual.flac"}')
    done = run(tmp_path / "list.jsonl", "--out", tmp_path / "stems", *TAKEN, "--dry-run")
    assert done.stderr == "1 to do, 0 done, 0 failed before\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scheduler", "tcp://127.0.0.1:1", "--workers", "2"), "leave --workers out"),
        (("--tls-ca", "x.pem"), "go together"),
        (("--time-limit", "0"), "--time-limit"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, words, said):
    write_song(tmp_path / "music" / "a.flac")
    done = run(tmp_path / "music", "--out", tmp_path / "stems", *TAKEN, *words)
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "stems").exists()


def test_without_its_packages_it_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "plugin_bridge.cluster.scheduler", raising=False)
    done = run(tmp_path, "--out", tmp_path / "stems", *TAKEN)
    assert done.exit_code == 1
    assert "pip install 'stemsteer[cluster]'" in done.output


def test_a_part_of_ours_that_is_missing_is_not_taken_for_a_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "realtime.atomic", None)
    for name in ("scheduler", "task"):
        monkeypatch.delitem(sys.modules, f"plugin_bridge.cluster.{name}", raising=False)
    done = run(tmp_path, "--out", tmp_path / "stems", *TAKEN)
    assert isinstance(done.exception, ModuleNotFoundError)
    assert done.exception.name == "realtime.atomic"
    assert "pip install" not in done.output


def test_a_folder_that_cannot_be_read_is_named_and_the_exit_status_says_so(tmp_path, monkeypatch):
    write_song(tmp_path / "music" / "a.flac")
    (tmp_path / "music" / "link").symlink_to(tmp_path)
    (tmp_path / "music" / "walled").mkdir()
    forbid(monkeypatch, tmp_path / "music" / "walled")
    words = (tmp_path / "music", "--out", tmp_path / "stems", *TAKEN, "--workers", 1)
    assert run(*words, "--dry-run").exit_code == 1
    done = run(*words)
    assert done.exit_code == 1
    assert "walled cannot be read (permission denied)" in done.stderr
    assert "link is a link to a folder" in done.stderr
    assert done.stdout.startswith("done: 1 song in")
