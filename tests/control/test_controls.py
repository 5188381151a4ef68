"""The table of controls: fixed for ever, and the same in Python and in C++."""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_bridge.control.controls import (
    CONTROLS,
    INSTRUMENTS,
    LATENCY_MODES,
    MAX_INSTRUMENTS,
    control,
)
from plugin_bridge.control.generate import header, markdown, meters_markdown
from plugin_bridge.control.surface import MemorySurface
from plugin_bridge.osc.dialects import OscDialects
from realtime import load_model
from realtime.conditions import AZIMUTH_DEG, DEFAULT_DIRECTION, SMOOTHING_S, WIDTH_DEG
from tests.support.engine_sandbox import need

FIXED = [  # what is in users' projects: lines may be added, none may change
    (0, "azimuth", -45, 45, 0),
    (1, "width", 1, 90, 20),
    (2, "instrument", 0, 63, 0),
    (3, "timbre_morph", 0, 1, 0),
    (4, "strength", 0, 1, 1),
    (5, "mix", 0, 1, 1),
    (6, "mode", 0, 1, 0),
    (7, "gain", -60, 12, 0),
    (8, "bypass", 0, 1, 0),
    (9, "latency_mode", 0, 4, 0),
    (10, "offline", 0, 1, 0),
    (11, "connected", 0, 1, 0),
    (12, "dropouts", 0, 1_000_000, 0),
    (13, "load", 0, 1, 0),
    (14, "learn", 0, 1, 0),
]


def test_a_direction_has_the_same_range_for_a_control_as_for_the_separator():
    for name, (low, high), normal in zip(
        ("azimuth", "width"), (AZIMUTH_DEG, WIDTH_DEG), DEFAULT_DIRECTION, strict=True
    ):
        told = control(name)
        assert (told.low, told.high, told.default) == (low, high, normal)
    assert control("azimuth").smoothing_s == SMOOTHING_S


def test_the_controls_of_projects_in_the_world_never_change():
    rows = [(row.id, row.name, row.low, row.high, row.default) for row in CONTROLS]
    assert rows[: len(FIXED)] == FIXED
    assert [row.id for row in CONTROLS] == list(range(len(CONTROLS)))
    assert INSTRUMENTS[:3] == ("any", "drums", "percussion")
    assert INSTRUMENTS[27] == "vocals"
    assert len(INSTRUMENTS) <= MAX_INSTRUMENTS
    assert LATENCY_MODES == (1024, 2048, 4096, 512, 8192)


def test_every_name_title_and_midi_controller_is_there_once():
    for attribute in ("name", "title", "help"):
        assert len({getattr(row, attribute) for row in CONTROLS}) == len(CONTROLS)
    controllers = [row.midi_cc for row in CONTROLS if row.midi_cc is not None]
    assert len(set(controllers)) == len(controllers)
    assert all(row.midi_cc is None for row in CONTROLS if row.output)


@pytest.mark.parametrize("row", CONTROLS, ids=lambda row: row.name)
def test_a_share_of_the_range_comes_back_as_the_same_value(row):
    for share in (0.0, 0.25, 0.5, 1.0):
        value = row.from_norm(share)
        assert row.low <= value <= row.high
        assert row.from_norm(row.norm(value)) == pytest.approx(value)
    assert row.clamp(row.default) == row.default


def test_values_out_of_range_are_clamped_or_refused():
    azimuth = control("azimuth")
    assert azimuth.clamp(90) == 45
    assert azimuth.clamp(-math.inf) == -45
    with pytest.raises(ValueError, match="azimuth is 90, expected -45 to 45 deg"):
        azimuth.check(90)
    with pytest.raises(ValueError, match=r"instrument is 1.5, expected 0 to .*, whole numbers"):
        control("instrument").check(1.5)
    assert control("instrument").check(2) == 2
    with pytest.raises(ValueError, match="azimuth is not a number"):
        azimuth.clamp(math.nan)
    with pytest.raises(ValueError, match="no control 'pan'; there are azimuth, width"):
        control("pan")


