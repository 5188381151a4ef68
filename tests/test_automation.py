"""Automation from files, and the sound it makes: offline, live, in any blocks."""

from __future__ import annotations

import os
import re
from pathlib import Path

import mido
import numpy as np
import pytest

from plugin_bridge.automation import (
    ALL,
    Automation,
    Lane,
    Point,
    Steering,
    read_automation,
    write_automation,
)
from plugin_bridge.automation.rpp import parse
from realtime import Separator, StemsteerError, load_model

RATE = 44_100
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
RPP = """<REAPER_PROJECT 0.1 "7.51/win64" 1763108963
  TEMPO 135 4 4 0
  <TRACK {A858D602-18C1-491F-9352-37B286CF4C0D}
    NAME "lead guitar"
    <PANENV2
      ACT 1 -1
      PT 0 0 0
      PT 2 1 1
      PT 4 -0.5 3
      PT 5 0.5 0
    >
    <FXCHAIN
      <VST "VST: ReaComp (Cockos)" reacomp.dll 0 "" 1919247213<56> ""
        bWNlcu9e7f4EAAAAAQ==
      >
      <PARMENV 0 0 1 0.5 "Gain / ReaComp"
        ACT 1 -1
        PT 0 1 0
      >
      <VST "VST3: Stemsteer (Stemsteer)" stemsteer.vst3 0 "" 1{ABCD} ""
      >
      <PARMENV 4:17 0 1 0.5 "Width (deg) / Stemsteer"
        ACT 1 -1
        PT 1 0 2
        PT 3 1 0
      >
      <PARMENV 6:mode 0 1 0.5
        ACT 1 -1
        PT 1 1 1
      >
      <PARMENV 5:20 0 1 0.5 "Mix / Stemsteer"
        ACT 0 -1
        PT 1 0 0
      >
    >
  >
>
"""


def read(folder, name, text):
    (folder / name).write_text(text)
    return read_automation(folder / name, RATE)


def points(automation, target, name):
    lane = automation.lane(target, name)
    return [(p.time_s, p.value, p.shape) for p in lane.points]


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
    page = (Path(__file__).parent.parent / "plugin_bridge" / "PROTOCOL.md").read_text("utf-8")
    lanes = []
    for kind in ("csv", "json"):
        ((text),) = re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)
        lanes.append(read(tmp_path, f"a.{kind}", text))
    for automation in lanes:
        assert points(automation, "guitar", "azimuth") == [(0, -30, "smooth"), (2.5, 10, "linear")]
        assert points(automation, "guitar", "mode") == [(2.5, 1, "step")]


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


def test_envelopes_of_a_reaper_project(tmp_path):
    automation = read(tmp_path, "a.rpp", RPP)
    pan = points(automation, "lead guitar", "azimuth")
    assert pan[:2] == [(0, 0, "linear"), (2, -45, "step")]  # REAPER's pan envelope: 1 is left
    assert len(pan) == 2 + 16 + 1
    assert pan[2][:2] == (4, 22.5)
    assert pan[10][1] == pytest.approx(22.5 - 45 * (1 - 0.5**3))  # fast start, half the way
    assert points(automation, "lead guitar", "width") == [(1, 1, "smooth"), (3, 90, "linear")]
    assert points(automation, "lead guitar", "mode") == [(1, 1, "step")]
    assert automation.lane("lead guitar", "mix") is None, "the envelope is switched off"
    assert automation.lane("lead guitar", "gain") is None, "it is of another plugin"


def test_controllers_of_a_midi_file_at_its_own_tempo(tmp_path):
    file, track = mido.MidiFile(ticks_per_beat=480), mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(60)))
    track.append(mido.Message("control_change", control=10, value=0))
    track.append(mido.Message("note_on", note=60, time=480))
    track.append(mido.Message("control_change", control=10, value=127, time=480))
    track.append(mido.Message("control_change", control=42, value=127))
    file.save(tmp_path / "a.mid")
    automation = read_automation(tmp_path / "a.mid", RATE)
    lane = points(automation, "guitar", "azimuth")
    assert [row[0] for row in lane] == pytest.approx([0, 2, 2])
    assert [row[1] for row in lane] == [-45, 45, 45]
    assert {row[2] for row in lane} == {"step"}


def test_a_mapping_beside_the_midi_file_wires_its_controllers(tmp_path):
    file, track = mido.MidiFile(), mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.Message("control_change", channel=1, control=74, value=127))
    track.append(mido.Message("control_change", channel=2, control=74, value=0))
    file.save(tmp_path / "a.mid")
    (tmp_path / "a.mid.json").write_text('{"2:74": "vocals.width"}')
    automation = read_automation(tmp_path / "a.mid", RATE)
    assert points(automation, "vocals", "width") == [(0, 90, "step")]


