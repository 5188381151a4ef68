"""What is heard where pieces meet: nothing where masks go on, a step where they jump."""

import numpy as np
import pytest

from models_onnx.evaluation.seams import measure
from realtime.errors import StemsteerError
from realtime.spec import Runs, Tier
from tests.support.fakes import FakeModel, fake_spec
from tests.support.signals import noise

PIECES = Tier(1024, 1024, 256, 31, Runs(40, 256, every=32, age=-31, fade=4))
SONG = noise(2, 256 * 32 * 12)


def spec(tier=PIECES):
    return fake_spec(tiers={"offline": tier}, conditions={}, targets=("vocals",))


def test_pieces_whose_masks_go_on_have_no_seam():
    steady = FakeModel(lambda *_: np.full((1, 1, 1, 1), 0.5), spec())
    found = measure(steady, SONG)
    assert 20 <= found.meetings <= 24
    assert found.steps_db == pytest.approx(found.same_db, abs=1e-4)
    assert found.differs_db < -100
    assert found.elsewhere_db < -100


def test_pieces_whose_masks_begin_low_step_where_they_meet():
    def rule(frames, spectrum, conditions):
        """Masks that rise from 0.2 to 1 in every piece."""
        return np.linspace(0.2, 1, len(frames))[:, None, None, None]

    found = measure(FakeModel(rule, spec()), SONG)
    assert found.steps_db > found.same_db + 0.5
    assert found.differs_db > -20


def test_a_model_without_pieces_and_a_song_of_one_are_told():
    whole = Tier(1024, 1024, 256, 3)
    with pytest.raises(StemsteerError, match="no pieces"):
        measure(FakeModel(lambda *_: np.ones((1, 1, 1, 1)), spec(whole)), SONG)
    with pytest.raises(StemsteerError, match="shorter than two pieces"):
        measure(FakeModel(lambda *_: np.ones((1, 1, 1, 1)), spec()), SONG[:, :4000])
