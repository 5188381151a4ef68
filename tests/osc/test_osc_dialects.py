"""Messages of other programs, as their documents write them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
import zlib

import numpy as np
import pytest

from plugin_bridge.control.controls import INPUTS, control
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.daw import reaper, touchosc
from plugin_bridge.osc.dialects import MAX_NAMES, OscDialects
from plugin_bridge.osc.packets import decode, encode
from tests.support.osc_rig import Rig

SURFACE = MemorySurface(["guitar", "lead vocals"])


def played(conventions, *messages):
    """The moves of some messages that have been over a wire."""
    moves = []
    for address, *arguments in messages:
        ((message),) = decode(encode(address, arguments))
        moves += conventions.moves(message.address, message.arguments) or []
    return moves


DOCUMENTED = [
    # ADM-OSC: "-90 is on the Right, 0 is in front"
    ([("/adm/obj/1/azim", -22.5)], [("guitar", "azimuth", 22.5)]),
    ([("/adm/obj/2/azim", 30.0)], [("lead vocals", "azimuth", -30)]),
    ([("/adm/obj/1/azim", 90.0)], [("guitar", "azimuth", -45)]),
    ([("/adm/obj/1/azim", 170.0)], [("guitar", "azimuth", -10)]),
    ([("/adm/obj/1/aed", -22.5, 12.5, 0.5)], [("guitar", "azimuth", 22.5)]),
    ([("/adm/prog/2/obj/1/azim", -22.5)], [("guitar", "azimuth", 22.5)]),
    ([("/adm/obj/1/xyz", -1.0, 0.5, 0.0)], [("guitar", "azimuth", -45)]),
    ([("/adm/obj/1/x", 0.5)], [("guitar", "azimuth", 22.5)]),
    ([("/adm/obj/1/w", 45.5)], [("guitar", "width", 45.5)]),
    ([("/adm/obj/1/gain", 0.5)], [("guitar", "gain", pytest.approx(-6.02, abs=0.01))]),
    ([("/adm/obj/1/gain", 0.0)], [("guitar", "gain", -60)]),
    ([("/adm/obj/9/azim", 0.0)], []),
    ([("/adm/obj/1/elev", 12.5)], []),
    # IEM: azimuth in degrees to the left, as the ambisonic convention has it
    ([("/StereoEncoder/azimuth", 30.0)], [("guitar", "azimuth", -30)]),
    ([("/StereoEncoder/azimuth", -180.0)], [("guitar", "azimuth", 0)]),
    ([("/StereoEncoder/width", -60.0)], [("guitar", "width", 60)]),
    ([("/MultiEncoder/azimuth1", 10.0)], [("lead vocals", "azimuth", -10)]),
    # REAPER, by the pattern file: shares, and names before them
    ([("/track/2/pan", 0.75)], [("lead vocals", "azimuth", 22.5)]),
    ([("/track/7/name", "Guitar"), ("/track/7/pan", 0.0)], [("guitar", "azimuth", -45)]),
    ([("/track/7/pan", 0.0)], []),
    ([("/track/1/fx/2/fxparam/4/name", "Width (deg)"),
      ("/track/1/fx/2/fxparam/4/value", 1.0)], [("guitar", "width", 90)]),
    ([("/track/1/fx/2/fxparam/5/name", "Threshold"),
      ("/track/1/fx/2/fxparam/5/value", 1.0)], []),
    ([("/track/1/fx/2/fxparam/6/name", "Timbre Strength"),
      ("/track/1/fx/2/fxparam/6/value", 0.5)], [("guitar", "strength", 0.5)]),
    # Ardour: strips from 1, parameters from 1
    ([("/strip/pan_stereo_position", 1, 0.25)], [("guitar", "azimuth", -22.5)]),
    ([("/strip/name", 5, "Lead Vocals"), ("/strip/pan_stereo_position", 5, 1.0)],
     [("lead vocals", "azimuth", 45)]),
    ([("/strip/plugin/parameter", 1, 1, 2, 33.0)], [("guitar", "width", 33)]),
    ([("/strip/plugin/parameter", 1, 1, 14, 0.5)], []),
    # AbletonOSC: tracks from 0, pan from -1 to 1, parameters by the names it was asked for
    ([("/live/track/get/panning", 1, -1.0)], [("lead vocals", "azimuth", -45)]),
    ([("/live/track/get/name", 4, "guitar"), ("/live/track/get/panning", 4, 0.5)],
     [("guitar", "azimuth", 22.5)]),
    ([("/live/device/get/parameters/name", 0, 1, "Device On", "Azimuth"),
      ("/live/device/get/parameter/value", 0, 1, 1, 0.0)], [("guitar", "azimuth", -45)]),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "moves"), DOCUMENTED)
def test_a_documented_message_moves_what_it_says(messages, moves):
    assert played(OscDialects(SURFACE), *messages) == moves


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("message", [messages[-1] for messages, _ in DOCUMENTED])
def test_a_number_that_is_none_is_refused_or_clamped(message, number):
    """Each number of each message in turn, over a wire: every control stays in its range."""
    address, *arguments = message
    with Rig() as rig:
        for place, _ in enumerate(arguments):
            rig.send(address, *arguments[:place], number, *arguments[place + 1 :])
        for instance in rig.surface.instances:
            for each in INPUTS:
                assert each.low <= rig.value(instance, each.name) <= each.high


@pytest.mark.parametrize(
    "name",
    ["Model", "Gain-Low Shelf", "Mixture", "Modern", "mix", "Width L", "Azimuth (rad)", "Bypass"],
)
def test_a_parameter_that_is_not_called_like_a_control_is_not_ours(name):
    messages = [("/track/1/fx/2/fxparam/1/name", name), ("/track/1/fx/2/fxparam/1/value", 1.0)]
    assert played(OscDialects(SURFACE), *messages) == []
    live = [("/live/device/get/parameters/name", 0, 1, name),
            ("/live/device/get/parameter/value", 0, 1, 0, 1.0)]  # fmt: skip
    assert played(OscDialects(SURFACE), *live) == []


@pytest.mark.parametrize(
    ("plugin", "title", "expected"),
    [
        ("VST3: Stemsteer (Stemsteer)", "Bypass", [("guitar", "bypass", 1)]),
        ("VST3: Stemsteer (Stemsteer)", "Mix", [("guitar", "mix", 1)]),
        ("CLAP: Stemsteer Split", "Width (deg)", [("guitar", "width", 90)]),
        ("VST: ReaComp (Cockos)", "Bypass", []),
        ("VST: ReaVerb (Cockos)", "Width", []),
        ("JS: Stereo Width", "Mix", []),
    ],
)
def test_a_parameter_of_a_plugin_that_is_known_to_be_another_is_not_ours(plugin, title, expected):
    messages = [
        ("/track/1/fx/2/name", plugin),
        ("/track/1/fx/2/fxparam/1/name", title),
        ("/track/1/fx/2/fxparam/1/value", 1.0),
    ]
    assert played(OscDialects(SURFACE), *messages) == expected
    live = [
        ("/live/device/get/name", 0, 1, plugin),
        ("/live/device/get/parameters/name", 0, 1, title),
        ("/live/device/get/parameter/value", 0, 1, 0, 1.0),
    ]
    assert played(OscDialects(SURFACE), *live) == expected


def test_a_gain_that_is_no_number_is_not_silence():
    with pytest.raises(ValueError, match="gain is not a number"):
        played(OscDialects(SURFACE), ("/adm/obj/1/gain", np.nan))


def test_names_without_end_take_no_memory_and_those_known_may_change():
    conventions = OscDialects(SURFACE)
    for track in range(MAX_NAMES + 10):
        played(conventions, (f"/track/{track}/name", "x"))
        played(conventions, ("/live/device/get/parameters/name", track, 0, "Azimuth"))
    assert len(conventions._tracks) == len(conventions._parameters) == MAX_NAMES
    assert played(conventions, ("/track/9/name", "guitar"), ("/track/9/pan", 0.5)) == [
        ("guitar", "azimuth", 0)
    ]


def test_mirrored_takes_left_for_right():
    mirrored = OscDialects(SURFACE, mirrored=True)
    assert played(mirrored, ("/StereoEncoder/azimuth", 30.0)) == [("guitar", "azimuth", 30)]
    assert played(mirrored, ("/track/1/pan", 0.0)) == [("guitar", "azimuth", 45)]


def test_what_is_in_no_convention_is_none_and_what_is_damaged_is_said():
    conventions = OscDialects(SURFACE)
    assert conventions.moves("/elsewhere", (1.0,)) is None
    with pytest.raises(ValueError, match=r"/adm/obj/1/azim has \[\]"):
        conventions.moves("/adm/obj/1/azim", ())
    with pytest.raises(ValueError, match="left"):
        conventions.moves("/adm/obj/1/azim", ("left",))
    with pytest.raises(ValueError, match="/strip/pan"):
        conventions.moves("/strip/pan_stereo_position", (None, 1.0))


def test_the_pattern_file_of_reaper_sends_what_is_understood():
    lines = [line.split() for line in reaper.pattern_file().splitlines() if "/" in line[:60]]
    patterns = [words[1] for words in lines if len(words) == 2 and words[0].isupper()]
    assert len(patterns) == 5
    for pattern in patterns:
        kind, address = pattern[0], pattern[1:].replace("@", "1")
        argument = "Azimuth" if kind == "s" else 0.5
        assert OscDialects(SURFACE).moves(address, (argument,)) is not None


def test_the_layout_for_touchosc_sends_every_control_in_its_unit():
    root = ET.fromstring(zlib.decompress(touchosc.layout(["guitar", "lead vocals"])))
    assert root.tag == "lexml"
    sent = {}
    for osc in root.iter("osc"):
        path = osc.find("path/partial/value").text
        scale = osc.find("arguments/partial")
        sent[path] = float(scale.find("scaleMin").text), float(scale.find("scaleMax").text)
    assert sent["/stemsteer/lead_vocals/azimuth"] == (-45, 45)
    shown = {path.rpartition("/")[2] for path in sent}
    assert shown == {c.name for c in INPUTS} - {"latency_mode", "offline", "instrument"}
    assert all(sent[p] == (control(p.rpartition("/")[2]).low, control(p.rpartition("/")[2]).high)
               for p in sent)  # fmt: skip
