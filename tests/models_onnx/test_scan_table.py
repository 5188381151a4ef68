"""What scan finds is compared with what is there: recall, false alarms, doubles, time."""

from __future__ import annotations

import numpy as np
import pytest

from models_onnx.data.sources import Source
from models_onnx.data.stems import RATE_HZ, Label, split
from models_onnx.evaluation import scan_scenes
from models_onnx.evaluation.scan_scenes import Placed, ScanScene, joined, made_scenes, stem_scenes
from models_onnx.evaluation.scan_table import Found, intersection_over_union, judge

CLASSES = ("drums", "bass", "guitar", "organ", "flute", "harp")


class Tones:
    """A collection of songs of tones: one pitch a class."""

    normalised = True

    def __len__(self):
        return 3

    def sources(self, index):
        return [self._source(k + 1, name) for k, name in enumerate(CLASSES)]

    def _source(self, number, name):
        time_s = np.arange(20 * RATE_HZ) / RATE_HZ
        tone = 0.1 * np.sin(2 * np.pi * 110 * number * time_s)
        stem = split(np.stack([tone, tone]))
        label = Label(name, "any")
        return Source(label, stem.shape[1], lambda at, n: stem[:, at : at + n])


def placed(azimuth_deg, width_deg=5.0, kind="steady", level_db=-6.0):
    return Placed(azimuth_deg, width_deg, kind, level_db, ((0.0, 60.0),), ("guitar",))


def scene_of(*sources):
    return ScanScene("s", np.zeros((2, 60 * RATE_HZ), np.float32), sources, {})


def test_peaks_are_hits_doubles_or_false_alarms():
    scene = scene_of(placed(0.0), placed(-30.0, 45.0))
    found = [Found(az, ((0, 60),), 0.9) for az in (1.0, -22.0, -38.0, 25.0)]
    groups = sorted((row.group, row.found) for row in judge("x", scene, found))
    assert groups == [("double", True), ("false", False), ("loud", True), ("wide", True)]


def test_a_peak_finds_one_source_and_as_many_are_found_as_can_be():
    scene = scene_of(placed(-3.0), placed(3.0), placed(10.0, 45.0))
    (row,) = (row for row in judge("x", scene, [Found(0.0, (), 0.5)]) if row.found)
    assert row.azimuth_error_deg == 3
    both = judge("x", scene, [Found(az, (), 0.5) for az in (2.0, 6.5)])
    assert [(row.group, row.azimuth_error_deg) for row in both if row.found] == [
        ("loud", 1.0),
        ("wide", 3.5),
    ]
    nearest_is_taken = scene_of(placed(0.0), placed(6.0))
    found = judge("x", nearest_is_taken, [Found(az, (), 0.5) for az in (-3.5, 2.5)])
    assert [row.azimuth_error_deg for row in found] == [3.5, 3.5]


def test_peaks_and_sources_may_be_none():
    assert list(judge("x", scene_of(), [])) == []
    (missed,) = judge("x", scene_of(placed(0.0)), [])
    (false,) = judge("x", scene_of(), [Found(0.0, (), 0.5)])
    assert (missed.found, false.group) == (False, "false")


def test_what_is_not_near_enough_is_not_found():
    (missed, false) = judge("x", scene_of(placed(0.0)), [Found(5.0, (), 0.5)])
    assert (missed.found, false.group) == (False, "false")


@pytest.mark.parametrize(
    ("source", "group"),
    [
        (placed(0.0), "loud"),
        (placed(0.0, level_db=-16.0), "weak"),
        (placed(0.0, kind="brief"), "brief"),
        (placed(0.0, 50.0, kind="brief"), "wide"),
    ],
)
def test_sources_are_counted_by_what_is_measured_of_them(source, group):
    assert source.group == group


def test_overlap_in_time_is_the_share_of_both_together():
    assert intersection_over_union([(0, 10)], [(5, 10), (20, 25)], 30) == pytest.approx(1 / 3)
    assert intersection_over_union([], [(5, 10)], 30) == 0


def test_short_pauses_are_closed_and_short_stretches_left_out():
    heard = np.zeros(100, bool)
    heard[[*range(10, 20), *range(24, 40), 80]] = True
    assert joined(heard, 0.5, 4.0, 5.0) == ((5.0, 20.0),)


def test_made_scenes_say_who_is_where_and_when():
    first, second = made_scenes([Tones()], 2, 60.0, seed=3)
    assert not np.array_equal(first.mixture, second.mixture)
    again = next(made_scenes([Tones()], 1, 60.0, seed=3))
    assert np.array_equal(first.mixture, again.mixture)
    for source in (*first.placed, *second.placed):
        assert all(0 <= start < end <= 60 for start, end in source.stretches)
        assert source.level_db < 1
    assert np.abs(first.mixture).max() <= 1
    azimuths = [source.azimuth_deg for source in first.placed]
    assert np.diff(azimuths).min(initial=90) >= scan_scenes.POINT_DEG


def test_stems_stand_where_the_scene_says():
    scene = next(stem_scenes(Tones(), 1, 30.0))
    assert {name for source in scene.placed for name in source.classes} <= set(CLASSES)
    assert scene.instruments.keys() <= set(CLASSES)
    assert scene.seconds == pytest.approx(20)
