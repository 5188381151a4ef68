"""The table of SpaIn-Net: orders, floors and intervals."""

from functools import partial

import numpy as np

from models_onnx.data.scenes import EvaluationScene
from models_onnx.evaluation.metrics import WORST_DB
from models_onnx.evaluation.spain_table import best_order, judge, main, score, tables
from models_onnx.networks import checkpoints, registry
from models_onnx.networks.spain.config import TASKS
from tests.support.commands import onnx_command


def scene(task="guitars"):
    images = np.random.default_rng(0).standard_normal((4, 2, 4000)).astype(np.float32)
    azimuth_deg = np.array([-40, 10, 0, 33], np.float32)
    return EvaluationScene(images.sum(0), images, azimuth_deg, TASKS[task])


def nearly(images):
    """Estimates that are not so good as to have no finite SI-SDR."""
    return images + np.float32(1e-2) * np.random.default_rng(1).standard_normal(
        images.shape
    ).astype(np.float32)


def test_only_sources_of_one_instrument_change_places():
    judged = scene()
    right = nearly(judged.images)
    assert np.array_equal(best_order(judged, right[[1, 0, 2, 3]]), right)
    wrong = right[[0, 1, 3, 2]]  # bass and piano: no excuse
    assert np.array_equal(best_order(judged, wrong), wrong)


def test_silence_scores_the_floor_and_half_the_level_six_decibels():
    judged = scene("band")
    estimates = 0.5 * nearly(judged.images)
    estimates[1] = 0
    scores = score("band", "x", 0, judged, 0.0, estimates)
    assert scores[1].si_sdr_db == WORST_DB
    assert scores[0].si_sdr_db > 35
    assert abs(scores[0].sdr_db - 20 * np.log10(2)) < 0.01


def test_a_source_that_is_silent_is_left_out_of_means_and_orders():
    judged = scene()
    judged.images[2] = 0
    right = nearly(judged.images)
    scores = score("guitars", "x", 0, judged, 0.0, right)
    assert [np.isfinite((s.si_sdr_db, s.sdr_db)).all() for s in scores] == [True, True, False, True]
    assert np.array_equal(best_order(judged, right[[1, 0, 2, 3]]), right)


def test_only_what_is_told_directions_is_told_wrong_ones():
    told = []

    def system(judged, azimuth_deg):
        told.append(np.abs(azimuth_deg - judged.azimuth_deg).tolist())
        return nearly(judged.images)[[1, 0, 2, 3]]

    scores = list(judge("guitars", {"none": system, "adain": system}, [scene(), scene()], 1))
    assert np.round(told).tolist() == [[off_deg] * 4 for off_deg in (0, 0, 2, 4, 8, 16, 0, 0)]
    assert {s.error_deg for s in scores if s.system == "adain"} == {0, 2, 4, 8, 16}
    assert {s.error_deg for s in scores if s.system != "adain"} == {0}
    text = tables(scores)
    assert "| none, either order | " in text
    assert "guitar1, guitar2, bass, piano; 2 scenes" in text
    assert "direction wrong by, 1 scenes" in text


asked = partial(onnx_command, main)


def test_folders_without_runs_or_with_foreign_ones_are_said(tmp_path):
    found = asked("--data", str(tmp_path), "--runs", str(tmp_path))
    assert found.exit_code == 1
    assert "holds no runs, expected" in found.output
    network, _, about = registry.build("steer", "tiny")
    contents = {"step": 0, "elapsed_s": 0.0, "average": network.state_dict(), "about": about}
    checkpoints.save(tmp_path / "run", contents | {"data": [], "commit": ""})
    found = asked("--data", str(tmp_path), "--runs", str(tmp_path))
    assert found.exit_code == 1
    assert "holds a run of steer" in found.output


def test_scores_that_are_there_are_kept(tmp_path):
    (tmp_path / "scores.json").write_text("kept")
    words = ("--data", str(tmp_path), "--runs", str(tmp_path))
    found = asked(*words, "--out", str(tmp_path / "scores.json"))
    assert found.exit_code == 1
    assert "is there already" in found.output
