"""The manifest of a catalogue, line by line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from plugin_bridge.cluster.manifest import FILE_NAME, Manifest, Output, Record, read_manifest
from realtime import StemsteerError

OUTPUT = Output("t", "a.flac/t", 5, "cd")
DONE = Record("a.flac", "done", "/music/a.flac", 9, 8, "ab", outputs=(OUTPUT,))


def test_a_record_is_the_same_after_it_was_written_and_read(tmp_path):
    strange = Record("no\udcff.wav", "failed", "/music/no\udcff.wav", error="broken 夜")
    with Manifest(tmp_path) as manifest:
        manifest.append(DONE)
        manifest.append(strange)
    assert read_manifest(tmp_path) == {"a.flac": DONE, "no\udcff.wav": strange}
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_the_newest_record_of_a_song_counts_and_the_old_one_stays(tmp_path):
    with Manifest(tmp_path) as manifest:
        manifest.append(Record("a.flac", "failed", "/music/a.flac", error="broken"))
        manifest.append_run({"options": "xyz"})
        manifest.append(DONE)
    assert read_manifest(tmp_path) == {"a.flac": DONE}
    assert len((tmp_path / FILE_NAME).read_text().splitlines()) == 3


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_a_line_within_which_its_writer_was_killed_is_removed(tmp_path, cut):
    with Manifest(tmp_path) as manifest:
        manifest.append(DONE)
        manifest.append(Record("b.flac", "done", "/music/b.flac"))
    file = tmp_path / FILE_NAME
    file.write_bytes(file.read_bytes()[:-cut])
    with Manifest(tmp_path) as manifest:
        assert set(read_manifest(tmp_path)) == ({"a.flac", "b.flac"} if cut == 1 else {"a.flac"})
        manifest.append(Record("c.flac", "done", "/music/c.flac"))
    assert all(json.loads(line) for line in file.read_text().splitlines())
    assert "c.flac" in read_manifest(tmp_path)


def test_lines_that_are_no_records_are_left_out(tmp_path):
    wrong = ('{"song": 3, "state": "done", "input": ""}', "[1]", '{"song": "x"}', "\udcff", "{}")
    text = "\n".join(wrong) + "\n" + DONE.line()
    (tmp_path / FILE_NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_manifest(tmp_path) == {"a.flac": DONE}


def test_a_manifest_is_open_once(tmp_path):
    with Manifest(tmp_path), pytest.raises(StemsteerError, match="another"):
        Manifest(tmp_path)
    Manifest(tmp_path).close()


@pytest.mark.parametrize(
    "path",
    [5, None, "", "a.flac", "a.flac/", "a.flac/..", "a.flac/../b", "a.flac/x/t", "b/t", "/a.flac/t",
     "../thesis.txt", "/home/thesis.txt", "a.flac/.t", "a.flac/t\0"],
)  # fmt: skip
def test_a_record_of_a_file_that_is_not_in_the_folder_of_its_song_is_left_out(tmp_path, path):
    wrong = replace(DONE, outputs=(OUTPUT, replace(OUTPUT, path=path)))
    (tmp_path / FILE_NAME).write_text(wrong.line())
    assert read_manifest(tmp_path) == {}


@pytest.mark.parametrize("song", ["../a", "/a", "", ".", "a//b", ".catalogue", "a\0", "\ud800"])
def test_a_record_of_a_song_outside_the_output_is_left_out(tmp_path, song):
    wrong = Record(song, "done", "/music/a.flac", outputs=(replace(OUTPUT, path=f"{song}/t"),))
    (tmp_path / FILE_NAME).write_text(wrong.line() + DONE.line())
    assert read_manifest(tmp_path) == {"a.flac": DONE}


@pytest.mark.parametrize(
    "wrong", [{"bytes": "5"}, {"sha256": None}, {"stem": 1}, {"clipped": None}, {"peak_db": "0"}]
)
def test_a_record_whose_file_has_values_of_another_kind_is_left_out(tmp_path, wrong):
    (tmp_path / FILE_NAME).write_text(replace(DONE, outputs=(replace(OUTPUT, **wrong),)).line())
    assert read_manifest(tmp_path) == {}


@pytest.mark.parametrize("name", ["a\\b.wav", "con.wav"])
def test_a_song_of_a_name_that_only_another_system_refuses_keeps_its_record(tmp_path, name):
    good = Record(name, "done", "/music/x.wav", outputs=(replace(OUTPUT, path=f"{name}/t"),))
    (tmp_path / FILE_NAME).write_text(good.line())
    assert read_manifest(tmp_path) == {name: good}
