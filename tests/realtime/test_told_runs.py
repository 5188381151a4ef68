"""Models that see a stretch of sound at once and are told conditions: which of them, and when."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from realtime import Separator
from realtime.graph import problems_of
from realtime.moving_masks import NEAR
from realtime.sliding import SlidingMasks
from realtime.spec import ModelSpec, Runs, Tier
from tests.support.contract import verify_streaming
from tests.support.fakes import FakeModel, fake_spec
from tests.support.signals import noise, panned, tone

BESIDE = Tier(1024, 512, 256, lookahead=5, runs=Runs(frames=8, step=256, every=4, age=-3))
OLD = Tier(1024, 256, 128, runs=Runs(frames=8, step=256, every=4, age=3, partial=2))
AT_ONCE = Tier(1024, 1024, 256, lookahead=6, runs=Runs(16, 256, every=6, age=-6, fade=3))
TIERS = {"live": OLD, "studio": BESIDE, "offline": AT_ONCE}
FIELDS = {"tiers": TIERS, "conditions": {"timbre": 2, "direction": 2}, "mask_axes": "channels"}
SPEC = fake_spec(**FIELDS)
FREE = (0.0, 90.0)


def telling(spec=SPEC):
    """A model whose masks are the first number of the timbre that it is told."""
    return FakeModel(lambda frames, spectrum, told: told["timbre"][None, :, :1, None], spec)


def by_level():
    """A model whose masks tell how loud each bin is, more where the timbre says so."""

    def rule(frames, spectrum, told):
        power = (spectrum**2).sum(-1)[:, None]
        return 1 / (1 + 1e4 * np.abs(told["timbre"][None, :, :1, None]) * power)

    return FakeModel(rule, SPEC)


def lanes(value_at, direction=FREE):
    """Conditions of two targets: numbers of frames to the first number of a timbre."""

    def source(first, frames):
        numbers = np.arange(first, first + frames)
        timbre = np.zeros((frames, 2, 2), np.float32)
        timbre[..., 0] = value_at(numbers)[:, None] * np.array([1, 0.5])
        where = np.broadcast_to(np.array(direction, np.float32), (frames, 2, 2))
        return {"timbre": timbre, "direction": where}

    return source


def hop_by_hop(tier, hops):
    """Masks of each hop, of a model that is told the number of the hop over 100."""
    told = np.zeros((hops, 1, 2), np.float32)
    told[:, 0, 0] = np.arange(hops) / 100
    masks = SlidingMasks(telling(), tier, 1)
    return masks.step(noise(2, hops * tier.hop), {"timbre": told})[:, 0, 0, 0]


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("lane", ["still", "switched", "moving"])
def test_a_told_model_keeps_the_contract_to_the_bit(tier, lane):
    value_at = {
        "still": lambda k: np.ones(len(k)),
        "switched": lambda k: (k > 37) * 1.0,
        "moving": lambda k: 0.5 + 0.5 * np.sin(k / 7),
    }[lane]
    verify_streaming(
        lambda: Separator(by_level(), 44_100, tier=tier, targets=2, conditions=lanes(value_at))
    )


@pytest.mark.parametrize("tier", [OLD, BESIDE], ids=["live", "studio"])
def test_a_run_beside_the_hops_is_told_what_holds_when_it_begins(tier):
    found, runs = hop_by_hop(tier, 60), tier.runs
    for hop in range(60):
        run = (hop - tier.lookahead - runs.age + 1) // runs.every - 1
        begun = (run + 1) * runs.every - 1
        assert found[hop] == pytest.approx(begun / 100 if run >= 0 else 1), f"hop {hop}"


def test_a_run_that_serves_at_once_follows_what_it_is_told():
    tier = replace(AT_ONCE, runs=replace(AT_ONCE.runs, fade=0))
    first, near = tier.runs.every - 1, NEAR + 1e-6
    np.testing.assert_allclose(hop_by_hop(tier, 60)[first:], np.arange(first, 60) / 100, atol=near)


@pytest.mark.parametrize("hz", [0.02, 0.1, 1, 5])
def test_a_lane_that_moves_through_a_long_stretch_costs_a_few_runs(hz):
    tier = Tier(1024, 1024, 256, 224, Runs(256, 256, every=192, age=-224, fade=32))
    model, hops = telling(), 3 * 192
    told = np.zeros((hops, 1, 2), np.float32)
    told[:, 0, 0] = 0.6 + 0.4 * np.cos(2 * np.pi * hz * np.arange(hops) * 1024 / 44_100)
    found = SlidingMasks(model, tier, 1).step(noise(2, hops * tier.hop), {"timbre": told})
    assert 3 < model.runs <= 3 * 12, "and not one for every hop"
    served = slice(192 + 32, None)  # behind the first run and its fade
    error = np.abs(found[:, 0, 0, 0] - told[:, 0, 0])[served]
    assert error.mean() < NEAR


def test_a_run_fades_from_the_one_before_told_what_that_was_told_last():
    found, runs = hop_by_hop(AT_ONCE, 60), AT_ONCE.runs
    for hop in range(2 * runs.every, 60):
        place = (hop + 1) % runs.every
        begun = hop - place
        expected = hop / 100
        if place < runs.fade:
            expected += ((begun - 1) / 100 - expected) * (1 - place / runs.fade)
        assert found[hop] == pytest.approx(expected, abs=NEAR + 1e-6), f"hop {hop}"


def test_the_model_runs_again_only_where_what_it_is_told_changes():
    def runs(tier, value_at):
        model = telling()
        separator = Separator(model, 44_100, tier=tier, targets=2, conditions=lanes(value_at))
        separator.process(noise(2, 60 * AT_ONCE.hop))
        if thread := separator._sliding._thread:
            thread.shutdown()  # waits for the last run
        return model.runs

    still = runs("offline", lambda k: np.ones(len(k)))
    assert still == 60 // AT_ONCE.runs.every
    assert runs("offline", lambda k: (k > 25) * 1.0) == still + 2, "once for each target"
    assert runs("offline", lambda k: (k == 25) * 1.0) == still + 2, "and not for the way back"
    assert runs("studio", lambda k: k / 100) == runs("studio", lambda k: np.ones(len(k)))


@pytest.mark.parametrize("tier", TIERS)
def test_a_switch_crosses_over_without_a_click(tier):
    sound = panned(tone(220, 30_000), 0)
    lane = lanes(lambda k: (k < 60) * 1.0)
    separator = Separator(telling(), 44_100, tier=tier, targets=2, conditions=lane)
    out = np.concatenate([separator.process(sound), separator.flush()], -1)[0, 0]
    start = separator.latency + 4_000
    steepest = np.abs(np.diff(sound[0])).max()
    assert np.abs(out[start : start + 2_000]).max() > 0.2, "it sounds before"
    assert np.abs(out[-2_000:]).max() < 1e-6, "and not behind"
    assert np.abs(np.diff(out[start:])).max() < 1.1 * steepest


def test_what_is_told_is_copied_and_what_is_left_out_is_zeros():
    masks = SlidingMasks(telling(), AT_ONCE, 1)
    told = {"timbre": np.full((1, 1, 2), 0.25, np.float32)}
    sound = noise(2, AT_ONCE.hop)
    for _ in range(AT_ONCE.runs.every):
        masks.step(sound, told)
    told["timbre"][:] = 0.75  # in place: it is another timbre, and is seen
    assert masks.step(sound, told)[0, 0, 0, 0] != pytest.approx(0.25)
    for _ in range(2 * AT_ONCE.runs.every):
        last = masks.step(sound)
    assert not last.any()


@pytest.mark.parametrize("azimuth_deg", [-45.0, 0.0, 30.0])
def test_a_target_is_taken_from_a_direction_too(azimuth_deg):
    own = panned(tone(440, 30_000), azimuth_deg)
    other = panned(tone(1_600, 30_000), azimuth_deg + (45 if azimuth_deg < 0 else -45))
    separator = Separator(telling(), 44_100, tier="offline")
    separator.set(timbre=np.array([1, 0], np.float32), azimuth_deg=azimuth_deg, width_deg=20)
    out = separator.process(own + other)[0]
    start = separator.latency + AT_ONCE.hop * (AT_ONCE.runs.every + 3)
    found = out[:, start:]
    true, rest = (x[:, start - separator.latency :][:, : found.shape[1]] for x in (own, other))
    assert np.square(found - true).sum() < 0.03 * np.square(true).sum()
    separator.set(width_deg=90)
    separator.reset()
    out = separator.process(own + other)[0][:, start:]
    np.testing.assert_allclose(out, true + rest, atol=1e-5)


def test_a_late_run_keeps_what_it_was_told():
    masks = SlidingMasks(telling(), BESIDE, 1)
    masks.wait = False
    told = {"timbre": np.full((80, 1, 2), 0.5, np.float32)}
    found = masks.step(noise(2, 80 * BESIDE.hop), told)[:, 0, 0, 0]
    assert set(np.unique(found)) <= {np.float32(0.5), np.float32(1)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conditions": {"direction": 2}}, "conditions that its graph is told"),
        ({"targets": ("voice",)}, "needs targets of its own and no conditions"),
        ({"mask_axes": "steered"}, "no steered masks"),
        ({"tiers": {**TIERS, "lookahead": Tier(1024, 512, 256)}}, "runs in all of its tiers"),
    ],
    ids=str,
)
def test_a_told_spec_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        fake_spec(**(FIELDS | changes))


def test_a_told_spec_comes_back_from_its_text():
    again = ModelSpec.from_json(SPEC.to_json())
    assert again.inputs == {"timbre": 2}
    assert again.tiers["offline"].runs == AT_ONCE.runs


@dataclass
class Described:
    """A tensor as a session describes it."""

    name: str
    shape: list
    type: str = "tensor(float)"


@pytest.mark.parametrize(
    ("timbre", "problem"),
    [
        (["targets", 2], None),
        ([3, 2], "takes 3 targets in 'timbre'"),
        (["frames", "targets", 2], "has timbre of shape"),
        (["targets", 5], "has timbre of shape"),
        (None, "lacks the input 'timbre'"),
    ],
    ids=str,
)
def test_a_graph_takes_one_value_a_run_for_any_number_of_targets(timbre, problem):
    inputs = {"spectrum": Described("spectrum", ["frames", 2, "bins", 2])}
    if timbre:
        inputs["timbre"] = Described("timbre", timbre)
    outputs = {"masks": Described("masks", ["frames", "targets", 2, "bins"])}
    problems = problems_of(SPEC, inputs, outputs)
    assert (not problems) if problem is None else problem in "; ".join(problems)
    inputs["direction"] = Described("direction", ["targets", 2])
    assert any("direction" in p for p in problems_of(SPEC, inputs, outputs)), "never told one"
