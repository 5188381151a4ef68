"""The file of moves: whole after every line, never in the place of another before its end."""

from __future__ import annotations

import errno
import threading
import time

import pytest

from plugin_bridge.automation import Lane, Point, move_log, read_automation
from plugin_bridge.automation.move_log import MoveLog
from realtime.errors import StemsteerError

AZIMUTH = ("guitar", "azimuth")
WIDTH = ("guitar", "width")


def lanes_in(path):
    """Times and values by lane."""
    lanes = read_automation(path, 44_100).lanes
    return {key: [(p.time_s, p.value) for p in lane.points] for key, lane in lanes.items()}


def steps(*pairs):
    return [Point(time_s, value, "step") for time_s, value in pairs]


def test_a_lane_that_is_taken_over_keeps_its_past_alone(tmp_path):
    log = MoveLog(tmp_path / "a.csv")
    log.start(
        {AZIMUTH: Lane([Point(0, 0), Point(10, 30)]), WIDTH: Lane([Point(0, 5), Point(9, 9)])}
    )
    log._flush()
    assert lanes_in(tmp_path / "a.csv")[AZIMUTH] == [(0, 0), (10, 30)]
    log.add(WIDTH, Point(9.5, 12.0, "step"))
    log._flush()
    log.take_over(AZIMUTH, steps((0, 0), (4, 12)))
    log.add(AZIMUTH, Point(4.5, -9.0, "step"))
    log._flush()
    expected = {
        AZIMUTH: [(0, 0), (4, 12), (4.5, -9)],
        WIDTH: [(0, 5), (9, 9), (9.5, 12)],
    }
    assert lanes_in(tmp_path / "a.csv") == expected
    log.close()
    assert lanes_in(tmp_path / "a.csv") == expected


def test_a_file_that_is_there_is_refused_or_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("mine")
    with pytest.raises(StemsteerError, match="is there already"):
        MoveLog(path)
    log = MoveLog(path, force=True)
    log.start({})
    log.add(AZIMUTH, Point(0.0, 1.0, "step"))
    log._flush()
    assert path.read_text() == "mine"
    assert lanes_in_part(path) == {AZIMUTH: [(0, 1)]}
    log.close()
    assert lanes_in(path) == {AZIMUTH: [(0, 1)]}
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def lanes_in_part(path):
    """The lanes of the unfinished file, renamed as its user would."""
    renamed = path.with_name("renamed.csv")
    renamed.write_bytes(path.with_name("a.csv.part").read_bytes())
    lanes = lanes_in(renamed)
    renamed.unlink()
    return lanes


def test_what_a_crash_has_left_of_one_is_not_replaced_unasked(tmp_path):
    (tmp_path / "a.csv.part").write_text("of a crash")
    with pytest.raises(StemsteerError, match=r"a\.csv\.part is there already"):
        MoveLog(tmp_path / "a.csv")


@pytest.mark.parametrize("force", [False, True])
def test_of_two_files_of_moves_at_one_place_the_second_is_refused(tmp_path, force):
    first, second = (MoveLog(tmp_path / "a.csv", force=force) for _ in range(2))
    first.start({})
    with pytest.raises(StemsteerError, match="is being written by another"):
        second.start({})
    second.discard()
    first.add(AZIMUTH, Point(0.0, 1.0, "step"))
    first.close()
    assert lanes_in(tmp_path / "a.csv") == {AZIMUTH: [(0, 1)]}
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_a_file_of_moves_that_has_appeared_meanwhile_is_not_replaced_unasked(tmp_path):
    log = MoveLog(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("of another program")
    with pytest.raises(StemsteerError, match="is there already"):
        log.start({})
    log.discard()
    assert (tmp_path / "a.csv").read_text() == "of another program"


def test_a_full_disk_loses_nothing_once_it_has_room_again(tmp_path, monkeypatch):
    log = MoveLog(tmp_path / "a.csv")
    log.start({})
    log.add(AZIMUTH, Point(0.0, 1.0, "step"))
    log._flush()
    whole, append = (tmp_path / "a.csv").read_bytes(), log._append

    def full(text):
        with (tmp_path / "a.csv").open("ab") as file:
            file.write(text.encode()[:7])  # half a line is there when the disk is full
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(log, "_append", full)
    log.add(AZIMUTH, Point(1.0, 2.0, "step"))
    log._flush()
    assert "space" in log.fault
    log.add(AZIMUTH, Point(2.0, 3.0, "step"))
    monkeypatch.setattr(log, "_append", append)
    log.close()
    assert (tmp_path / "a.csv").read_bytes().startswith(whole)
    assert lanes_in(tmp_path / "a.csv") == {AZIMUTH: [(0, 1), (1, 2), (2, 3)]}


def test_a_disk_that_stays_full_is_told_at_the_end(tmp_path, monkeypatch):
    log = MoveLog(tmp_path / "a.csv")
    log.start({})
    log.add(AZIMUTH, Point(0.0, 1.0, "step"))

    def full(text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(log, "_append", full)
    with pytest.raises(StemsteerError, match="could not be written: No space"):
        log.close()


def test_a_folder_that_is_not_there_is_said_at_the_start(tmp_path):
    with pytest.raises(StemsteerError, match="cannot be written"):
        MoveLog(tmp_path / "no" / "a.csv").start({})


def test_a_recording_without_sound_leaves_no_file(tmp_path):
    log = MoveLog(tmp_path / "a.csv")
    log.start({})
    log.discard()
    assert list(tmp_path.iterdir()) == []


def test_points_that_follow_too_closely_are_one(tmp_path):
    log = MoveLog(tmp_path / "a.csv")
    log.start({})
    for time_s, value in ((0, 1), (1, 2), (1.001, 3), (1.0015, 4), (1.01, 5)):
        log.add(AZIMUTH, Point(time_s, value, "step"), apart_s=0.002)
    log.close()
    assert lanes_in(tmp_path / "a.csv") == {AZIMUTH: [(0, 1), (1, 4), (1.01, 5)]}


def test_moves_from_several_threads_are_all_there_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(move_log, "FLUSH_S", 0.002)
    log = MoveLog(tmp_path / "a.csv")
    log.start({})

    def move(name):
        for k in range(500):
            log.add(("guitar", name), Point(k / 100, float(k % 40) + 1, "step"))
            time.sleep(0.0001)

    threads = [threading.Thread(target=move, args=(name,)) for name in ("azimuth", "width")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    lanes = lanes_in(tmp_path / "a.csv")
    for key in (AZIMUTH, WIDTH):
        assert lanes[key] == [(k / 100, float(k % 40) + 1) for k in range(500)]
