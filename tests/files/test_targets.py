"""Targets and their file: names that any system can give to a file."""

from __future__ import annotations

import json

import pytest

from plugin_bridge.control.target import check_targets
from plugin_bridge.files.targets import Target, read_targets
from realtime.errors import StemsteerError


@pytest.mark.parametrize("name", ["", "a.", "a ", "CON", "con.wav", "Lpt1", "aux .x", "x" * 250])
def test_a_name_that_some_system_does_not_give_to_a_file_is_refused(name):
    with pytest.raises(ValueError, match=r"expected up to 200 bytes of letters"):
        Target(name, 0)


@pytest.mark.parametrize("name", ["residual", "Residual"])
def test_the_name_of_the_residual_is_refused(name):
    with pytest.raises(ValueError, match="the name of what is left of the mix"):
        Target(name, 0)


@pytest.mark.parametrize("name", ["guitar", "Gitarre 2", "a.b", "Con brio", "ギター", "lead (l)"])
def test_other_names_are_taken(name):
    assert Target(name, 0).name == name


def test_targets_are_read_from_a_file_alone(tmp_path):
    (tmp_path / "t.json").symlink_to("/dev/null")
    with pytest.raises(StemsteerError, match=r"t\.json is not a file"):
        read_targets(tmp_path / "t.json")


@pytest.mark.parametrize("other", ["guitar", "GUITAR", "guita\u0301r"])
def test_names_that_a_file_system_takes_for_one_are_refused(tmp_path, other):
    first = "guit\u00e1r" if "\u0301" in other else "guitar"
    entries = [{"name": name, "azimuth_deg": 0} for name in (first, other)]
    (tmp_path / "t.json").write_text(json.dumps(entries))
    with pytest.raises(StemsteerError, match="two targets have the same name"):
        read_targets(tmp_path / "t.json")


def test_as_many_targets_as_a_model_may_have_are_taken_and_no_more(tmp_path):
    check_targets([Target(f"t{k}", 0) for k in range(256)])
    entries = [{"name": f"t{k}", "azimuth_deg": 0} for k in range(257)]
    (tmp_path / "t.json").write_text(json.dumps(entries))
    with pytest.raises(StemsteerError, match="there are 257 targets, expected at most 256"):
        read_targets(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"wdith_deg": 60}, "target 1: 'wdith_deg' is none of its fields; did you mean width_deg"),
        ({"stretch_s": [[1, 2]]}, "did you mean stretches_s"),
        ({"colour": "red"}, "'colour' is none of its fields; there are name, azimuth_deg"),
        ({"stretches_s": []}, "stretches_s is empty: leave the field out to take the whole song"),
    ],
)
def test_a_field_that_would_say_nothing_is_refused(tmp_path, wrong, words):
    (tmp_path / "t.json").write_text(json.dumps([{"name": "a", "azimuth_deg": -30, **wrong}]))
    with pytest.raises(StemsteerError, match=words):
        read_targets(tmp_path / "t.json")


def test_what_scan_writes_beside_the_target_is_left_aside(tmp_path):
    entry = {"name": "a", "azimuth_deg": -30, "spread_deg": 3, "level_db": -20, "sure": 0.9}
    (tmp_path / "t.json").write_text(json.dumps([entry]))
    assert read_targets(tmp_path / "t.json") == [Target("a", -30)]
