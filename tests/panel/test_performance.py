"""A performance: what is written of it, by which clock, and how it ends."""

from __future__ import annotations

from plugin_bridge.automation import read_automation
from plugin_bridge.panel.performance import Performance


def test_moves_are_lanes_at_the_time_of_the_file_that_is_played(tmp_path):
    performance = Performance(tmp_path)
    performance.turn(True, {"guitar": {"azimuth": -30.0, "mix": 1.0}}, 1.5)
    assert performance.lanes() is None
    performance.attend({"guitar": {"azimuth": 10.0, "mix": 1.0}}, 2.0)
    performance.attend({"guitar": {"azimuth": 20.0, "mix": 1.0}}, 2.5)
    performance.attend({"guitar": {"azimuth": 45.0, "mix": 1.0}}, 0.1)  # it has begun again
    assert not performance.runs
    name, contents = performance.lanes()
    assert performance.told()["message"] == f"2 moves in {tmp_path / name}"
    assert (tmp_path / name).read_bytes() == contents
    lanes = read_automation(tmp_path / name, 44_100)
    azimuth = lanes.lane("guitar", "azimuth")
    assert [azimuth.at(time_s) for time_s in (0.0, 1.9, 2.2, 9.0)] == [-30, -30, 10, 20]
    assert lanes.lane("guitar", "mix").at(5.0) == 1


def test_two_in_one_second_are_two_files_and_a_folder_that_is_not_there_is_said(tmp_path):
    performance = Performance(tmp_path)
    for _ in range(2):
        performance.turn(True, {"guitar": {"mix": 1.0}})
        performance.attend({"guitar": {"mix": 0.5}})
        performance.turn(False, {})
    assert len(list(tmp_path.iterdir())) == 2
    performance = Performance(tmp_path / "nowhere")
    performance.turn(True, {"guitar": {"mix": 1.0}})
    assert not performance.runs
    assert "cannot be written" in performance.told()["message"]
    assert not performance.told()["there"]


def test_without_a_move_there_is_no_file(tmp_path):
    performance = Performance(tmp_path)
    performance.turn(True, {"guitar": {"mix": 1.0}})
    performance.attend({"guitar": {"mix": 1.0}})
    performance.turn(False, {})
    assert list(tmp_path.iterdir()) == []
    assert performance.lanes() is None
    assert performance.told() == {
        "recording": False, "message": "nothing has moved, so there is no file", "there": False,
    }  # fmt: skip
