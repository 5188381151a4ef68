"""States that take turns: a model trained on long hops runs on short ones."""

from dataclasses import replace

import numpy as np
import pytest

from realtime import Separator
from realtime.spec import Tier
from realtime.turns import TakingTurns
from tests.support.contract import verify_streaming
from tests.support.fakes import FakeModel, fake_spec

SHORT = Tier(1024, 256, 128, turns=2)
LONG = Tier(1024, 512, 256)
SPEC = fake_spec(tiers={"direct": SHORT, "live": LONG})


def counting() -> FakeModel:
    """A model whose masks say how many frames its state has seen, over 1000."""
    return FakeModel(lambda frames, *_: frames[:, None, None, None] / np.float32(1000), SPEC)


@pytest.mark.parametrize("cuts", [(7,), (1,) * 7, (2, 1, 4), (3, 4)])
def test_a_state_sees_every_other_frame_however_they_come(cuts):
    stream = TakingTurns([counting().stream(1) for _ in range(2)])
    found = []
    for size in cuts:
        masks = stream.step(np.zeros((size, 2, 5, 2), np.float32), {})["masks"]
        found.extend(np.rint(1000 * masks[:, 0, 0, 0]).astype(int).copy())
    assert found == [0, 0, 1, 1, 2, 2, 3]


def test_reset_begins_all_of_them_anew():
    stream = TakingTurns([counting().stream(1) for _ in range(2)])
    stream.step(np.zeros((3, 2, 5, 2), np.float32), {})
    stream.reset()
    masks = stream.step(np.zeros((2, 2, 5, 2), np.float32), {})["masks"]
    assert masks.max() == 0


def test_a_tier_with_turns_keeps_the_contract():
    verify_streaming(lambda: Separator(counting(), 44_100, tier="direct"))


def test_a_model_has_a_tier_whose_frames_follow_one_another():
    assert SPEC.trained_tier == "live"
    with pytest.raises(ValueError, match="no tier has turns of 1"):
        replace(SPEC, tiers={"direct": SHORT})


def test_turns_of_timbres_alone_are_those_of_a_model_that_takes_timbres():
    told = replace(SPEC, conditions={"direction": 2, "timbre": 8}, alone_turns=4)
    assert type(told).from_json(told.to_json()).alone_turns == 4
    with pytest.raises(ValueError, match="alone_turns needs 'timbre'"):
        replace(SPEC, alone_turns=4)
    with pytest.raises(ValueError, match="alone_turns of the spec is 99"):
        type(told).from_json(told.to_json().replace('"alone_turns": 4', '"alone_turns": 99'))


@pytest.mark.parametrize("turns", [0, 99])
def test_turns_that_make_no_sense_are_refused(turns):
    with pytest.raises(ValueError, match="turns"):
        type(SPEC).from_json(SPEC.to_json().replace('"turns": 2', f'"turns": {turns}'))
