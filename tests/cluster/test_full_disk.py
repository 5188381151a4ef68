"""A catalogue on a disk that takes no more: said with what is full, and no song is to blame."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not here")

from plugin_bridge.cli.catalogue import _print_summary
from plugin_bridge.cluster import scheduler
from plugin_bridge.cluster.catalogue import Summary
from plugin_bridge.cluster.manifest import Manifest, Record, read_manifest
from plugin_bridge.files.audio_writer import AudioWriter
from realtime import StemsteerError
from tests.support.catalogues import WorkerHere, catalogue, settings_for, write_song


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(scheduler, "BACK_OFF_S", 0.0)


def no_room(monkeypatch, folder):
    usage = shutil.disk_usage(folder)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def breaking_off(monkeypatch, _):
    def append(writer, samples):
        raise writer._failed()

    monkeypatch.setattr(AudioWriter, "_append", append)


@pytest.mark.parametrize("fill", [no_room, breaking_off])
def test_a_song_that_found_no_room_is_tried_by_the_next_run(tmp_path, fill):
    write_song(tmp_path / "music" / "a.wav")
    settings = settings_for(tmp_path / "stems")
    with pytest.MonkeyPatch.context() as monkeypatch:
        fill(monkeypatch, tmp_path)
        run = catalogue(tmp_path / "music", WorkerHere(), settings)
        assert "room" in run.failed[0].error
        assert run.failed[0].tries == scheduler.MOST_TRIES
    assert read_manifest(settings.out)["a.wav"].transient
    assert len(catalogue(tmp_path / "music", WorkerHere(), settings).done) == 1


def test_a_song_that_is_broken_is_not_tried_by_the_next_run(tmp_path):
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.wav").touch()
    settings = settings_for(tmp_path / "stems")
    assert not catalogue(tmp_path / "music", WorkerHere(), settings).failed[0].transient
    assert len(catalogue(tmp_path / "music", None, settings).failed) == 1


@pytest.mark.parametrize("function", ["write", "fsync"])
def test_a_manifest_that_cannot_be_written_is_named(tmp_path, monkeypatch, function):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Manifest(tmp_path) as manifest:
        monkeypatch.setattr(os, function, full)
        with pytest.raises(StemsteerError, match=r"manifest\.jsonl cannot be written.*No space"):
            manifest.append(Record("a.flac", "done", "/music/a.flac"))


def test_it_is_said_which_songs_the_next_run_tries(tmp_path, capsys):
    full = Record("a.flac", "failed", "a.flac", error="no room", transient=True)
    broken = Record("b.flac", "failed", "b.flac", error="it is broken")
    _print_summary(Summary(tmp_path, failed=[full], seconds=0.1), False)
    said = capsys.readouterr().err
    assert "the next run tries" in said
    assert "--retry-failed" not in said
    _print_summary(Summary(tmp_path, failed=[full, broken], seconds=0.1), False)
    said = capsys.readouterr().err
    assert "the next run tries" in said
    assert "--retry-failed" in said
