"""`stemsteer render --automation`: what was played live comes out of a file the same."""

from __future__ import annotations

import json

import numpy as np
import pytest

from plugin_bridge.automation import LaneConditions, read_automation
from realtime import Separator, load_model
from tests.support.rendering import RATE_HZ, noise_song, render_song, sound

LANES = "seconds,guitar.azimuth,guitar.width\n0,-30,15\n1,-30,\n1.5,25,40\n"


@pytest.fixture
def song(tmp_path):
    (tmp_path / "lanes.csv").write_text(LANES)
    return noise_song(tmp_path)


@pytest.mark.parametrize("tier", ["live", "offline"])
def test_the_lanes_played_in_live_blocks_give_what_render_writes(song, tmp_path, tier):
    done = render_song(
        song, "--automation", tmp_path / "lanes.csv", "--out", tmp_path / "out", "--tier", tier,
        "--model", "panorama",
    )  # fmt: skip
    assert done.exit_code == 0, done.output

    model, mixture = load_model("panorama"), sound(song)
    conditions = LaneConditions(
        read_automation(tmp_path / "lanes.csv", RATE_HZ), ["guitar"],
        model.spec.tier_at(tier, RATE_HZ), RATE_HZ,
    )  # fmt: skip
    separator = Separator(model, RATE_HZ, targets=["guitar"], tier=tier, conditions=conditions)
    blocks = [mixture[:, k : k + 256] for k in range(0, mixture.shape[1], 256)]
    live = [separator.process(np.ascontiguousarray(block)) for block in blocks]
    live = np.concatenate([*live, separator.flush()], axis=2)[:, :, separator.latency :]
    assert np.abs(live[0] - sound(tmp_path / "out" / "guitar.wav")).max() <= 1e-6
    assert np.abs(live[1] - sound(tmp_path / "out" / "residual.wav")).max() <= 1e-6


def test_targets_come_from_the_lanes_or_from_options_beside_them(song, tmp_path):
    lanes = tmp_path / "lanes.csv"
    done = render_song(song, "--automation", lanes, "--out", tmp_path / "a", "--json")
    assert [stem["name"] for stem in json.loads(done.stdout)["stems"]] == ["guitar", "residual"]
    lanes.write_text("seconds,azimuth\n0,10\n")
    done = render_song(song, "--automation", lanes, "--out", tmp_path / "b", "--json")
    target, residual = json.loads(done.stdout)["stems"]
    assert (target["name"], residual["name"]) == ("target", "residual")
    assert (target["azimuth_deg"], target["width_deg"]) == (10, 20)


