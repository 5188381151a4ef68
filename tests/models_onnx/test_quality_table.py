"""What a report expects of stems stands beside what is true of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from rich.console import Console

from models_onnx.data.scenes import EvaluationScene
from models_onnx.data.stems import RATE_HZ
from models_onnx.evaluation.quality_table import JudgedStem, judged, judged_by_name, table
from models_onnx.evaluation.timbre_scenes import TimbreScene
from realtime.model import load_model


def test_a_source_that_stands_alone_is_judged_better_than_two_at_one_place(tmp_path: Path):
    rng = np.random.default_rng(0)
    sounds = rng.normal(0, 0.05, (2, 1, 2 * RATE_HZ))
    model = load_model("panorama")
    found = {}
    for apart_deg in (60.0, 1.0):
        theta = np.radians(np.array([-30.0, apart_deg - 30]) + 45)
        gains = np.stack([np.cos(theta), np.sin(theta)], 1)[:, :, None]
        turns = np.array([[1, 0], [0, 1]]).repeat(RATE_HZ, 1)[:, None]  # one after the other
        images = (gains * sounds * (turns if apart_deg > 1 else 1)).astype(np.float32)
        azimuths = np.array([-30.0, apart_deg - 30], np.float32)
        scene = EvaluationScene(images.sum(0), images, azimuths, ("a", "b"))
        found[apart_deg] = list(judged(model, scene, tmp_path))
    clear, mixed = found[60.0], found[1.0]
    assert min(row.true_db for row in clear) > max(row.true_db for row in mixed)
    assert {row.grade for row in clear} == {"clear"}


def test_stems_by_name_are_judged_one_by_one(tmp_path: Path):
    model = load_model("steer", "live")
    rng = np.random.default_rng(1)
    images = rng.normal(0, 0.05, (3, 2, RATE_HZ)).astype(np.float32)
    classes = ("vocals", "drums", "no instrument")
    scene = TimbreScene("x", images.sum(0), classes, images, lambda name, number: None)
    found = list(judged_by_name(model, scene, tmp_path))
    assert len(found) == 2  # those that the model knows
    assert all(row.true_db < 5 for row in found)  # noise is no instrument


def test_the_table_has_a_row_a_model_with_its_rank_correlation():
    rows = {
        "x": [
            JudgedStem(15.0, 12.0, "clear"),
            JudgedStem(8.0, 6.0, "good"),
            JudgedStem(1.0, -3.0, "mixed"),
        ]
    }
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table(rows))
    (line,) = [words for words in console.export_text().splitlines() if " x " in words]
    assert "1.00" in line
    assert "12.0 (1)" in line
