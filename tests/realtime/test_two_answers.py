"""A timbre in a direction is answered twice: by all that is told, and by the timbre alone."""

from dataclasses import replace

import numpy as np
import pytest

from realtime import Separator
from realtime.two_answers import TwoAnswers
from tests.support.contract import verify_streaming
from tests.support.fakes import LIVE, FakeModel, fake_spec, identity
from tests.support.signals import noise

SPEC = fake_spec(
    tiers={"live": LIVE, "offline": LIVE},
    conditions={"direction": 2, "timbre": 2, "against": 2},
    two_answers=True,
)
ASIDE, ANYWHERE = (10.0, 20.0), (0.0, 90.0)
FLUTE, NOBODY = (0.6, 0.8), (0.0, 0.0)
HOP_S = LIVE.hop / 44_100


def told_model() -> FakeModel:
    """Masks that tell what was asked, and how many frames the state has seen, over 1000."""

    def rule(frames, spectrum, conditions):
        against = conditions.get("against", np.zeros((1, 1, 2)))
        width_deg = conditions["direction"][..., 1]
        told = width_deg / 90 + against.sum(-1) + conditions["timbre"].sum(-1) / 10
        return (told + frames[:, None] / 1000)[..., None, None]

    model = FakeModel(rule, SPEC)
    model.activity = lambda frames: 0.5 + frames / 1000
    return model


def conditions(*targets):
    """One frame of targets, each (direction, timbre, against)."""
    columns = zip(*targets, strict=True)
    names = ("direction", "timbre", "against")
    return {n: np.array([c], np.float32) for n, c in zip(names, columns, strict=True)}


def frames_of(*frames):
    return {name: np.concatenate([f[name] for f in frames]) for name in frames[0]}


def pointed(tier):
    separator = Separator(told_model(), 44_100, tier=tier)
    separator.set(azimuth_deg=10, width_deg=20, timbre=np.array(FLUTE, np.float32))
    return separator


def two_answers():
    return TwoAnswers(told_model().stream(1), told_model().stream(1), 1, HOP_S)


def step(stream, told):
    frames = len(told["direction"])
    found = stream.step(np.zeros((frames, 2, 5, 2), np.float32), told)
    return found["masks"][:, :, 0, 0]


BOTH = conditions((ASIDE, FLUTE, NOBODY))
AGAINST = conditions((ANYWHERE, FLUTE, (0.5, 0.5)))
DIRECTION = conditions((ASIDE, NOBODY, NOBODY))
TIMBRE = conditions((ANYWHERE, FLUTE, NOBODY))


@pytest.mark.parametrize(
    ("told", "whole", "alone", "weight"),
    [
        (BOTH, 20 / 90 + 0.14, 1.14, 0.5),
        (AGAINST, 1 + 1 + 0.14, 1.14, 0.5),
        (conditions((ASIDE, (0.3, 0.4), NOBODY)), 20 / 90 + 0.07, 1.07, 0.25),
        (conditions((ASIDE, (3, 4), NOBODY)), 20 / 90 + 0.7, 1.7, 0.5),
        (DIRECTION, 20 / 90, 0, 0),
        (TIMBRE, 0, 1.14, 1),
    ],
)
def test_the_mean_of_two_answers_where_more_than_a_timbre_is_told(told, whole, alone, weight):
    assert step(two_answers(), told) == pytest.approx((1 - weight) * whole + weight * alone)


def test_a_target_without_a_timbre_has_one_answer_beside_one_that_has_two():
    stream = TwoAnswers(told_model().stream(2), told_model().stream(2), 2, HOP_S)
    masks = step(stream, conditions((ASIDE, NOBODY, NOBODY), (ASIDE, FLUTE, NOBODY)))
    assert masks[0, 0] == pytest.approx(20 / 90)
    assert masks[0, 1] == pytest.approx((20 / 90 + 0.14 + 1.14) / 2)


def test_each_target_is_answered_by_what_it_is_told_itself():
    whole, alone = (FakeModel(lambda *_, m=m: np.full((1, 1, 1, 1), m), SPEC) for m in (0.5, 0.9))
    stream = TwoAnswers(whole.stream(3), alone.stream(3), 3, HOP_S)
    targets = (ASIDE, NOBODY, NOBODY), (ANYWHERE, FLUTE, NOBODY), (ASIDE, FLUTE, NOBODY)
    masks = step(stream, conditions(*targets))[0]
    assert masks[:2] == pytest.approx([0.5, 0.9])
    assert 0.5 < masks[2] < 0.9


def test_a_doubt_is_remembered_only_of_what_was_answered_twice():
    def rule(frames, spectrum, conditions):
        told = conditions["timbre"].any(-1)
        return np.where(told, 0.9, 0.5)[..., None, None]

    whole, alone = (FakeModel(r, SPEC) for r in (lambda *_: np.full((1, 1, 1, 1), 0.7), rule))
    spectrum = np.random.default_rng(0).standard_normal((90, 2, 64, 2)).astype(np.float32)
    late = frames_of(*[conditions((ASIDE, NOBODY, NOBODY), (ASIDE, FLUTE, NOBODY))] * 80)
    late = frames_of(late, *[conditions((ASIDE, FLUTE, NOBODY), (ASIDE, FLUTE, NOBODY))] * 10)
    stream = TwoAnswers(whole.stream(2), alone.stream(2), 2, HOP_S)
    masks = stream.step(spectrum, late)["masks"]
    np.testing.assert_allclose(masks[80:, 0], masks[80:, 1], rtol=1e-5)


