"""What is asked of a scene, and whether the answer belongs to the question."""

import numpy as np
import pytest

from models_onnx.training.batches import Aims, aim, draw_batch
from tests.support.tones import draw_scene

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
        assert question.azimuth_deg == scene.azimuth_deg[source]


def test_a_doubtful_question_is_off_by_half_the_width_at_most():
    offs = []
    for scene, question in questions(Aims(doubt=1, opening=0, nothing=0)):
        images = [np.array_equal(question.target, image) for image in scene.images]
        off_deg = scene.azimuth_deg[images.index(True)] - question.azimuth_deg
        assert abs(off_deg) <= question.width_deg / 2 + 1e-4
        offs.append(off_deg)
    assert min(offs) < -2 < 2 < max(offs)


def test_an_opening_answers_with_all_that_is_inside():
    for scene, question in questions(Aims(opening=1, nothing=0)):
        inside = np.abs(scene.azimuth_deg - question.azimuth_deg) <= question.width_deg / 2
        np.testing.assert_allclose(question.target, scene.images[inside].sum(0), atol=1e-6)


def test_where_nothing_is_the_answer_is_silence():
    found = [q for _, q in questions(Aims(opening=0, nothing=1)) if not q.target.any()]
    assert len(found) > 20


def test_a_batch_holds_the_questions_in_order():
    batch = draw_batch(np.random.default_rng(0), draw_scene, 3, 2, Aims(doubt=1, change=1))
    rng = np.random.default_rng(0)
    scene = draw_scene(rng)
    first, second = (aim(rng, scene, Aims(doubt=1, change=1)) for _ in range(2))
    assert np.array_equal(batch.targets[0, 1].numpy(), second.target)
    assert batch.conditions["direction"][0].tolist() == pytest.approx(
        np.float32([[q.azimuth_deg, q.width_deg] for q in (first, second)])
    )
    assert ((batch.change >= 0.3) & (batch.change <= 0.8)).all()