def test_a_fine_controller_reaches_values_between_the_coarse_ones(tmp_path):
    from plugin_bridge.automation.midi import ControllerMap

    mapping = ControllerMap.of_table()
    coarse = mapping.control_change(0, 20, 64)
    fine = mapping.control_change(0, 52, 64)
    assert coarse == ((ALL, "width"), pytest.approx(1 + 89 * 64 / 127))
    assert fine == ((ALL, "width"), pytest.approx(1 + 89 * (64 * 128 + 64) / 16383))
    assert mapping.control_change(0, 3, 64) is None


def test_pan_is_in_the_centre_at_64_and_reaches_both_sides():
    from plugin_bridge.automation.midi import ControllerMap

    mapping = ControllerMap.of_table()
    for value, azimuth_deg in ((0, -45), (32, -22.5), (64, 0), (127, 45)):
        assert mapping.control_change(0, 10, value) == ((ALL, "azimuth"), azimuth_deg)
    mapping.control_change(0, 10, 127)
    assert mapping.control_change(0, 42, 127) == ((ALL, "azimuth"), 45)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "seconds,target,control,value\n2,g,azimuth,1\n1,g,azimuth,1\n",
         "azimuth of g: a lane goes back in time"),
        ("a.csv", "seconds,target,control,value\n", "there is no point in it"),
        ("a.csv", "", "the first column is ''"),
        ("a.csv", "minutes,azimuth\n0,1\n", "the first column is 'minutes'"),
        ("a.csv", "seconds,azimuth\n0,nan\n", "not a number"),
        ("a.csv", "seconds,azimuth\n0,hot\n", "line 2: azimuth is 'hot', expected -45 to 45 deg"),
        ("a.csv", "seconds,azimuth\n0,50\n", "azimuth is 50, expected -45 to 45 deg"),
        ("a.csv", "seconds,pan\n0,1\n", "no control 'pan' to automate"),
        ("a.csv", "seconds,load\n0,1\n", "no control 'load' to automate"),
        ("a.csv", "beats,azimuth,tempo\n0,1,0\n", "tempo is 0 at beat 0"),
        ("a.csv", "seconds,azimuth,tempo\n0,1,90\n", "times are not in beats"),
        ("a.json", "{", "Expecting property name"),
        ("a.json", "[]", "not laid out as automation"),
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


def test_projects_that_reaper_wrote_are_read_to_the_end():
    folder = os.environ.get("STEMSTEER_REAL")
    if not folder:
        pytest.skip("STEMSTEER_REAL names no folder of real recordings")
    projects = [p for p in (Path(folder) / "rpp").iterdir() if p.suffix.lower() == ".rpp"]
    assert len(projects) >= 2
    for path in projects:
        project = parse(path.read_text(errors="replace"))
        assert project.entry("TEMPO") is not None
        assert any(chunk.name == "TRACK" for chunk in project.chunks)
        with pytest.raises(StemsteerError, match="no track has an active envelope"):
            read_automation(path, RATE)


def test_a_missing_file_gets_a_clear_answer(tmp_path):
    with pytest.raises(StemsteerError, match="there is no such file"):
        read_automation(tmp_path / "a.csv", RATE)


def test_a_lane_for_a_target_that_is_not_there_is_refused(tmp_path):
    automation = read(tmp_path, "a.csv", TALL)
    with pytest.raises(ValueError, match="is for 'guitar', but there are bass, drums"):
        automation.check_targets(["bass", "drums"])


SWEEP = Automation(
    {
        ("guitar", "azimuth"): Lane([Point(0, -40), Point(0.7, 40, "step"), Point(0.9, -10)]),
        ("guitar", "width"): Lane([Point(0.2, 10, "smooth"), Point(1, 60)]),
    }
)


def separated(automation, block, noise, tier="live"):
    model = load_model("panorama")
    steering = Steering(
        automation, ["guitar"], model.spec.tier_at(tier, RATE), RATE, {"guitar": {"width": 30.0}}
    )
    separator = Separator(model, RATE, targets=["guitar"], tier=tier, conditions=steering)
    blocks = [noise[:, k : k + block] for k in range(0, noise.shape[1], block)]
    out = [separator.process(np.ascontiguousarray(b)) for b in blocks]
    return np.concatenate([*out, separator.flush()], axis=2), steering, separator.latency


