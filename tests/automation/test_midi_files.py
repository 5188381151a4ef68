"""MIDI files of other programs: what is around the tracks does not matter, doubts are said."""

from __future__ import annotations

import struct

import pytest

from plugin_bridge.automation import read_automation
from plugin_bridge.automation.formats.midi import ControllerMap
from plugin_bridge.cli.targets import read_lanes
from realtime.errors import StemsteerError

END = b"\0\xff\x2f\0"
LEFT, RIGHT = b"\0\xb0\x0a\0", b"\x87\x40\xb0\x0a\x7f"  # after 960 ticks
SWEEP = [(0, -45), (1, 45)]


def chunk(name, data, size=None):
    return name + struct.pack(">I", len(data) if size is None else size) + data


def track(*events, size=None, end=END):
    return chunk(b"MTrk", b"".join(events) + end, size)


def file(*chunks, tracks=1, head=b""):
    header = struct.pack(">HHH", 1, tracks, 480) + head
    return chunk(b"MThd", header) + b"".join(chunks)


def sweep(folder, data, target="guitar", control="azimuth"):
    (folder / "a.mid").write_bytes(data)
    lane = read_automation(folder / "a.mid", 44_100).lane(target, control)
    return [(round(point.time_s, 6), round(point.value, 2)) for point in lane.points]


WHOLE = track(LEFT, RIGHT)
ALIEN = chunk(b"XFIH", b"abcdef")


@pytest.mark.parametrize(
    "data",
    [
        file(WHOLE),
        file(ALIEN, WHOLE, ALIEN),
        file(track(), ALIEN, WHOLE, tracks=2),
        file(WHOLE, tracks=7),
        file(WHOLE, tracks=0),
        file(WHOLE, head=b"\0\0"),
        file(WHOLE) + b"\0\0garbage",
        file(track(LEFT, RIGHT, size=0)),
        file(track(LEFT, RIGHT, size=5), ALIEN),
        file(track(LEFT, RIGHT, size=14), ALIEN, track(), tracks=2),
        file(track(LEFT, RIGHT, size=0xFFFF_FFFF)),
        file(track(LEFT, RIGHT, end=b"")),
        file(track(LEFT, RIGHT, end=b"\0\xb0\x0a")),
        chunk(b"RIFF", b"RMID" + chunk(b"data", file(WHOLE))),
    ],
)
def test_what_is_around_the_tracks_does_not_matter(tmp_path, data):
    assert sweep(tmp_path, data) == SWEEP


@pytest.mark.parametrize(
    "event",
    [
        *(bytes([status]) for status in (0xF6, 0xF8, 0xFA, 0xFB, 0xFC, 0xFE)),
        *(b"\xf1\x30", b"\xf2\0\x10", b"\xf3\x01"),
        *(b"\xf7\x02\xf3\x01", b"\xf7\x01\xff", b"\xf0\x03\x43\x12\xf7"),
        *(b"\xff\x59\x02\x7f\x7f", b"\xff\x06\x03cut", b"\xff\x7f\x01\xff"),
    ],
)
def test_an_event_that_moves_nothing_ends_neither_a_track_nor_a_running_status(tmp_path, event):
    quarter = b"\x83\x60"
    data = file(track(LEFT, quarter + event, quarter + b"\x0a\x7f"))
    assert sweep(tmp_path, data) == SWEEP
    assert read_automation(tmp_path / "a.mid", 44_100).notes == ()


@pytest.mark.parametrize("broken", [b"\0\xb0\x0a\xfe\x10", b"\0\xb0\xff\0", 4 * b"\xff"])
def test_a_track_that_is_cut_is_told_with_its_time(tmp_path, broken):
    lost = track(LEFT, RIGHT, broken, control(7, 100))
    assert sweep(tmp_path, file(lost, track(control(20, 127)), tracks=2)) == SWEEP
    lanes = read_automation(tmp_path / "a.mid", 44_100)
    (note,) = lanes.notes
    assert note.startswith("a track cannot be read beyond 1.00 s")
    assert lanes.lane("guitar", "gain") is None
    assert lanes.lane("guitar", "width") is not None  # of the track behind it
    with pytest.raises(StemsteerError, match=r"none .* moves a control; .* beyond 0\.00 s"):
        sweep(tmp_path, file(track(broken)))


def test_a_command_warns_of_a_track_that_is_cut(tmp_path, capsys):
    (tmp_path / "a.mid").write_bytes(file(track(LEFT, b"\0\xb0\x0a\xfe\x10")))
    read_lanes(tmp_path / "a.mid", 44_100)
    assert "a.mid: a track cannot be read beyond 0.00 s" in capsys.readouterr().err


def test_tracks_that_are_songs_by_themselves_are_refused(tmp_path):
    data = file(WHOLE, WHOLE, tracks=2).replace(b"\0\1\0\2", b"\0\2\0\2", 1)
    with pytest.raises(StemsteerError, match=r"songs by themselves \(format 2\), expected"):
        sweep(tmp_path, data)


def control(number, value, delta=b"\0", channel=0):
    return delta + bytes((0xB0 | channel, number, value))


@pytest.mark.parametrize("order", ["coarse first", "fine first"])
def test_a_controller_of_14_bits_is_read_in_either_order(tmp_path, order):
    events = []
    for coarse, fine in ((10, 5), (64, 0), (100, 99)):
        pair = [(20, coarse), (52, fine)]
        first, second = pair if order == "coarse first" else pair[::-1]
        events += [control(*first, delta=b"\x60"), control(*second)]
    found = sweep(tmp_path, file(track(*events)), control="width")
    last = dict(found)
    expected = [round(1 + 89 * (c * 128 + f) / 16383, 2) for c, f in ((10, 5), (64, 0), (100, 99))]
    assert list(last.values()) == expected


def test_several_channels_without_a_mapping_are_said_and_with_one_are_read(tmp_path):
    events = [control(10, 20 * channel, channel=channel) for channel in range(4)]
    data = file(track(*events))
    with pytest.raises(StemsteerError, match=r"channels 1, 2, 3, 4 all move azimuth; .*a.mid.json"):
        sweep(tmp_path, data)
    (tmp_path / "a.mid.json").write_text('{"3:10": "guitar.azimuth"}')
    assert sweep(tmp_path, data) == [(0, round(-45 + 45 * 40 / 64, 2))]


@pytest.mark.parametrize("data", [b"", b"MThd", b"RIFF" + bytes(60), bytes(100)])
def test_a_file_without_a_header_is_refused(tmp_path, data):
    (tmp_path / "a.mid").write_bytes(data)
    with pytest.raises(StemsteerError, match="not a MIDI file: it has no header"):
        read_automation(tmp_path / "a.mid", 44_100)


def test_a_mapping_is_read_from_a_file_alone(tmp_path):
    (tmp_path / "map.json").symlink_to("/dev/null")
    with pytest.raises(StemsteerError, match=r"map\.json is not a file"):
        ControllerMap.read(tmp_path / "map.json")


def test_a_deep_mapping_ends_in_a_line(tmp_path):
    (tmp_path / "m.json").write_text("[" * 100_000)
    with pytest.raises(StemsteerError, match="not a mapping of MIDI controllers"):
        ControllerMap.read(tmp_path / "m.json")
