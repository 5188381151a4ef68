"""Masks while what a model is told moves: how near they are to its answers, and how few of them."""

import numpy as np
import pytest

from realtime.moving_masks import NEAR, MovingMasks

HOPS = 192
U, V = np.eye(8, dtype=np.float32)[:2]
WAY = np.linspace(0, 1, HOPS)


class Asked:
    """A smooth model that is no straight line, and counts what it is asked."""

    def __init__(self, first):
        self.points = []
        self.masks = MovingMasks(self.answer, first, self.exact(first))

    def answer(self, point):
        self.points.append(point)
        return self.exact(point)

    @staticmethod
    def exact(point):
        slopes = np.random.default_rng(0).standard_normal((50, point.size)).astype(np.float32)
        return (1 / (1 + np.exp(-2 * slopes @ point)))[None, None]

    def at(self, point):
        self.masks.tell(point.astype(np.float32))
        return self.masks.rows(0, 1)


def arc(way):
    """Points on the great circle from U to V."""
    angle = np.asarray(way)[:, None] * np.pi / 2
    return (np.cos(angle) * U + np.sin(angle) * V).astype(np.float32)


@pytest.mark.parametrize(
    ("path", "most"),
    [
        (U * (1 - 0.8 * WAY[:, None]), 8),
        (U * (0.2 + 0.8 * WAY[:, None]), 8),
        (U * WAY[::-1, None], 10),
        (arc(WAY), 16),
        (arc(0.1 * WAY), 4),
        (arc(0.5 + 0.5 * np.sin(8 * np.pi * WAY)), 18),
    ],
    ids=["weaker", "stronger", "to zeros", "morph", "slow morph", "to and fro"],
)
def test_few_answers_serve_a_long_way_and_are_near_everywhere(path, most):
    asked = Asked(path[0].astype(np.float32))
    errors = [np.abs(asked.at(point) - asked.exact(point)).max() for point in path]
    assert len(asked.points) <= most
    assert np.mean(errors) < 0.04
    assert max(errors) < 0.15


def test_where_it_stands_still_the_answer_is_its_own():
    path = arc(WAY)[:100]
    asked = Asked(path[0])
    for point in path:
        asked.at(point)
    asked.at(point)
    np.testing.assert_allclose(asked.at(point), asked.exact(point), atol=0.05)
    count = len(asked.points)
    for _ in range(10):
        asked.at(point)
    assert len(asked.points) == count


def test_a_switch_has_its_own_answer_at_once_also_behind_a_long_way():
    asked = Asked(U)
    for point in arc(WAY):
        asked.at(point)
    other = np.eye(8, dtype=np.float32)[5]
    np.testing.assert_array_equal(asked.at(other), asked.exact(other))
    count = len(asked.points)
    np.testing.assert_allclose(asked.at(U), asked.exact(U), atol=NEAR)
    assert len(asked.points) == count, "the way back is known"


def test_points_to_be_asked_about_are_between_zeros_and_a_whole_timbre():
    for path in (0.02 + 0.98 * WAY, 1 - WAY):
        asked = Asked((U * path[0]).astype(np.float32))
        for strength in path:
            asked.at(U * strength)
        assert all(0 <= point @ U <= 1 + 1e-6 for point in asked.points)


def test_a_model_that_is_told_nothing_is_never_asked():
    asked = Asked(np.zeros(0, np.float32))
    asked.at(np.zeros(0))
    assert not asked.points
