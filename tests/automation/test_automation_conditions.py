"""The sound that automation makes: offline, live, in any blocks."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_bridge.automation import ALL, Automation, Lane, LaneConditions, Point
from plugin_bridge.control.controls import INSTRUMENTS
from plugin_bridge.control.target_conditions import TargetConditions
from realtime import Separator, load_model
from realtime.spec import ModelSpec, Tier
from tests.support.lanes import RATE

SWEEP = Automation(
    {
        ("guitar", "azimuth"): Lane([Point(0, -40), Point(0.7, 40, "step"), Point(0.9, -10)]),
        ("guitar", "width"): Lane([Point(0.2, 10, "smooth"), Point(1, 60)]),
    }
)


def separated(automation, block, noise, tier="live"):
    model = load_model("panorama")
    conditions = LaneConditions(
        automation, ["guitar"], model.spec.tier_at(tier, RATE), RATE, {"guitar": {"width": 30.0}}
    )
    separator = Separator(model, RATE, targets=["guitar"], tier=tier, conditions=conditions)
    blocks = [noise[:, k : k + block] for k in range(0, noise.shape[1], block)]
    out = [separator.process(np.ascontiguousarray(b)) for b in blocks]
    return np.concatenate([*out, separator.flush()], axis=2), conditions, separator.latency


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
    _, conditions, _ = separated(automation, RATE, noise)
    pieces = [
        conditions.output("guitar", k, *(s[:, k : k + 300] for s in (own + rest, own, rest)))
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
    whole = conditions.output("guitar", 0, own + rest, own, rest)
    np.testing.assert_allclose(made, whole, atol=1e-7)


def test_only_lanes_of_levels_make_an_output_more_than_its_target(noise):
    def plain(lanes, rest):
        tier = load_model("panorama").spec.tier("live")
        return LaneConditions(Automation(lanes), ["guitar"], tier, RATE, rest).has_unity_levels

    assert plain(SWEEP.lanes, {"guitar": {"width": 30}})
    assert not plain({(ALL, "mix"): Lane.level(0.5)}, {})
    assert not plain(SWEEP.lanes, {"guitar": {"gain": -6}})
    assert plain({("bass", "mix"): Lane.level(0.5)}, {})


def test_the_lowest_gain_is_silence(noise):
    automation = Automation({("guitar", "gain"): Lane.level(-60)})
    _, conditions, _ = separated(automation, RATE, noise)
    assert not conditions.output("guitar", 0, 2 * noise, noise, noise).any()


def test_a_lane_of_instruments_tells_the_model_its_sources_crossing_over():
    spec = ModelSpec(
        "s", {"live": Tier(1024, 512, 256)}, {}, "mixture", targets=("vocals", "drums")
    )
    vocals, drums = (INSTRUMENTS.index(name) for name in ("vocals", "drums"))
    lanes = Automation({("a", "instrument"): Lane.steps([0.0, 0.5], [vocals, drums])})
    told = LaneConditions(
        lanes, ["a", "b"], spec.tier("live"), RATE, model=TargetConditions(spec),
        instruments={"b": (vocals, drums)},
    )  # fmt: skip
    frames = RATE // 256
    sources = told(0, frames)["sources"]
    at_s = np.array([spec.tier("live").position_of(k) for k in range(frames)]) / RATE
    np.testing.assert_allclose(sources[:, 0].sum(-1), 1, atol=1e-6)
    np.testing.assert_array_equal(sources[at_s < 0.47, 0], [[1, 0]] * int((at_s < 0.47).sum()))
    np.testing.assert_array_equal(sources[at_s > 0.53, 0], [[0, 1]] * int((at_s > 0.53).sum()))
    assert ((sources[:, 0] > 0.05) & (sources[:, 0] < 0.95)).any(), "it does not jump"
    np.testing.assert_array_equal(sources[:, 1], np.ones((frames, 2)))