def test_words_stand_for_choices_and_switches():
    assert control("instrument").parse("Guitar") == INSTRUMENTS.index("guitar")
    elsewhere = pickle.loads(pickle.dumps(control("instrument")))  # in the process of the servers
    assert elsewhere.parse("singer") == INSTRUMENTS.index("vocals")
    with pytest.raises(ValueError, match="did you mean guitar"):
        elsewhere.parse("guitr")
    assert control("mode").parse("remove") == 1
    assert control("bypass").parse("on") == 1
    assert control("azimuth").parse(" -30 ") == -30
    with pytest.raises(ValueError, match="mode is 'solo', expected isolate or remove"):
        control("mode").parse("solo")


def test_the_generated_header_says_in_cpp_what_the_table_says(tmp_path):
    need("g++")
    (tmp_path / "controls.h").write_text(header())
    (tmp_path / "print.cpp").write_text(
        '#include "controls.h"\n#include <cstdio>\nusing namespace stemsteer;\n'
        "static_assert(kAzimuth == 0 && kTimbreMorph == 3 && kLoad == 13);\n"
        "int main() { for (const Control& c : kControls) std::printf("
        '"%u|%s|%s|%s|%g|%g|%g|%d%d%d|%u\\n", c.id, c.symbol, c.title, c.unit, c.low, c.high,'
        " c.normal, c.whole, c.toggle, c.output, c.choice_count); std::puts(kProductVersion); }\n"
    )
    program = tmp_path / "print"
    subprocess.run(
        ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-o", program, tmp_path / "print.cpp"],
        check=True,
    )
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    expected = [
        f"{c.id}|{c.name}|{c.title}|{c.unit}|{c.low:g}|{c.high:g}|{c.default:g}|"
        f"{c.whole:d}{c.kind == 'switch':d}{c.output:d}|{c.high + 1 if c.choices else 0:g}"
        for c in CONTROLS
    ]
    assert printed.splitlines() == [*expected, importlib.metadata.version("stemsteer")]


def test_the_protocol_page_holds_the_tables_as_they_are():
    page = (Path(__file__).parents[2] / "plugin_bridge" / "PROTOCOL.md").read_text("utf-8")
    for name, made in (("controls", markdown()), ("meters", meters_markdown())):
        shown = page.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0]
        assert shown == made, f"write it anew: python -m plugin_bridge.controls {name}"
    for number, name in enumerate(INSTRUMENTS):
        assert f"{number} {name}" in page


def test_of_the_models_that_come_along_those_take_timbres_that_the_protocol_page_names():
    folder = Path(__file__).parents[2] / "models_onnx" / "weights"
    taking = {p.stem for p in folder.glob("*.onnx") if "timbre" in load_model(p).spec.conditions}
    page = (Path(__file__).parents[2] / "plugin_bridge" / "PROTOCOL.md").read_text("utf-8")
    (named,) = re.findall(r"act in models that know instruments: (.*), of those", page)
    assert taking == set(re.findall(r"`([^`]+)`", named))


def test_every_address_on_the_protocol_page_is_understood():
    page = (Path(__file__).parents[2] / "plugin_bridge" / "PROTOCOL.md").read_text("utf-8")
    conventions = OscDialects(MemorySurface(["a"] * 3))
    addresses = re.findall(r"`(/(?:adm|StereoEncoder|MultiEncoder|track|strip|live)[^`\s]*)`", page)
    assert len(addresses) >= 9
    for address in addresses:
        numbered = re.sub(r"\b[NMP]\b|N$", "1", address)
        with contextlib.suppress(ValueError):  # the arguments are another matter
            assert conventions.moves(numbered, ()) is not None, address


def test_the_module_prints_the_header():
    done = subprocess.run(
        [sys.executable, "-m", "plugin_bridge.controls", "header"], capture_output=True, text=True
    )
    assert done.stdout == header()