@pytest.fixture
def noise():
    return np.random.default_rng(5).standard_normal((2, RATE), np.float32) * np.float32(0.1)


@pytest.mark.parametrize("block", [64, 441, 512, 8193])
def test_the_same_lanes_give_the_same_sound_in_live_blocks_and_offline(noise, block):
    whole, _, _ = separated(SWEEP, RATE, noise)
    pieces, _, _ = separated(SWEEP, block, noise)
    assert np.abs(whole - pieces).max() <= 1e-6


def test_a_lane_at_one_place_sounds_as_if_set_there(noise):
    level = Automation({("guitar", "azimuth"): Lane.level(-30)})
    automated, _, _ = separated(level, 512, noise)
    model = load_model("panorama")
    separator = Separator(model, RATE, targets=["guitar"])
    separator.set("guitar", azimuth_deg=-30, width_deg=30)
    held = np.concatenate([separator.process(noise), separator.flush()], axis=2)
    assert np.abs(automated - held).max() <= 1e-6


def test_a_jump_of_the_lane_is_in_the_sound_at_its_own_time():
    """A sound at the centre is let through from the jump on, within the smoothing and a window."""
    tone = np.sin(2 * np.pi * 1000 / RATE * np.arange(RATE), dtype=np.float32)
    lane = Lane([Point(0, 45, "step"), Point(0.5, 0)])
    automation = Automation({("guitar", "azimuth"): lane, ("guitar", "width"): Lane.level(10)})
    out, _, latency = separated(automation, 512, np.stack([tone, tone]))
    target = out[0, 0, latency:]
    level = np.sqrt(np.convolve(target**2, np.ones(441) / 441, mode="same"))
    assert level[: round(0.47 * RATE)].max() < 0.1
    assert level[round(0.53 * RATE) : round(0.99 * RATE)].min() > 0.6
    assert np.abs(np.diff(target, 2)).max() < 1.2 * np.abs(np.diff(tone, 2)).max(), "a click"


def test_the_output_of_a_target_follows_mix_mode_gain_and_bypass(noise):
    out, _, latency = separated(SWEEP, RATE, noise)
    own, rest = out[0, :, latency:], out[1, :, latency:]
    lanes = {
        "mode": Lane([Point(0, 0, "step"), Point(0.25, 1)]),
        "mix": Lane([Point(0, 1, "step"), Point(0.5, 0.5)]),
        "bypass": Lane([Point(0, 0, "step"), Point(0.75, 1)]),
        "gain": Lane.level(-6),
    }
    automation = Automation({("guitar", name): lane for name, lane in lanes.items()})
    _, steering, _ = separated(automation, RATE, noise)
    pieces = [
        steering.output("guitar", k, own[:, k : k + 300], rest[:, k : k + 300])
        for k in range(0, RATE, 300)
    ]
    made = np.concatenate(pieces, axis=1)
    gain = 10 ** (-6 / 20)

    def stretch(start_s, end_s):
        return slice(round(start_s * RATE), round(end_s * RATE))

    early, removed = stretch(0, 0.2), stretch(0.3, 0.45)
    mixed, bypassed = stretch(0.55, 0.7), stretch(0.8, 1)
    np.testing.assert_allclose(made[:, early], gain * own[:, early], atol=1e-6)
    np.testing.assert_allclose(made[:, removed], gain * rest[:, removed], atol=1e-6)
    half = gain * (rest[:, mixed] + 0.5 * own[:, mixed])
    np.testing.assert_allclose(made[:, mixed], half, atol=1e-6)
    np.testing.assert_allclose(made[:, bypassed], (own + rest)[:, bypassed], atol=1e-6)
    whole = steering.output("guitar", 0, own, rest)
    np.testing.assert_allclose(made, whole, atol=1e-7)


def test_only_lanes_of_levels_make_an_output_more_than_its_target(noise):
    def plain(lanes, rest):
        tier = load_model("panorama").spec.tier("live")
        return Steering(Automation(lanes), ["guitar"], tier, RATE, rest).plain

    assert plain(SWEEP.lanes, {"guitar": {"width": 30}})
    assert not plain({(ALL, "mix"): Lane.level(0.5)}, {})
    assert not plain(SWEEP.lanes, {"guitar": {"gain": -6}})
    assert plain({("bass", "mix"): Lane.level(0.5)}, {})


def test_the_lowest_gain_is_silence(noise):
    automation = Automation({("guitar", "gain"): Lane.level(-60)})
    _, steering, _ = separated(automation, RATE, noise)
    assert not steering.output("guitar", 0, noise, noise).any()