def test_a_target_that_only_the_lanes_name_beside_others_is_told(song, tmp_path):
    lanes = tmp_path / "lanes.csv"
    done = render_song(song, "--automation", lanes, "--azimuth", "a=0", "--out", tmp_path / "a")
    assert done.exit_code == 0
    assert "stemsteer: guitar is only in the lanes and is taken beside a; if one" in done.stderr
    done = render_song(
        song, "--automation", lanes, "--azimuth", "guitar=0", "--out", tmp_path / "b"
    )
    assert "only in the lanes" not in done.stderr


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("guitar.mode,guitar.gain\n0,0,0\n1,1,-6\n", "mode and gain"),
        ("bypass\n0,1\n", "bypass"),
        ("guitar.mix,guitar.gain\n0,1,0\n", ""),
        ("guitar.azimuth\n0,1\n", ""),
    ],
)
def test_lanes_that_change_the_sum_are_told(song, tmp_path, values, words):
    (tmp_path / "lanes.csv").write_text(f"seconds,{values}")
    done = render_song(
        song, "--automation", tmp_path / "lanes.csv", "--azimuth", "guitar=0",
        "--out", tmp_path / "a", "--model", "panorama",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = f"the lanes of {words} change the stems, which do not add up to the mix there"
    assert (told in done.stderr) if words else ("change the stems" not in done.stderr)


def test_a_direction_that_moves_is_not_reported_as_one(song, tmp_path):
    lanes = tmp_path / "lanes.csv"
    lanes.write_text("seconds,guitar.azimuth\n0,-30\n1,10\n")
    done = render_song(song, "--automation", lanes, "--out", tmp_path / "a", "--json")
    guitar = json.loads(done.stdout)["stems"][0]
    assert (guitar["azimuth_deg"], guitar["width_deg"]) == (None, 20)


def test_a_level_lane_makes_a_file_what_the_plugin_would_put_out(song, tmp_path):
    lanes = tmp_path / "lanes.csv"
    lanes.write_text("seconds,guitar.azimuth\n0,-30\n")
    assert render_song(song, "--automation", lanes, "--out", tmp_path / "a").exit_code == 0
    lanes.write_text("seconds,guitar.azimuth,guitar.mode,guitar.gain\n0,-30,remove,-6\n")
    assert render_song(song, "--automation", lanes, "--out", tmp_path / "b").exit_code == 0
    residual = sound(tmp_path / "a" / "residual.wav")
    removed = sound(tmp_path / "b" / "guitar.wav")
    assert np.abs(removed - 10 ** (-6 / 20) * residual).max() <= 1e-6
    assert np.abs(sound(tmp_path / "b" / "residual.wav") - residual).max() <= 1e-6


@pytest.mark.parametrize(
    ("values", "options", "told"),
    [
        ("guitar.azimuth,guitar.width\n0,-30,25\n1,9,40\n", ("--width", 40), (
            "--azimuth counts for nothing where lanes move the azimuth of guitar",
            "--width counts for nothing where lanes move the width of guitar",
        )),
        ("azimuth\n0,-30\n", (), ("--azimuth counts for nothing",)),
        ("guitar.azimuth\n0,10\n1,20\n", (), ()),  # as a take has it: it begins there
        ("guitar.strength,guitar.timbre_morph\n0,0.5,1\n", (), (
            "the lane of the strength of guitar moves nothing, since it has no instrument",
            "the lane of timbre_morph of guitar moves nothing: it leads from an instrument",
        )),
        ("guitar.strength,guitar.timbre_morph,guitar.instrument\n0,1,0,any\n", (), ()),
        ("guitar.strength\n0,0.5\n", ("--instrument", "guitar"), ()),
        ("guitar.instrument\n0,bass\n", ("--instrument", "guitar"), (
            "--instrument counts for nothing where lanes move the instrument of guitar",
        )),
        ("guitar.strength\n0,0.5\n", ("--instrument", "guitar", "--strength", "0.9"), (
            "--strength counts for nothing where lanes move the strength of guitar",
        )),
        ("guitar.azimuth\n50,10\n60,20\n", (), (
            "the lane of azimuth of guitar begins at 50 s, and ",
            " ends at 2.0 s: it is 10 throughout",
        )),
        ("gain\n2,0\n", (), ("the lane of gain of all targets begins at 2 s",)),
    ],
)  # fmt: skip
def test_lanes_in_place_of_options_and_lanes_that_do_nothing_are_told(
    song, tmp_path, values, options, told
):
    (tmp_path / "lanes.csv").write_text(f"seconds,{values}")
    done = render_song(
        song, "--automation", tmp_path / "lanes.csv", "--azimuth", "guitar=10", *options,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    for words in told:
        assert words in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("stemsteer: ")]
    assert len(lines) == (1 if "begins at" in "".join(told) else len(told)), lines


@pytest.mark.parametrize(
    ("lanes", "options", "code", "words"),
    [
        ("seconds,guitar.pan\n0,1\n", (), 1, "no control 'pan' to automate"),
        ("seconds,guitar.azimuth\n1,0\n0,0\n", (), 1, "goes back in time"),
        ("seconds,a/b.azimuth\n0,0\n", (), 1, "target name is 'a/b'"),
        (LANES, ("--targets", "t.json"), 1, "is for 'guitar', but there are bass"),
    ],
)
def test_automation_that_does_not_fit_is_refused(song, tmp_path, lanes, options, code, words):
    (tmp_path / "lanes.csv").write_text(lanes)
    (tmp_path / "t.json").write_text('[{"name": "bass", "azimuth_deg": 0}]')
    options = [tmp_path / o if o.endswith(".json") else o for o in options]
    out = tmp_path / "out"
    done = render_song(song, "--automation", tmp_path / "lanes.csv", *options, "--out", out)
    assert (done.exit_code, out.exists()) == (code, False)
    assert words in done.stderr
