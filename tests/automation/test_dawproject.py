"""DAWprojects of Bitwig Studio, Studio One and Cubase: pans and Stemsteer's parameters as lanes."""

from __future__ import annotations

import zipfile

import pytest

from plugin_bridge.automation import read_automation
from realtime.errors import StemsteerError
from tests.support.lanes import RATE, points

PAN = '<Pan max="1.0" min="0.0" unit="normalized" value="0.5" id="{0}pan" name="Pan"/>'
DEVICE = """<Vst3Plugin deviceName="{name}" {loaded} name="my own"><Parameters>
<RealParameter min="0" max="1" id="{id}az" name="Azimuth"/>
<RealParameter min="-60" max="12" id="{id}gain" name="Gain (dB)"/>
<BoolParameter id="{id}byp" name="Bypass"/></Parameters>
<Enabled value="{on}" id="{id}on" name="On/Off"/></Vst3Plugin>"""


def device(number="d", name="Stemsteer", on="true", loaded='loaded="true"'):
    return DEVICE.format(id=number, name=name, on=on, loaded=loaded)


def track(name, number, devices="", inner=""):
    channel = f"<Channel>{PAN.format(number)}<Devices>{devices}</Devices></Channel>"
    return f'<Track name="{name}">{channel}{inner}</Track>'


def curve(parameter, *rows, kind="RealPoint"):
    words = "".join(
        f'<{kind} time="{time}" value="{value}" interpolation="{shape}"/>'
        for time, value, shape in rows
    )
    return f'<Points><Target parameter="{parameter}"/>{words}</Points>'


def write(folder, tracks, lanes, *, unit="beats", tempo="", bpm=120, head=""):
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<Project version="1.0"><Transport>'
        f'<Tempo value="{bpm}" id="t"/></Transport><Structure>{tracks}</Structure>'
        f'<Arrangement>{tempo}<Lanes timeUnit="{unit}">{lanes}</Lanes></Arrangement></Project>'
    )
    path = folder / "a.dawproject"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("project.xml", text)
    return path


def lanes_of(path):
    return read_automation(path, RATE)


def test_the_pan_of_a_track_and_the_parameters_of_the_plugin_are_lanes(tmp_path):
    tracks = track("bass", "1") + track("guitar", "2", device())
    lanes = curve("1pan", (0, 0, "linear"), (4, 1, "hold"))
    lanes += f"<Lanes>{curve('daz', (2, 0.25, 'linear'))}{curve('dgain', (0, -24, 'hold'))}</Lanes>"
    lanes += curve("dbyp", (0, "false", "hold"), (2, "true", "hold"), kind="BoolPoint")
    found = lanes_of(write(tmp_path, tracks, lanes))
    assert points(found, "bass", "azimuth") == [(0, -45, "linear"), (2, 45, "step")]
    assert points(found, "guitar", "azimuth") == [(1, -22.5, "linear")]
    assert points(found, "guitar", "gain") == [(0, -24, "step")]
    assert points(found, "guitar", "bypass") == [(0, 0, "step"), (1, 1, "step")]


@pytest.mark.parametrize("pan_first", [True, False])
def test_the_plugins_own_azimuth_comes_before_the_pan(tmp_path, pan_first):
    lanes = [curve("1pan", (0, 1, "hold")), curve("daz", (0, 0.25, "hold"))]
    path = write(
        tmp_path, track("guitar", "1", device()), "".join(lanes[:: 1 if pan_first else -1])
    )
    assert points(lanes_of(path), "guitar", "azimuth") == [(0, -22.5, "step")]


def test_times_are_in_seconds_or_at_the_tempi_of_the_song(tmp_path):
    row = curve("1pan", (8, 0.5, "hold"))
    tempo = (
        '<TempoAutomation><RealPoint time="0" value="60" interpolation="hold"/>'
        '<RealPoint time="4" value="60" interpolation="linear"/>'
        '<RealPoint time="8" value="120" interpolation="hold"/></TempoAutomation>'
    )
    one = track("a", "1")
    for words, expected in (
        ({"unit": "seconds"}, 8),
        ({"bpm": 240}, 2),
        ({"tempo": tempo}, 4 + 4 * 0.693147),  # the integral of 60 / tempo over a ramp to twice
    ):
        found = points(lanes_of(write(tmp_path, one, row, **words)), "a", "azimuth")
        assert found[0][0] == pytest.approx(expected, abs=1e-3)


def test_tracks_of_one_name_and_several_instances_are_targets_of_their_own(tmp_path):
    tracks = track("Gtr", "1", inner=track("Gtr", "2", device("d") + device("e")))
    lanes = "".join(curve(name, (0, 0, "hold")) for name in ("1pan", "2pan", "eaz"))
    found = lanes_of(write(tmp_path, tracks, lanes))
    assert sorted(target for target, _ in found.lanes) == ["Gtr", "Gtr 2", "Gtr 3"]


@pytest.mark.parametrize(
    "other",
    [
        device(name="Stemsteer Killer"),
        device(name="EQ"),
        device(on="false"),
        device(loaded='loaded="false"'),
    ],
)
def test_other_devices_and_those_that_are_off_are_not_ours(tmp_path, other):
    path = write(tmp_path, track("a", "1", other), curve("daz", (0, 0, "hold")))
    with pytest.raises(StemsteerError, match="no track has automation of its pan"):
        lanes_of(path)


def test_automation_inside_a_clip_is_said(tmp_path):
    clip = f'<Clips><Clip time="0">{curve("1pan", (0, 0, "hold"))}</Clip></Clips>'
    with pytest.raises(StemsteerError, match="azimuth of a is automated inside a clip"):
        lanes_of(write(tmp_path, track("a", "1"), clip))


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"head": BOMB}, "project.xml cannot be read"),
        ({"head": '<!DOCTYPE x SYSTEM "file:///etc/passwd">'}, "project.xml cannot be read"),
        ({"unit": "bars"}, "time in 'bars'"),
        ({"lanes": "<Lanes>" * 100 + "</Lanes>" * 100}, "over 64 deep"),
        ({"lanes": curve("1pan", (0, "loud", "hold"))}, "could not convert"),
        ({"lanes": curve("1pan", (0, "nan", "hold"))}, "has the value 'nan'"),
        ({"lanes": curve("1pan", (0, 0, "wavy"))}, "shape is ''"),
        ({"lanes": "<"}, "project.xml cannot be read"),
    ],
)
def test_what_is_wrong_inside_is_said(tmp_path, words, message):
    words = {"lanes": curve("1pan", (0, 0, "hold"))} | words
    with pytest.raises(StemsteerError, match=message):
        lanes_of(write(tmp_path, track("a", "1"), words.pop("lanes"), **words))


def test_what_is_no_archive_or_too_large_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.dawproject"
    path.write_bytes(b"PK\3\4nothing")
    with pytest.raises(StemsteerError, match="not a DAWproject"):
        lanes_of(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.xml", "")
    with pytest.raises(StemsteerError, match="not a DAWproject"):
        lanes_of(path)
    monkeypatch.setattr("plugin_bridge.automation.formats.dawproject.MAX_XML_BYTES", 1000)
    with pytest.raises(StemsteerError, match=r"project\.xml is longer"):
        lanes_of(write(tmp_path, track("a" * 5000, "1"), ""))
