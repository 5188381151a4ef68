"""Automation that other programs wrote: REAPER projects, and MIDI files with their controllers."""

from __future__ import annotations

import os
from pathlib import Path

import mido
import pytest

from plugin_bridge.automation import ALL, read_automation
from plugin_bridge.automation.formats.midi import ControllerMap
from plugin_bridge.automation.formats.reaper import parse
from realtime import StemsteerError
from tests.support.lanes import RATE, points, read

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
    mapping = ControllerMap.of_table()
    coarse = mapping.control_change(0, 20, 64)
    fine = mapping.control_change(0, 52, 64)
    assert coarse == ((ALL, "width"), pytest.approx(1 + 89 * 64 / 127))
    assert fine == ((ALL, "width"), pytest.approx(1 + 89 * (64 * 128 + 64) / 16383))
    assert mapping.control_change(0, 3, 64) is None


def test_pan_is_in_the_centre_at_64_and_reaches_both_sides():
    mapping = ControllerMap.of_table()
    for value, azimuth_deg in ((0, -45), (32, -22.5), (64, 0), (127, 45)):
        assert mapping.control_change(0, 10, value) == ((ALL, "azimuth"), azimuth_deg)
    mapping.control_change(0, 10, 127)
    assert mapping.control_change(0, 42, 127) == ((ALL, "azimuth"), 45)
