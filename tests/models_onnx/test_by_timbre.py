"""Models are judged by timbre: what is streamed, and what is measured of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models_onnx.evaluation.by_timbre import evaluate, measure, separated
from models_onnx.evaluation.timbre_scenes import real_songs
from models_onnx.evaluation.timbre_ways import Question
from realtime.model import load_model
from tests.support.timbre_songs import Deaf


def test_the_true_source_gains_what_the_mixture_lacks(songs: Path) -> None:
    scene = real_songs(songs)[0]
    perfect = measure("true", scene, 1, "bass", scene.images[1])
    nothing = measure("mix", scene, 1, "bass", scene.mixture)
    assert perfect.gain_db > 60
    assert nothing.gain_db == pytest.approx(0, abs=1e-6)
    assert perfect.level_difference_error_db == pytest.approx(0, abs=1e-6)
    absent = measure("name", scene, -1, "organ", scene.mixture * 0.1)
    assert perfect.song == absent.song == "One"
    assert absent.level_db == pytest.approx(-20, abs=1e-3)
    assert np.isnan(absent.gain_db)


def test_questions_are_streamed_side_by_side(songs: Path, model: Path) -> None:
    loaded, scene = load_model(model), real_songs(songs)[0]
    vectors = [np.array(loaded.spec.classes[n], np.float32) for n in ("bass", "drums")]
    nothing = np.zeros(8, np.float32)
    asked = [Question("name", 0, "", (0.0, 90.0), v, nothing) for v in vectors]
    both = separated(loaded, "live", scene.mixture, asked)
    alone = separated(loaded, "live", scene.mixture, asked[1:])
    assert both.shape == (2, 2, scene.mixture.shape[1])
    assert np.allclose(both[1], alone[0], atol=1e-5)


def test_of_a_scene_without_a_class_to_judge_only_absent_ones_are_measured(
    songs: Path, model: Path
) -> None:
    scene = real_songs(songs)[0]
    alone = replace(scene, classes=("drums",), images=scene.images[:1], mixture=scene.images[0])
    assert alone.judged() == []
    rows = list(evaluate(load_model(model), "live", Deaf(), [alone], ["name"]))
    assert rows
    assert all(row.absent for row in rows)


def test_a_direction_alone_is_answered_as_if_no_timbre_were_asked_beside_it(
    songs: Path, model: Path
) -> None:
    loaded, scene = load_model(model), real_songs(songs)[0]
    nothing = np.zeros(8, np.float32)
    named = np.array(loaded.spec.classes["bass"], np.float32)
    alone = Question("direction", 0, "", (10.0, 20.0), nothing, nothing)
    beside = Question("name", 0, "", (0.0, 90.0), named, nothing)
    both = separated(loaded, "live", scene.mixture, [beside, alone])
    assert np.array_equal(both[1], separated(loaded, "live", scene.mixture, [alone])[0])
    assert not np.array_equal(both[0], both[1])
