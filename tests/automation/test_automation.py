"""Automation from CSV and JSON, and files that are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plugin_bridge.automation import ALL, Lane, Point, read_automation, write_automation
from realtime import StemsteerError
from tests.support.lanes import RATE, points, read

TALL = """# a comment
seconds,target,control,value,shape
0,guitar,azimuth,-30,linear
2.5,guitar,azimuth,10,step
0,guitar,mode,remove,
1,,mix,0.5,smooth
"""
WIDE = "beats,guitar.azimuth,width,tempo\n0,-30,20,60\n\n4,,90,120\n8,30,,\n"
JSON = """{"unit": "samples", "lanes": {"guitar": {"azimuth": [[0, -30], [44100, 10, "step"]],
          "bypass": [[22050, "on"]]}}}"""


def test_a_csv_with_a_point_a_line(tmp_path):
    automation = read(tmp_path, "a.csv", TALL)
    assert points(automation, "guitar", "azimuth") == [(0, -30, "linear"), (2.5, 10, "step")]
    assert points(automation, "guitar", "mode") == [(0, 1, "step")]
    assert points(automation, "anything", "mix") == [(1, 0.5, "smooth")]
    assert automation.lane("bass", "azimuth") is None


def test_a_csv_with_a_column_for_each_control_and_a_tempo(tmp_path):
    automation = read(tmp_path, "a.csv", WIDE)
    assert points(automation, "guitar", "azimuth") == [(0, -30, "linear"), (6, 30, "linear")]
    assert points(automation, ALL, "width") == [(0, 20, "linear"), (4, 90, "linear")]


def test_json_in_samples(tmp_path):
    automation = read(tmp_path, "a.json", JSON)
    assert points(automation, "guitar", "azimuth") == [(0, -30, "linear"), (1, 10, "step")]
    assert points(automation, "guitar", "bypass") == [(0.5, 1, "step")]


def test_the_files_on_the_protocol_page_are_the_same_lanes(tmp_path):
    page = (Path(__file__).parents[2] / "plugin_bridge" / "PROTOCOL.md").read_text("utf-8")
    lanes = []
    for kind in ("csv", "json"):
        ((text),) = re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)
        lanes.append(read(tmp_path, f"a.{kind}", text))
    for automation in lanes:
        assert points(automation, "guitar", "azimuth") == [(0, -30, "smooth"), (2.5, 10, "linear")]
        assert points(automation, "guitar", "mode") == [(0, 0, "step"), (2.5, 1, "step")]


def test_what_was_written_is_read_back_to_the_bit(tmp_path):
    lanes = {
        ("guitar", "azimuth"): Lane([Point(0.1 + 0.2, -30 / 7), Point(1 / 3, 1e-9, "smooth")]),
        (ALL, "mix"): Lane([Point(-1, 0.1, "step")]),
    }
    write_automation(tmp_path / "a.csv", lanes)
    back = read_automation(tmp_path / "a.csv", RATE).lanes
    assert {key: lane.points for key, lane in back.items()} == {
        key: lane.points for key, lane in lanes.items()
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "seconds,g.morph\n0,0\n1,0.5\n"),
        ("a.csv", "seconds,target,control,value\n0,g,morph,0\n1,g,morph,0.5\n"),
        ("a.json", '{"lanes": {"g": {"morph": [[0, 0], [1, 0.5]]}}}'),
    ],
)
def test_a_control_is_called_in_lanes_as_in_osc(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    lanes = read_automation(tmp_path / name, RATE).lanes
    assert list(lanes) == [("g", "timbre_morph")]
    assert lanes["g", "timbre_morph"].at(1.0) == 0.5


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "seconds,g.morph,g.timbre_morph\n0,1,1\n",
         "two columns are called g.timbre_morph; leave one out"),
        ("a.csv", "seconds,target,control,value\n2,g,azimuth,1\n1,g,azimuth,1\n",
         "azimuth of g: a lane goes back in time"),
        ("a.csv", "seconds,target,control,value\n", "there is no point in it"),
        ("a.csv", "", "the first column is ''"),
        ("a.csv", "minutes,azimuth\n0,1\n", "the first column is 'minutes'"),
        ("a.csv", "seconds,azimuth\n0,nan\n",
         r"azimuth of \*: a point of a lane is nan at 0 s"),
        ("a.csv", "seconds,azimuth\n0,hot\n", "line 2: azimuth is 'hot', expected -45 to 45 deg"),
        ("a.csv", "seconds,azimuth\n0,50\n", "azimuth is 50, expected -45 to 45 deg"),
        ("a.csv", "seconds,pan\n0,1\n", "no control 'pan' to automate"),
        ("a.csv", "seconds,load\n0,1\n", "no control 'load' to automate"),
        ("a.csv", "beats,azimuth,tempo\n0,1,0\n", "tempo is 0 at beat 0"),
        ("a.csv", "seconds,azimuth,tempo\n0,1,90\n", "times are not in beats"),
        ("a.json", "{", "Expecting property name"),
        ("a.json", "[]", "lanes are an object"),
        ("a.json", '{"unit": "bars", "lanes": {}}', "unit is 'bars'"),
        ("a.mid", "MThd", "not a MIDI file"),
        ("a.rpp", "<REAPER_PROJECT 0.1\n", "not a whole REAPER project"),
        ("a.rpp", "<REAPER_PROJECT 0.1\n>\n", "no track has an active envelope"),
        ("a.rpp", ">\n", "more chunks end than begin"),
        ("a.txt", "", "expected a file ending in .csv, .json"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_automation_gets_a_clear_answer(tmp_path, name, text, words):
    with pytest.raises(StemsteerError, match=words):
        read(tmp_path, name, text)


def test_a_missing_file_gets_a_clear_answer(tmp_path):
    with pytest.raises(StemsteerError, match="there is no such file"):
        read_automation(tmp_path / "a.csv", RATE)


def test_a_lane_for_a_target_that_is_not_there_is_refused(tmp_path):
    automation = read(tmp_path, "a.csv", TALL)
    with pytest.raises(ValueError, match="is for 'guitar', but there are bass, drums"):
        automation.check_targets(["bass", "drums"])
