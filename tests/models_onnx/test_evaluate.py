"""The evaluation judges by the engine: its rows and tables say what it saw."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models_onnx.data.scenes import EvaluationScene, evaluation_scenes
from models_onnx.evaluation import metrics
from models_onnx.evaluation.evaluate import ERRORS_DEG, evaluate, wrong_directions
from models_onnx.evaluation.report import above, distance, lost, tables
from models_onnx.evaluation.rows import measure
from models_onnx.evaluation.systems import System
from realtime import load_model
from tests.support.fakes import FakeModel, fake_spec, identity
from tests.support.tones import opened, write_songs


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


def test_bss_eval_is_in_the_rows_and_the_table_where_asked_for() -> None:
    images = np.random.default_rng(4).standard_normal((2, 2, 9000)).astype(np.float32)
    scene = EvaluationScene(images.sum(0), images, np.array([-20.0, 20.0]), ("a", "b"))
    half = images + np.float32(0.1) * scene.mixture
    rows = list(measure("half", 0, scene, half, bss=True))
    assert all(5 < row.sir_db < 40 for row in rows)
    assert np.isnan(next(measure("half", 0, scene, half)).sir_db)
    titles = [column.header for column in tables(rows, "half", 20.0)[1].columns]
    assert titles[-4:] == ["SDR", "ISR", "SIR", "SAR"]


def test_the_image_of_the_stems_is_in_the_rows_and_a_table(songs: Path) -> None:
    scene = next(evaluation_scenes(opened(songs), 1, 1.0, keep_width=True))
    rows = list(measure("same", 0, scene, scene.images)) + list(
        measure("mix", 0, scene, scene.images[::-1])
    )
    same = [row for row in rows if row.system == "same"]
    assert all(row.ssr_db > 100 and row.srr_db > 100 for row in same)
    assert all(row.level_difference_error_db == row.coherence_error == 0 for row in same)
    table = next(t for t in tables(rows, "same", 20.0) if "spatial image" in str(t.title))
    assert [column.header for column in table.columns][1:] == [
        "|ΔILD|, dB",
        "error of coherence",
        "SSR, dB",
        "SRR, dB",
    ]
    assert next(table.columns[1].cells) == "0.00 [0.00, 0.00]"


def test_a_model_with_sources_of_its_own_is_judged_on_the_only_one_of_a_class() -> None:
    images = np.random.default_rng(0).standard_normal((4, 2, 22_050)).astype(np.float32)
    names = ("a/piano", "a/lead", "a/left", "a/right")
    classes = ("piano", "vocals", "guitar", "guitar")
    azimuth_deg = np.array([-30.0, 0.0, 10.0, 30.0], np.float32)
    scene = EvaluationScene(images.sum(0), images, azimuth_deg, names, classes)
    spec = fake_spec(targets=("drums", "guitar", "vocals"), conditions={})
    half = FakeModel(lambda *_: np.float32([1.0, 0.3, 0.5])[:, None, None], spec)
    rows, _ = evaluate([("own", half, "live")], [scene], 20.0, 1)
    own = [row for row in rows if row.system == "own"]
    assert [row.instrument for row in own] == ["a/lead"]  # two guitars are nobody's
    mix = next(row for row in rows if row.system == "mix" and row.instrument == "a/lead")
    assert own[0].si_sdr_db == pytest.approx(mix.si_sdr_db, abs=0.05)
    assert own[0].error_deg == 0
    summary = tables(rows, "panorama", 20.0)[0]
    counts = dict(zip(summary.columns[0].cells, summary.columns[1].cells, strict=True))
    assert (counts["own"], counts["mix"]) == ("1", "4")


def test_the_evaluation_ranks_oracle_peer_and_mixture(songs: Path) -> None:
    judged = list(evaluation_scenes(opened(songs), 2, 1.0, keep_width=False))
    rows, width_deg = evaluate([("again", load_model("panorama"), "live")], judged, 20.0, 1)
    means = {
        system: np.mean([r.si_sdr_db for r in rows if r.system == system and r.error_deg == 0])
        for system in ("mix", "panorama", "oracle")
    }
    assert means["mix"] < means["panorama"] < means["oracle"]
    wrong = {r.error_deg for r in rows if r.system == "again" and r.scene == 0}
    assert wrong == set(ERRORS_DEG)
    same = [r for r in rows if r.system == "mix"]
    assert all(abs(r.gain_db) < 1e-6 for r in same)
    best, _ = evaluate([("again", load_model("panorama"), "live")], judged, width_deg, 0)
    again = [row for row in above(best, "panorama") if row.system == "again"]
    assert {row.si_sdr_db for row in again} == {0.0}


def test_intervals_of_tables_are_over_songs(songs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FEWEST_GROUPS", 2)
    judged = list(evaluation_scenes(opened(songs), 4, 0.5, keep_width=False))
    assert [scene.song for scene in judged] == [0, 1, 0, 1]
    rows, _ = evaluate([], judged, 20.0, 0)
    means = [
        np.mean([r.si_sdr_db for r in rows if r.system == "oracle" and r.song == song])
        for song in (0, 1)
    ]
    summary = tables(rows, "panorama", 20.0)[0]
    shown = dict(zip(summary.columns[0].cells, summary.columns[2].cells, strict=True))["oracle"]
    assert shown.endswith(f"[{min(means):.2f}, {max(means):.2f}]")


def test_a_wrong_direction_is_wrong_by_the_whole_angle_and_in_the_picture() -> None:
    told: list[np.ndarray] = []
    system = System("fake", identity(fake_spec()), "live", 20.0)
    noise = np.random.default_rng(0).standard_normal((2, 5, 2, 3000)).astype(np.float32)
    azimuth_deg = np.float32([-45, -40, 0, 33, 45])
    scenes = [EvaluationScene(i.sum(0), i, azimuth_deg, ("a", "b", "c", "d", "e")) for i in noise]

    def estimates(self: System, scene: EvaluationScene) -> tuple[list, None]:
        told.append(scene.azimuth_deg)
        return list(scene.images), None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(System, "estimates", estimates)
        assert list(wrong_directions(system, scenes))
    for found, off_deg in zip(told, ERRORS_DEG[1:] * 2, strict=True):
        np.testing.assert_allclose(np.abs(found - azimuth_deg), off_deg, atol=1e-4)
        assert np.abs(found).max() <= 45


def test_what_a_wrong_direction_costs_is_counted_target_by_target(songs: Path) -> None:
    judged = list(evaluation_scenes(opened(songs), 3, 1.0, keep_width=False))
    rows, _ = evaluate([], judged, 20.0, 3)
    own = [row for row in rows if row.system == "panorama"]
    exact = {(r.scene, r.target): r.si_sdr_db for r in own if r.error_deg == 0}
    found = list(lost(own))
    assert len(found) == len(exact) * (len(ERRORS_DEG) - 1)
    for row, wrong in zip(found, [r for r in own if r.error_deg > 0], strict=True):
        assert row.si_sdr_db == exact[row.scene, row.target] - wrong.si_sdr_db
    for row in found:
        assert not row.misled or row.nearest_deg < 2 * row.error_deg
        assert row.misled or row.nearest_deg > 0
    assert any(row.misled for row in found)
    titles = [str(table.title) for table in tables(rows, "panorama", 20.0)]
    assert "SI-SDR lost, dB, median [95 %], by direction wrong by" in titles
    assert "no other source is nearer" in titles[-1]


@pytest.mark.parametrize(
    ("nearest_deg", "column"),
    [(0, "0–5°"), (4.9, "0–5°"), (5, "5–10°"), (19, "10–20°"), (20, "> 20°"), (90, "> 20°")],
)
def test_distances_fall_into_their_columns(songs: Path, nearest_deg: float, column: str) -> None:
    judged = list(evaluation_scenes(opened(songs), 1, 0.3, keep_width=False))
    row = evaluate([], judged, 20.0, 0)[0][0]
    assert distance(replace(row, nearest_deg=nearest_deg)) == column
