"""What is asked of a scene, and whether the answer belongs to the question."""

import numpy as np
import pytest

from models_onnx.batches import Aims, aim, draw_batch
from tests.studio import draw_scene

SURE = Aims(doubt=0, opening=0, nothing=0, change=0)


def questions(aims: Aims, count: int = 40):
    """(scene, question) of as many scenes."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        scene = draw_scene(rng)
        yield scene, aim(rng, scene, aims)


def test_a_sure_question_points_at_its_source():
    for scene, question in questions(SURE):
        source = int(np.argmin(np.abs(scene.azimuth_deg - question.azimuth_deg)))
        assert np.array_equal(question.target, scene.images[source])
        assert question.off_deg == 0


def test_a_doubtful_question_says_by_how_much_it_is_off():
    offs = []
    for scene, question in questions(Aims(doubt=1, opening=0, nothing=0)):
        true_deg = question.azimuth_deg + question.off_deg
        source = int(np.argmin(np.abs(scene.azimuth_deg - true_deg)))
        assert true_deg == pytest.approx(scene.azimuth_deg[source])
        assert np.array_equal(question.target, scene.images[source])
        assert abs(question.off_deg) <= question.width_deg / 2
        offs.append(question.off_deg)
    assert min(offs) < -2 < 2 < max(offs)


def test_an_opening_answers_with_all_that_is_inside():
    for scene, question in questions(Aims(opening=1, nothing=0)):
        inside = np.abs(scene.azimuth_deg - question.azimuth_deg) <= question.width_deg / 2
        np.testing.assert_allclose(question.target, scene.images[inside].sum(0), atol=1e-6)
        assert np.isnan(question.off_deg)


def test_where_nothing_is_the_answer_is_silence():
    found = [q for _, q in questions(Aims(opening=0, nothing=1)) if not q.target.any()]
    assert len(found) > 20
    assert all(np.isnan(q.off_deg) for q in found)


def test_a_batch_holds_the_questions_in_order():
    batch = draw_batch(np.random.default_rng(0), draw_scene, 3, 2, Aims(doubt=1, change=1))
    rng = np.random.default_rng(0)
    scene = draw_scene(rng)
    first, second = (aim(rng, scene, Aims(doubt=1, change=1)) for _ in range(2))
    assert np.array_equal(batch.targets[0, 1].numpy(), second.target)
    assert batch.conditions["direction"][0].tolist() == pytest.approx(
        np.float32([[q.azimuth_deg, q.width_deg] for q in (first, second)])
    )
    np.testing.assert_allclose(batch.off_deg[0], [first.off_deg, second.off_deg], rtol=1e-6)
    assert ((batch.change >= 0.3) & (batch.change <= 0.8)).all()