@pytest.mark.parametrize("cuts", [(8,), (1,) * 8, (3, 5), (2, 1, 5)])
def test_what_answers_goes_on_and_what_was_not_asked_begins_anew(cuts):
    told = frames_of(BOTH, BOTH, TIMBRE, BOTH, DIRECTION, DIRECTION, BOTH, TIMBRE)
    stream, first, seen = two_answers(), 0, []
    for size in cuts:
        some = {name: value[first : first + size] for name, value in told.items()}
        seen.append(step(stream, some))
        first += size
    whole, alone = np.array([0, 1, 0, 0, 1, 2, 3, 0]), np.array([0, 1, 2, 3, 0, 0, 0, 1])
    weight = np.array([0.5, 0.5, 1, 0.5, 0, 0, 0.5, 1])
    states = (1 - weight) * whole + weight * alone
    fresh = np.concatenate(
        [step(two_answers(), {n: v[k : k + 1] for n, v in told.items()}) for k in range(8)]
    )
    np.testing.assert_allclose(1000 * (np.concatenate(seen) - fresh)[:, 0], states, atol=1e-3)


def test_more_of_the_answer_that_is_surer():
    whole, alone = (FakeModel(lambda *_, m=m: np.full((1, 1, 1, 1), m), SPEC) for m in (0.5, 0.9))
    stream = TwoAnswers(whole.stream(1), alone.stream(1), 1, HOP_S)
    spectrum = np.random.default_rng(0).standard_normal((4, 2, 64, 2)).astype(np.float32)
    masks = stream.step(spectrum, frames_of(*[BOTH] * 4))["masks"]
    doubt, other = 0.5 * 0.5 / 0.5**2, 0.9 * 0.1 / 0.9**2
    weight = doubt / (doubt + other)
    np.testing.assert_allclose(masks, (1 - weight) * 0.5 + weight * 0.9, rtol=1e-4)


def test_a_doubt_is_remembered_for_some_seconds():
    def rule(frames, *_):
        return np.where(frames < 100, 0.5, 0.9)[:, None, None, None]

    other = FakeModel(lambda *_: np.full((1, 1, 1, 1), 0.8), SPEC)
    stream = TwoAnswers(FakeModel(rule, SPEC).stream(1), other.stream(1), 1, HOP_S)
    spectrum = np.random.default_rng(0).standard_normal((1000, 2, 64, 2)).astype(np.float32)
    told = frames_of(*[BOTH] * 1000)
    masks = stream.step(spectrum, told)["masks"][:, 0, 0, 0]
    before, after = 1 / (1 + 0.25), (1 / 9) / (1 / 9 + 0.25)
    assert masks[99] == pytest.approx(0.5 + before * 0.3, abs=1e-3)
    assert masks[100] == pytest.approx(0.9 - before * 0.1, abs=5e-3)
    assert masks[-1] == pytest.approx(0.9 - after * 0.1, abs=5e-3)
    stream.reset()
    parts = [
        stream.step(spectrum[k : k + 1], {n: v[k : k + 1] for n, v in told.items()})["masks"]
        for k in range(1000)
    ]
    np.testing.assert_array_equal(np.concatenate(parts)[:, 0, 0, 0], masks)


def test_activity_is_a_mean_too_and_reset_begins_anew():
    stream, nothing = two_answers(), np.zeros((1, 2, 5, 2), np.float32)
    for _ in range(3):
        found = stream.step(nothing, BOTH)
    assert found["activity"] == pytest.approx(0.502)
    stream.reset()
    assert stream.step(nothing, BOTH)["activity"] == pytest.approx(0.5)


@pytest.mark.parametrize(("tier", "weight"), [("offline", 1), ("live", 0)])  # t alone is sure
def test_there_is_time_for_two_answers_offline(tier, weight):
    sound = noise(2, 8 * LIVE.hop)
    found = pointed(tier).process(sound)[0]
    dry = Separator(identity(SPEC), 44_100, tier=tier).process(sound)[0]
    mask = (1 - weight) * (20 / 90 + 0.14) + weight * 1.14
    assert np.abs(found - mask * dry).max() < 0.02 * np.abs(dry).max()  # of up to 8 frames


def test_the_contract_of_a_stream_holds():
    verify_streaming(lambda: pointed("offline"))


def test_two_answers_are_of_a_model_that_takes_a_direction_and_a_timbre():
    assert type(SPEC).from_json(SPEC.to_json()).two_answers
    with pytest.raises(ValueError, match="two_answers are of timbres in directions"):
        replace(SPEC, conditions={"timbre": 2})
    with pytest.raises(ValueError, match="two_answers of the spec is 'yes', expected true or"):
        type(SPEC).from_json(SPEC.to_json().replace('"two_answers": true', '"two_answers": "yes"'))
