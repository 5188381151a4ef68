"""Catalogues on a real cluster of two workers: what is done, set aside, resumed and left."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not here")

from plugin_bridge.cluster.attempts import FOLDER, Attempts
from plugin_bridge.cluster.catalogue import planned
from plugin_bridge.cluster.manifest import Manifest
from plugin_bridge.cluster.songs import find_songs
from plugin_bridge.cluster.workers import LocalWorkers
from realtime import StemsteerError
from tests.support.catalogues import (
    AZIMUTH_DEG,
    Display,
    catalogue,
    lines,
    settings_for,
    write_long_song,
    write_song,
)
from tests.support.rendering import left_over, render_song

pytestmark = pytest.mark.realtime  # processes enough to disturb others


@pytest.fixture(scope="module")
def workers():
    with LocalWorkers(2) as made:
        yield made


@pytest.fixture
def music(tmp_path):
    """Three good songs, two of one name, and one that is cut off."""
    for seed, name in enumerate(("a.flac", "b/a.flac", "b/Ёлка 夜.wav")):
        write_song(tmp_path / "music" / name, seed)
    whole = (tmp_path / "music" / "a.flac").read_bytes()
    (tmp_path / "music" / "cut.flac").write_bytes(whole[: len(whole) // 2])
    return tmp_path / "music"


def worker_at(workers, attempts):
    """Which process works on a song: it has the file of its try open."""
    for process in (worker.pid for worker in workers._processes):
        for descriptor in Path(f"/proc/{process}/fd").glob("*"):
            target = os.path.realpath(descriptor)
            if os.path.dirname(target) == str(attempts.folder) and attempts._key in target:
                return process
    return None


def test_every_good_song_is_done_once_and_as_render_does_it(workers, music, tmp_path):
    out = music / "stems"  # within the songs
    summary = catalogue(music, workers, settings_for(out))
    done = {record.song: record for record in summary.done}
    assert sorted(done) == ["a.flac", "b/a.flac", "b/Ёлка 夜.wav"]
    assert [record.song for record in summary.failed] == ["cut.flac"]
    assert "breaks off" in summary.failed[0].error
    for name, record in done.items():
        alone = tmp_path / "alone" / name
        rendered = render_song(
            music / name, "--azimuth", AZIMUTH_DEG, "--model", "panorama", "--out", alone
        )
        assert rendered.exit_code == 0
        files = left_over(alone)
        assert len(files) == 2
        assert left_over(out / name) == files
        for file in files:
            assert (out / name / file).read_bytes() == (alone / file).read_bytes()
        assert [output.bytes for output in record.outputs] == [
            (out / name / file).stat().st_size for file in sorted(files, reverse=True)
        ]
    assert sorted(line["song"] for line in lines(out)) == sorted([*done, "cut.flac"])
    assert not (out / FOLDER).exists()


def test_a_second_run_does_only_what_is_missing_or_changed(workers, music, tmp_path):
    out = tmp_path / "stems"
    first = catalogue(music, workers, settings_for(out))
    again = catalogue(music, None, settings_for(out))
    assert (len(again.done), again.kept) == (0, 3)
    assert [record.song for record in again.failed] == ["cut.flac"], "it is still named"

    os.utime(music / "a.flac")  # touched, not changed
    write_song(music / "b" / "a.flac", seed=9)
    (out / "b" / "Ёлка 夜.wav" / "residual.wav").unlink()
    display = Display()
    third = catalogue(music, workers, settings_for(out), display)
    assert sorted(display.to_do) == ["b/a.flac", "b/Ёлка 夜.wav"]
    assert (len(third.done), third.kept) == (2, 1)
    old = {record.song: record.outputs for record in first.done}
    new = {record.song: record.outputs for record in third.done}
    assert new["b/Ёлка 夜.wav"] == old["b/Ёлка 夜.wav"]
    assert new["b/a.flac"] != old["b/a.flac"]


def test_stems_by_other_options_are_replaced_only_if_asked_and_then_once(workers, music):
    out = music.parent / "stems"
    catalogue(music, workers, settings_for(out))
    before = {file: (out / file).read_bytes() for file in left_over(out) if (out / file).is_file()}
    words = "has stems of 3 of the songs, as a.flac, by other options or another model"
    with pytest.raises(StemsteerError, match=re.escape(words)):
        planned(find_songs(music, out), settings_for(out, 20))
    with pytest.raises(StemsteerError, match=re.escape(words)):
        catalogue(music, None, settings_for(out, 20))
    assert before == {file: (out / file).read_bytes() for file in before}
    assert not (out / FOLDER).exists()

    shutil.rmtree(out / "b")
    changed = (out / "a.flac" / "target.flac").read_bytes()
    again = catalogue(music, workers, settings_for(out, 20, force=True))
    assert len(again.done) == 3, "all are done anew for another direction"
    assert (out / "a.flac" / "target.flac").read_bytes() != changed
    (out / "a.flac" / "target.flac").write_bytes(changed)
    third = catalogue(music, workers, settings_for(out, 20, force=True))
    assert [record.song for record in third.done] == ["a.flac"]
    assert third.kept == 2, "a run that was broken off goes on"


def test_what_somebody_else_made_or_changed_is_not_replaced_unless_asked(workers, tmp_path):
    music, out = tmp_path / "music", tmp_path / "stems"
    write_song(music / "one.flac")
    write_song(music / "two.flac")
    (out / "two.flac").mkdir(parents=True)
    (out / "two.flac" / "target.flac").write_text("mine")
    first = catalogue(music, workers, settings_for(out))
    assert [record.song for record in first.failed] == ["two.flac"]
    assert "there already" in first.failed[0].error
    (out / "one.flac" / "target.flac").write_text("mine, too")
    second = catalogue(music, workers, settings_for(out))
    assert sorted(record.song for record in second.failed) == ["one.flac", "two.flac"]
    assert (out / "one.flac" / "target.flac").read_text() == "mine, too"
    third = catalogue(music, workers, settings_for(out, force=True))
    assert (len(third.done), third.failed) == (2, [])


def test_a_song_that_ends_its_process_twice_is_set_aside_and_no_other_song_is(
    workers, music, tmp_path
):
    write_long_song(music / "killer.wav")
    settings = settings_for(tmp_path / "stems")
    killer = next(s for s in find_songs(music, settings.out) if s.name == "killer.wav")
    attempts = Attempts(settings.out.absolute() / FOLDER, killer.key, "*")

    def kill():
        if (process := worker_at(workers, attempts)) is not None:
            os.kill(process, signal.SIGKILL)

    display = Display()
    display.ticks.append(kill)
    summary = catalogue(music, workers, settings, display)
    failed = {record.song: record for record in summary.failed}
    assert sorted(failed) == ["cut.flac", "killer.wav"]
    assert "killed 2 times" in failed["killer.wav"].error
    assert len(summary.done) == 3
    assert not list((tmp_path / "stems").rglob(".*.part")), "half a song is left"


def test_a_song_that_takes_too_long_is_named_and_its_worker_replaced(workers, music, tmp_path):
    write_long_song(music / "long.wav", 240)
    summary = catalogue(music, workers, settings_for(tmp_path / "stems", limit_s=4.0))
    failed = {record.song: record.error for record in summary.failed}
    assert "not done within 4 s" in failed["long.wav"]
    assert len(summary.done) == 3


def test_what_is_no_file_is_named_and_holds_nothing_up(workers, music, tmp_path):
    os.mkfifo(music / "pipe.wav")
    (music / "device.wav").symlink_to("/dev/zero")
    out = tmp_path / "stems"
    summary = catalogue(music, workers, settings_for(out, limit_s=30))
    failed = {record.song: record.error for record in summary.failed}
    assert "pipe.wav is not a file" in failed["pipe.wav"]
    assert "device.wav is not a file" in failed["device.wav"]
    assert len(summary.done) == 3
    assert {record.song for record in catalogue(music, None, settings_for(out)).failed} == {
        "cut.flac", "device.wav", "pipe.wav",
    }, "they are not tried again"  # fmt: skip


def test_an_interrupted_run_keeps_what_is_done_and_leaves_no_halves(workers, music, tmp_path):
    write_long_song(music / "long.wav")
    out = tmp_path / "stems"

    def interrupt(record):
        os.kill(os.getpid(), signal.SIGINT)
        display.at_record = lambda record: None

    display = Display(interrupt)
    with pytest.raises(KeyboardInterrupt):
        catalogue(music, workers, settings_for(out), display)
    known = {line["song"]: line["state"] for line in lines(out)}
    assert "long.wav" not in known
    assert not (out / "long.wav").exists()
    assert not (out / FOLDER).exists()
    (music / "long.wav").unlink()
    summary = catalogue(music, workers, settings_for(out))
    assert len(summary.done) + summary.kept == 3
    assert sorted(line["song"] for line in lines(out)) == sorted(
        ["a.flac", "b/a.flac", "b/Ёлка 夜.wav", "cut.flac"]
    ), "each is in the manifest once"


def test_a_record_that_a_killed_run_did_not_write_down_is_not_lost(workers, music, tmp_path):
    out = tmp_path / "stems"
    summary = catalogue(music, workers, settings_for(out))
    record = next(record for record in summary.done if record.song == "a.flac")
    text = (out / "manifest.jsonl").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines(True) if '"song": "a.flac"' not in line]
    (out / "manifest.jsonl").write_text("".join(kept) + '{"song": "tor', encoding="utf-8")
    (out / FOLDER).mkdir()
    key = next(song.key for song in find_songs(music, out) if song.name == "a.flac")
    attempts = Attempts(out / FOLDER, key, "1")
    attempts.begin()
    attempts.keep(record)
    again = catalogue(music, None, settings_for(out))
    assert (again.kept, len(again.failed)) == (3, 1)
    assert [line["song"] for line in lines(out)].count("a.flac") == 1


def test_what_a_killed_worker_left_of_a_song_is_gone_when_it_is_done(workers, tmp_path):
    music, out = tmp_path / "music", tmp_path / "stems"
    write_song(music / "a.flac")
    (song,) = find_songs(music, out)
    (out / song.name).mkdir(parents=True)
    (out / FOLDER).mkdir()
    attempts = Attempts(out / FOLDER, song.key, "1")
    attempts.begin()
    half = out / FOLDER / f".{song.key}.result.1.part"
    part = out / song.name / f".target.flac.{os.getpid()}.part"  # as long as it is a zombie
    named = out / song.name / "target.flac"
    for file in (half, part, named):
        file.touch()
    attempts.note_named({named: named})
    assert len(catalogue(music, workers, settings_for(out)).done) == 1
    assert left_over(out) == ["a.flac", "a.flac/residual.flac", "a.flac/target.flac",
                              "manifest.jsonl"]  # fmt: skip


@pytest.mark.parametrize("ended", [b"", b"Timeout", b"ended"])
def test_what_somebody_else_made_stays_after_a_try_that_has_named_nothing(workers, tmp_path, ended):
    music, out = tmp_path / "music", tmp_path / "stems"
    write_song(music / "a.flac")
    (song,) = find_songs(music, out)
    (out / song.name).mkdir(parents=True)
    (out / song.name / "target.flac").write_text("mine")
    (out / FOLDER).mkdir()
    Attempts(out / FOLDER, song.key, "1").begin().write_bytes(ended)
    run = catalogue(music, workers, settings_for(out))
    assert [record.song for record in run.failed] == [song.name]
    assert "there already" in run.failed[0].error
    assert (out / song.name / "target.flac").read_text() == "mine"
    assert not (out / FOLDER).exists(), "nothing of ours is left, so nothing is to be known"


def test_what_a_try_has_named_is_no_longer_ours_when_somebody_has_changed_it(workers, tmp_path):
    music, out = tmp_path / "music", tmp_path / "stems"
    write_song(music / "a.flac")
    (song,) = find_songs(music, out)
    named = out / song.name / "target.flac"
    named.parent.mkdir(parents=True)
    named.touch()
    (out / FOLDER).mkdir()
    Attempts(out / FOLDER, song.key, "1").note_named({named: named})
    named.write_text("mine")
    run = catalogue(music, workers, settings_for(out))
    assert "there already" in run.failed[0].error
    assert named.read_text() == "mine"


def test_a_song_that_has_changed_replaces_its_stems_and_no_file_beside_them(workers, tmp_path):
    music, out = tmp_path / "music", tmp_path / "stems"
    write_song(music / "a.flac")
    catalogue(music, workers, settings_for(out))
    (out / "a.flac" / "mix.flac").write_text("mine")
    write_song(music / "a.flac", seed=1)
    assert len(catalogue(music, workers, settings_for(out)).done) == 1
    assert (out / "a.flac" / "mix.flac").read_text() == "mine"
    write_song(music / "a.flac", seed=2)
    (out / "a.flac" / "residual.flac").unlink()
    text = (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    last = json.loads(text[-1])
    last["outputs"] = last["outputs"][:1]  # as of a song of which less was taken
    (out / "manifest.jsonl").write_text(json.dumps(last) + "\n", encoding="utf-8")
    (out / "a.flac" / "residual.flac").write_text("mine")
    run = catalogue(music, workers, settings_for(out))
    assert "there already" in run.failed[0].error
    assert (out / "a.flac" / "residual.flac").read_text() == "mine"


def test_a_record_that_a_killed_run_did_write_down_is_not_written_again(workers, music, tmp_path):
    out = tmp_path / "stems"
    record = catalogue(music, workers, settings_for(out)).done[0]
    (out / FOLDER).mkdir()
    key = next(song.key for song in find_songs(music, out) if song.name == record.song)
    Attempts(out / FOLDER, key, "1").keep(record)
    catalogue(music, None, settings_for(out))
    assert [line["song"] for line in lines(out)].count(record.song) == 1
    assert not (out / FOLDER).exists()


def test_two_runs_on_one_manifest_are_refused(music, tmp_path):
    out = tmp_path / "stems"
    out.mkdir()
    with Manifest(out), pytest.raises(StemsteerError, match="another `stemsteer catalogue`"):
        catalogue(music, None, settings_for(out))
    shutil.rmtree(out)


def test_a_song_whose_folder_has_a_path_that_is_too_long_is_named_and_stops_no_other(
    workers, music, tmp_path
):
    out, long = tmp_path / "stems", "/".join(25 * [200 * "a"])
    entries = [{"input": "music/a.flac"}, {"input": "music/b/a.flac", "name": long}]
    (tmp_path / "songs.jsonl").write_text("\n".join(map(json.dumps, entries)))
    for _ in range(2):
        run = catalogue(tmp_path / "songs.jsonl", workers, settings_for(out))
        assert [record.song for record in run.failed] == [long]
        assert "too long" in run.failed[0].error
        assert len(run.done) + run.kept == 1
        assert not (out / FOLDER).exists()
