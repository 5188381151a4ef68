"""Lanes of instrument, timbre_morph and strength: from every kind of file, live as rendered."""

from __future__ import annotations

import mido
import numpy as np
import pytest

from plugin_bridge.automation import Automation, conditions_of, read_automation
from plugin_bridge.automation.live_lanes import LiveLanes
from plugin_bridge.automation.move_log import MoveLog
from plugin_bridge.control.controls import BY_NAME, INSTRUMENTS
from plugin_bridge.control.target import Target, TimbrePair
from realtime import Separator, load_model
from tests.automation.test_reaper import OURS, chain, effect, parameter, project, track
from tests.support.models import timbre_model

RATE = 44_100
VOCALS, DRUMS = (INSTRUMENTS.index(name) for name in ("vocals", "drums"))
CSV = """seconds,target,control,value,shape
0,a,instrument,singer,
1,a,instrument,Drums,
0,a,timbre_morph,0,linear
2,a,timbre_morph,1,
0,a,strength,0.5,
"""
JSON = """{"lanes": {"a": {"instrument": [[0, "vocals"], [1, "drums"]],
 "timbre_morph": [[0, 0], [2, 1]], "strength": [[0, 0.5]]}}}"""


def value_at(automation, name, time_s):
    return float(automation.lane("a", name).at(time_s))


@pytest.mark.parametrize(("name", "text"), [("a.csv", CSV), ("a.json", JSON)])
def test_words_and_numbers_of_a_timbre_are_read_from_text(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    lanes = read_automation(tmp_path / name, RATE)
    assert [value_at(lanes, "instrument", t) for t in (0.5, 0.99, 1.01)] == [VOCALS, VOCALS, DRUMS]
    assert value_at(lanes, "timbre_morph", 1) == pytest.approx(0.5)
    assert value_at(lanes, "strength", 1) == 0.5


def test_controllers_of_midi_move_them(tmp_path):
    song = mido.MidiFile(ticks_per_beat=480)
    moves = mido.MidiTrack()
    for control, value in ((70, 54), (71, 127), (22, 64)):
        moves.append(mido.Message("control_change", control=control, value=value, time=0))
    song.tracks.append(moves)
    song.save(tmp_path / "a.mid")
    lanes = read_automation(tmp_path / "a.mid", RATE)
    assert value_at(lanes, "instrument", 1) == BY_NAME["instrument"].from_norm(54 / 127) == VOCALS
    assert value_at(lanes, "timbre_morph", 1) == 1
    assert value_at(lanes, "strength", 1) == pytest.approx(64 / 127, abs=1e-6)


def test_envelopes_of_a_reaper_project_move_them(tmp_path):
    rows = [
        parameter(
            f"{BY_NAME[name].id}:{name}", f"{BY_NAME[name].title} / Stemsteer", f"0 {share} 1"
        )
        for name, share in (("instrument", VOCALS / 63), ("timbre_morph", 0.25), ("strength", 0.5))
    ]
    text = project(track("a", chain(effect(OURS), *rows)))
    (tmp_path / "a.rpp").write_text(text)
    lanes = read_automation(tmp_path / "a.rpp", RATE)
    names = ("instrument", "timbre_morph", "strength")
    assert [value_at(lanes, name, 0) for name in names] == pytest.approx([VOCALS, 0.25, 0.5])


def stream(model, lanes, moves, noise, block):
    """The target of a stream in which `moves` (sample, control, value) are made."""
    tier = model.spec.tier_at("live", RATE)
    like = np.array([0.6, 0, 0.8], np.float32)
    conditions = conditions_of(
        model.spec, lanes, [Target("a", 0, 90)], tier, RATE, {"a": TimbrePair(like)}
    )
    separator = Separator(
        model, RATE, targets=["a"], tier="live", block_multiple=256, conditions=conditions
    )
    out = []
    for first in range(0, noise.shape[1], block):
        for sample, name, value in moves:
            if first <= sample < first + block:
                lanes.set_value("a", name, value)
        out.append(separator.process(np.ascontiguousarray(noise[:, first : first + block]))[0])
    return np.concatenate(out, axis=1)


def test_what_is_moved_live_renders_to_the_same_sound(tmp_path):
    classes = {"vocals": (1.0, 0.0, 0.0), "drums": (0.0, 1.0, 0.0)}
    model = load_model(timbre_model(tmp_path / "t.onnx", classes))
    noise = np.random.default_rng(1).standard_normal((2, 256 * 160)).astype(np.float32)
    moves = [(4096, "instrument", VOCALS), (12_288, "timbre_morph", 0.5),
             (20_480, "strength", 0.25), (28_672, "instrument", DRUMS)]  # fmt: skip
    log = MoveLog(tmp_path / "lanes.csv")
    lanes = LiveLanes(
        Automation(), ["a"], {"a": {"azimuth": 0.0, "width": 90.0}}, 256 / RATE, log=log
    )
    log.start(lanes.lanes_at_start())
    live = stream(model, lanes, moves, noise, 256)
    log.close()
    again = stream(model, read_automation(tmp_path / "lanes.csv", RATE), [], noise, 8192)
    assert np.abs(live - again).max() <= 1e-6
    assert np.abs(live - stream(model, Automation(), [], noise, 8192)).max() > 0.1
