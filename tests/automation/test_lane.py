"""Lanes against a slow obvious reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_bridge.automation.formats.tempo import TempoMap
from plugin_bridge.automation.lane import SHAPES, Lane, Point

POINTS = st.lists(
    st.tuples(
        st.floats(-5, 50, allow_subnormal=False).map(lambda time: round(time, 2)),
        st.floats(-45, 45, allow_subnormal=False),
        st.sampled_from(SHAPES),
    ),
    min_size=1,
    max_size=8,
).map(lambda rows: [Point(*row) for row in sorted(rows, key=lambda row: row[0])])


def slow_at(points: list[Point], time_s: float) -> float:
    if time_s < points[0].time_s:
        return points[0].value
    before = [k for k, point in enumerate(points) if point.time_s <= time_s][-1]
    point = points[before]
    if before == len(points) - 1 or point.shape == "step":
        return point.value
    after = points[before + 1]
    u = (time_s - point.time_s) / (after.time_s - point.time_s)
    way = u if point.shape == "linear" else 3 * u**2 - 2 * u**3
    return point.value + (after.value - point.value) * way


@given(POINTS, st.floats(-10, 60, allow_subnormal=False))
def test_a_lane_is_at_every_time_where_the_reference_is(points, time_s):
    assert Lane(points).at(time_s) == pytest.approx(slow_at(points, time_s), abs=1e-9)


@settings(max_examples=50)
@given(POINTS, st.floats(-8, 55, allow_subnormal=False), st.sampled_from([0.02, 0.05, 1.0]))
def test_the_mean_is_that_of_many_values(points, start_s, length_s):
    times = start_s + length_s * (np.arange(4000) + 0.5) / 4000
    many = np.mean([slow_at(points, time) for time in times])
    jumps = sum(start_s <= point.time_s <= start_s + length_s for point in points)
    assert Lane(points).mean(start_s, length_s) == pytest.approx(many, abs=1e-3 + 90 * jumps / 4000)


def test_the_mean_over_no_time_is_the_value():
    lane = Lane([Point(0, 1, "step"), Point(1, 5)])
    np.testing.assert_array_equal(lane.mean(np.array([0.5, 1.0, 2.0]), 0.0), [1, 5, 5])


def test_a_jump_becomes_a_straight_ramp_of_the_smoothing_time():
    lane = Lane([Point(0, 0, "step"), Point(1, 10)])
    starts = np.linspace(0.98, 1.0, 5)
    np.testing.assert_allclose(lane.mean(starts, 0.02), [0, 2.5, 5, 7.5, 10], atol=1e-9)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([], "at least one point"),
        ([Point(1, 0), Point(0.5, 0)], "goes back in time, from 1 s to 0.5 s"),
        ([Point(0, float("nan"))], "is nan at 0 s, expected numbers"),
        ([Point(float("inf"), 0)], "is 0 at inf s, expected numbers, times up to 1e"),
        ([Point(-1.7e308, 1), Point(1.7e308, 2)], "is 1 at -1.7e.* s, expected numbers"),
        ([Point(0, 1), Point(1, 1e300)], "is 1e.* at 1 s, expected .* values up to 1e"),
        ([Point(0, 0, "wavy")], "shape is 'wavy', expected one of step, linear, smooth"),
    ],
)
def test_a_lane_that_is_none_is_refused(points, words):
    with pytest.raises(ValueError, match=words):
        Lane(points)


def test_beats_are_counted_at_the_tempo_of_their_place():
    tempo = TempoMap([(0, 120), (8, 60), (12, 240)])
    assert [tempo.seconds(beat) for beat in (0, 4, 8, 10, 12, 16)] == [0, 2, 4, 6, 8, 9]
    assert TempoMap([(4, 60)]).seconds(0) == 0
    assert TempoMap([(4, 60)]).seconds(-2) == -2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([(0, 0)], "tempo is 0 at beat 0"),
        ([(0, float("nan"))], "tempo is nan"),
        ([(0, 1e-300)], "tempo is 1e.* at beat 0, expected 0.01 to 10000 beats a minute"),
        ([(0, 120), (1e308, 90)], "at beat 1e.*, expected .* at a beat up to 1e"),
        ([(0, 120), (0, 90)], "goes back in time"),
        ([], "at least one tempo"),
    ],
)
def test_a_tempo_map_that_cannot_be_counted_by_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        TempoMap(changes)


def test_a_beat_beyond_all_numbers_is_at_no_time():
    assert TempoMap().seconds(1.7e308) == float("inf")


def test_a_choice_crosses_over_in_shares_and_never_passes_through_the_numbers_between():
    lane = Lane.steps([0.0, 1.0, 2.0], [0, 27, 1])
    at_s = np.array([0.5, 0.975, 1.0, 1.5, 2.0])
    shares = lane.shares(at_s - 0.025, 0.05)
    assert set(shares) == {0, 1, 27}
    np.testing.assert_allclose(shares[0], [1, 1, 0.5, 0, 0], atol=1e-9)
    np.testing.assert_allclose(shares[27], [0, 0, 0.5, 1, 0.5], atol=1e-9)
    np.testing.assert_allclose(sum(shares.values()), np.ones(5), atol=1e-9)
    assert set(Lane.level(3).shares(at_s, 0.05)) == {3}
