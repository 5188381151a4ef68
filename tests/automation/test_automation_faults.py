"""Files of lanes that are wrong: each gets a clear answer with its name, none a traceback."""

from __future__ import annotations

import struct

import pytest

from plugin_bridge.automation import read_automation
from plugin_bridge.automation.move_log import MoveLog
from plugin_bridge.automation.move_recorder import MoveRecorder
from realtime.errors import StemsteerError
from tests.support.lanes import read

LANES = '{"lanes": {"guitar": {"azimuth": %s}}}'
RPP = """<REAPER_PROJECT 0.1
  <TRACK
    %s
  >
>"""
CHAIN = "<FXCHAIN\n<VST stemsteer\n>\n%s\n>"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "a.csv",
            "seconds,target,control\n0,guitar,azimuth\n",
            "line 1: no column is called value",
        ),
        ("a.csv", "seconds,target,control,value\n0,guitar,azimuth\n", "line 2: azimuth is ''"),
        ("a.csv", f"seconds,azimuth\n0,{'1' * 140_000}\n", "field larger than .*expected seconds"),
        ("a.csv", "seconds,g.width,g.width\n0,1,2\n", "two columns are called g.width; leave one"),
        ("a.csv", "seconds,azimuth\n0,1,2\n", "line 2: 3 cells, expected the 2 of the titles"),
        ("a.csv", "seconds,g.instrument\n0,1.5\n", "instrument is 1.5, expected .*whole numbers"),
        ("a.csv", "seconds,latency_mode\n0,1\n", "'latency_mode' to automate; that one only the p"),
        ("a.csv", "seconds,g.offline\n0,1\n", "'offline' to automate; that one only the plugin"),
        ("a.json", LANES % '[[0, 1, ["x"]]]', r"shape is \['x'\], expected one of step"),
        ("a.json", LANES % '[[0, 1, 5], [0, 1, "x"]]', "shape is 5, expected one of step"),
        ("a.json", LANES % f"[[{'9' * 400}, 1]]", "999 … is too large a number"),
        ("a.json", "[" * 100_000, "it is nested deeper than 32 levels"),
        ("a.json", '[{"name": "guitar"}]', "a list of targets is for --targets, lanes are an obj"),
        ("a.json", '"lanes"', "lanes are an object, as {"),
        ("a.json", '{"lanes": [1]}', "not laid out as automation.*expected {"),
        ("a.rpp", RPP % "<PANENV2\nACT 1\nPT\n>", "IndexError.*expected entries PT"),
        ("a.rpp", RPP % (CHAIN % "<PARMENV\nACT 1\nPT 0 0\n>"), "IndexError.*expected entries PT"),
    ],
)
def test_a_file_of_lanes_that_is_wrong_gets_a_clear_answer(tmp_path, name, text, words):
    with pytest.raises(StemsteerError, match=rf"(?s)a\.\w+: .*{words}"):
        read(tmp_path, name, text)


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.mid", "a.rpp", "a.dawproject"])
def test_lanes_are_read_from_files_alone(tmp_path, name):
    (tmp_path / name).symlink_to("/dev/null")
    with pytest.raises(StemsteerError, match=rf"{name} is not a file"):
        read_automation(tmp_path / name, 44_100)


def midi(division, *events):
    track = b"".join(b"\x00" + event for event in (*events, b"\xff\x2f\x00"))
    head = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, division)
    return head + struct.pack(">4sI", b"MTrk", len(track)) + track


@pytest.mark.parametrize("ending", [".mid", ".MIDI"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (midi(0, b"\xb0\x0a\x40"), "its division is 0, expected ticks"),
        (midi(96, b"\xff\x51\x01\x40"), "not a MIDI file: IndexError"),
        (midi(96, b"\xb0\x0a\xf0"), "a track cannot be read beyond 0.00 s"),
    ],
    ids=["division", "tempo", "data"],
)
def test_a_midi_file_that_is_wrong_gets_a_clear_answer(tmp_path, content, words, ending):
    path = tmp_path / f"song{ending}"
    path.write_bytes(content)
    with pytest.raises(StemsteerError, match=rf"song{ending}: .*{words}"):
        read_automation(path, 44_100)


def test_what_only_a_host_can_turn_is_not_recorded_either(tmp_path):
    log = MoveLog(tmp_path / "lanes.csv")
    log.start({})
    recorder = MoveRecorder(["guitar"], log)
    for name, value in (("latency_mode", 1.0), ("offline", 1.0), ("azimuth", 10.0)):
        recorder.set_value("guitar", name, value)
    log.close()
    assert set(read_automation(tmp_path / "lanes.csv", 44_100).lanes) == {("guitar", "azimuth")}
