"""The songs of a folder and of a list."""

from __future__ import annotations

import json
import os

import pytest

from plugin_bridge.cluster.songs import find_songs, search
from realtime import StemsteerError
from tests.support.unreadable import forbid


def test_a_folder_gives_its_audio_files_by_their_paths_and_nothing_hidden_or_of_the_output(
    tmp_path,
):
    files = ["a.flac", "a.wav", "x/a.flac", "x/ü/夜.MP3", "cover.jpg", ".b.flac", ".c/d.flac"]
    for file in [*files, "out/a.flac/target.flac"]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    songs = find_songs(tmp_path, tmp_path / "x" / ".." / "out")
    assert [song.name for song in songs] == ["a.flac", "a.wav", "x/a.flac", "x/ü/夜.MP3"]
    assert all(song.path.is_file() for song in songs)
    assert len({song.key for song in songs}) == 4


def test_a_name_that_is_not_utf_8_is_a_song(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.flac")).touch()
    (song,) = find_songs(tmp_path, tmp_path / "out")
    assert len(song.key) == 24


def write_list(folder, *entries):
    file = folder / "songs.jsonl"
    file.write_text("\n".join(e if isinstance(e, str) else json.dumps(e) for e in entries) + "\n")
    return file


def test_a_list_names_files_by_its_own_folder_and_anywhere(tmp_path):
    file = write_list(
        tmp_path,
        {"input": "in/a.flac"},
        "",
        {"input": "/music/b.wav"},
        {"input": "/music/c.wav", "name": "best/c"},
    )
    songs = find_songs(file, tmp_path / "out")
    assert [song.name for song in songs] == ["in/a.flac", "music/b.wav", "best/c"]
    assert songs[0].path == tmp_path / "in" / "a.flac"


@pytest.mark.parametrize(
    "line",
    ["nonsense", "[]", {}, {"input": 3}, {"input": ""}, {"input": "a", "name": "../a"},
     {"input": "\ud800.wav"}, {"input": "a", "name": "\ud800"}, {"input": "a", "name": "b/CON"},
     {"input": "a", "name": "/a"}, {"input": "a", "name": ".catalogue"}, {"input": "../a"},
     {"input": "a", "name": 128 * "夜"}, {"input": "a", "name": "b/" + 256 * "a"}],
)  # fmt: skip
def test_a_line_that_names_no_song_is_refused_with_its_number(tmp_path, line):
    with pytest.raises(StemsteerError, match="line 2"):
        find_songs(write_list(tmp_path, {"input": "good.wav"}, line), tmp_path / "out")


@pytest.mark.parametrize("name", ["ä/x", "Ä/X", "a\u0308/x"])
def test_songs_of_one_name_or_of_names_that_some_systems_take_for_one_are_refused(tmp_path, name):
    file = write_list(tmp_path, {"input": "ä/x"}, {"input": "b", "name": name})
    with pytest.raises(StemsteerError, match="same name"):
        find_songs(file, tmp_path / "out")


def test_files_of_a_folder_whose_names_differ_by_case_are_two_songs(tmp_path):
    for name in ("a.wav", "A.wav"):
        (tmp_path / name).touch()
    assert len(find_songs(tmp_path, tmp_path / "out")) == len(os.listdir(tmp_path))


def test_a_list_names_files_whose_names_are_not_utf_8_as_python_writes_them(tmp_path):
    (song,) = find_songs(write_list(tmp_path, {"input": "\udcff.wav"}), tmp_path / "out")
    assert os.fsencode(song.path).endswith(b"\xff.wav")


def test_where_there_are_no_songs_it_says_what_a_song_is(tmp_path):
    with pytest.raises(StemsteerError, match=r"song\.flac"):
        find_songs(tmp_path, tmp_path / "out")
    with pytest.raises(StemsteerError, match="not there"):
        find_songs(tmp_path / "nowhere", tmp_path / "out")


def test_a_pipe_is_said_to_be_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StemsteerError, match="pipe is a pipe or a device: expected a folder"):
        find_songs(tmp_path / "pipe", tmp_path / "out")


def test_a_field_that_a_list_does_not_know_is_named(tmp_path):
    file = write_list(tmp_path, {"input": "a.wav", "nmae": "x"})
    with pytest.raises(StemsteerError, match="line 1: 'nmae' is no field"):
        find_songs(file, tmp_path / "out")


def test_a_name_may_be_as_long_as_folders_can_be(tmp_path):
    name = 85 * "夜" + "/" + 255 * "a"
    (song,) = find_songs(write_list(tmp_path, {"input": "a", "name": name}), tmp_path / "out")
    assert song.name == name


def test_folders_that_cannot_be_read_or_are_links_are_told(tmp_path, monkeypatch):
    music, out = tmp_path / "music", tmp_path / "music" / "out"
    for name in ("a.wav", "walled/b.wav", "out/c.wav", ".hidden/d.wav", "elsewhere/e.wav"):
        (music / name).parent.mkdir(parents=True, exist_ok=True)
        (music / name).touch()
    (music / "link").symlink_to("elsewhere")
    (music / ".link").symlink_to("elsewhere")
    (music / "link of out").symlink_to(out)
    forbid(monkeypatch, music / "walled")
    found = search(music, out)
    assert [song.name for song in found.songs] == ["a.wav", "elsewhere/e.wav"]
    assert found.unread == {music / "walled": "permission denied"}
    assert found.links == [music / "link"]


def test_a_folder_of_songs_that_cannot_be_read_is_not_one_without_songs(tmp_path, monkeypatch):
    forbid(monkeypatch, tmp_path)
    with pytest.raises(StemsteerError, match=r"cannot be read \(permission denied\)"):
        find_songs(tmp_path, tmp_path / "out")
