"""The audio process' side of a ring, in this process: requests, crashes, many records."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_bridge.control.controls import BY_NAME
from plugin_bridge.engine.shared.ring import CAPACITY, VALUES
from plugin_bridge.engine.worker.processor import choose_tier
from plugin_bridge.engine.worker.segments import KEPT, Segments
from realtime import load_model
from realtime.target_group import TargetGroup
from tests.support.fakes import FakeModel, identity
from tests.support.ring_rig import RATE_HZ, RingRig
from tests.support.signals import noise

GAIN, MIX = BY_NAME["gain"].id, BY_NAME["mix"].id
HOP = 256


def plugin_latency(mode, block):
    """What the plugin tells a host of blocks that are heard, as `effect.cpp` has it."""
    latency, synthesis = mode, 256 if mode == 512 else 512
    while latency < synthesis + block:
        latency *= 2
    return latency


def test_a_request_outlives_a_crash_of_the_model_in_its_hop():
    def rule(frames, spectrum, conditions):
        if armed:
            raise RuntimeError("the model crashed")
        return np.ones((1, 1, 1, 1), np.float32)

    armed = []
    rig = RingRig(FakeModel(rule))
    rig.record(512, gain=-6.0)
    rig.play(noise(2, 8 * HOP))
    rig.page.request(GAIN, -20.0)
    armed.append(True)
    with pytest.raises(RuntimeError):
        rig.play(noise(2, HOP))
    assert rig.page.overrides() == {GAIN: (-20.0, -6.0)}


def test_what_is_told_of_a_control_never_goes_back_to_what_it_was():
    told = []

    def rule(frames, spectrum, conditions):
        told.append(rig.page.value(GAIN))
        return np.ones((1, 1, 1, 1), np.float32)

    rig = RingRig(FakeModel(rule))
    rig.record(512)
    rig.play(noise(2, 8 * HOP))
    for value in (-10.0, -20.0):
        told.clear()
        rig.page.request(GAIN, value)
        assert rig.page.value(GAIN) == value
        rig.play(noise(2, 8 * HOP))
        assert told == [value] * len(told)
        assert rig.page.value(GAIN) == value
    assert rig.page.overrides() == {GAIN: (-20.0, 0.0)}


def test_a_request_made_while_a_hop_runs_is_taken_with_the_next_one():
    def rule(frames, spectrum, conditions):
        if waiting:
            rig.page.request(MIX, waiting.pop())
        return np.ones((1, 1, 1, 1), np.float32)

    waiting = []
    rig = RingRig(FakeModel(rule))
    rig.record(512)
    rig.play(noise(2, 8 * HOP))
    rig.page.request(MIX, 0.5)
    waiting.append(0.25)
    rig.play(noise(2, HOP), block=HOP)
    assert rig.page.value(MIX) == 0.25
    rig.play(noise(2, 8 * HOP))
    assert rig.page.overrides()[MIX] == (0.25, 1.0)


def test_a_track_automated_in_short_blocks_has_the_values_of_its_records_to_the_end():
    """More records than are kept: each of a few thousand blocks goes to its own gain."""
    rig = RingRig(identity())
    ones, block = np.ones((2, 64), np.float32), 64
    gains_db = -20 + 20 * np.random.default_rng(3).random(2 * KEPT + 100).cumsum() % 20
    played = []
    for gain_db in gains_db:
        rig.record(block, gain=float(gain_db))
        if (part := rig.try_play(ones)) is not None:
            played.append(part)
    tail = np.concatenate(played, axis=1)[0, -512:]
    assert rig.timeline._segments.last < 2 * KEPT
    expected = 10 ** (gains_db / 20)
    assert np.abs(tail).max() <= expected[-20:].max() + 1e-3
    assert np.abs(tail).min() >= expected[-20:].min() - 1e-3
    assert tail.std() > 1e-3


@pytest.mark.parametrize("rate_hz", [44_100, 96_000, 176_400, 192_000])
def test_late_sound_is_given_up_before_the_plugin_writes_over_it(rate_hz):
    rig = RingRig(identity(), offline=False, rate_hz=rate_hz)
    rig.record(512)
    rig.play(noise(2, 8 * HOP))
    first, largest = rig.processor.position, 4096  # samples that the plugin writes at once
    rig.ring["written"] = first + CAPACITY - largest + 1
    assert rig.processor.process_due()
    assert rig.ring["jumps"] == 1
    assert rig.ring["from"] == rig.ring["written"] - rig.ring["latency"]


@pytest.mark.parametrize("block", [4096, 8192, 14_336])
def test_live_blocks_that_the_largest_latency_allows_are_not_given_up(block):
    rig = RingRig(identity(), offline=False)
    rig.ring["latency"] = 16_384
    rig.record(block)
    sound = noise(2, 6 * block + 100)
    rig.try_play(sound[:, :100])  # the blocks are no whole hops
    played = rig.play(sound[:, 100:], block=block)
    assert rig.ring["jumps"] == 0
    np.testing.assert_allclose(played, sound[:, : played.shape[1]], atol=1e-5)


@pytest.mark.parametrize(("tier", "hop"), [("live", HOP), ("direct", HOP // 2)])
@pytest.mark.parametrize("instrument", [0, 1])
def test_a_backlog_of_any_size_is_made_up_for_with_buffers_that_are_there(
    tier, hop, instrument, monkeypatch
):
    def counted(stepper, frames, bins):
        bound.append(frames)
        return bind(stepper, frames, bins)

    bind, bound = TargetGroup._bind, []
    monkeypatch.setattr(TargetGroup, "_bind", counted)
    rig = RingRig(load_model("steer", "live"), offline=False, tier=tier)
    rig.record(512, instrument=instrument, width=90)
    rig.processor.warm_up()
    assert bound, "the first calls bind"
    bound.clear()
    for hops in (3, 5, 1, *range(17), 1, 16, 15, 1):
        rig.try_play(noise(2, hops * hop))
        assert rig.ring["written"] - rig.processor.position < hop
    assert rig.ring["jumps"] == 0
    assert bound == []


def test_segments_are_found_by_position_also_after_their_newer_half_has_moved():
    segments = Segments()
    rng = np.random.default_rng(0)
    positions = np.cumsum(rng.integers(1, 100, 5 * KEPT))
    for number, position in enumerate(positions):
        row = segments.append()
        segments.position[row] = position
        segments.after[row] = np.arange(VALUES) + number
    newest = positions[-KEPT:]
    rows = segments.find(newest + 0)
    assert (segments.after[rows, 0] == np.arange(4 * KEPT, 5 * KEPT)).all()
    assert (segments.position[segments.find(newest - 1)] < newest).all()
    segments.forget_before_last()
    assert (segments.find(positions[:5]) == segments.last).all()


@pytest.mark.parametrize("mode", [512, 1024, 4096, 8192])
@pytest.mark.parametrize("block", [16, 100, 333, 600, 768, 1000, 1537, 3585, 4097, 5000, 7680])
def test_live_blocks_of_any_size_are_there_in_time_by_the_tier_that_is_chosen(mode, block):
    model, latency = load_model("panorama"), plugin_latency(mode, block)
    rig = RingRig(model, offline=False, tier=choose_tier(model.spec, RATE_HZ, latency, block))
    rig.ring["latency"] = latency
    x = noise(2, 3 * latency + 9 * block)
    for first in range(0, x.shape[1] - block, block):
        there = rig.ring["done"]  # of all blocks before, if the engine is quick
        assert first == 0 or there - rig.start >= first + block - latency, first
        rig.try_play(x[:, first : first + block])


@pytest.mark.parametrize("name", ["panorama", "steer", "timbre-unet"])
def test_the_tier_that_looks_furthest_ahead_and_is_in_time_is_chosen_for_any_block(name):
    spec = load_model(name, "live").spec
    tiers = [t for t in ("lookahead", "studio", "live", "direct") if t in spec.tiers]
    needed = {t: spec.tier_at(t, RATE_HZ).latency + spec.tier_at(t, RATE_HZ).hop for t in tiers}
    for mode in (512, 1024, 2048, 4096, 8192):
        for block in {*range(16, 8193, 31), *(2**k + d for k in range(5, 13) for d in (-1, 0, 1))}:
            latency = plugin_latency(mode, block)
            in_time = [t for t in tiers if needed[t] + block <= latency]
            if in_time:
                assert choose_tier(spec, RATE_HZ, latency, block) == in_time[0], (mode, block)
