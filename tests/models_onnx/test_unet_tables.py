"""The tables of systems 2 to 5: what is asked of a scene, what is paired, what is written."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models_onnx import commands
from models_onnx.evaluation import metrics, unet_tables
from models_onnx.evaluation import unet_systems as unets
from models_onnx.evaluation.timbre_scenes import TimbreScene
from models_onnx.evaluation.unet_systems import JudgedRun, UNetRow
from models_onnx.networks import registry
from models_onnx.networks.unet.system import CONFIGS
from models_onnx.training.run import Plan, Run
from models_onnx.training.unet_task import UNetTask
from realtime.encoder import OnnxEncoder
from realtime.model import OnnxModel
from tests.support.timbres import sound
from tests.support.unets import tiny_system, unet_file

RATE_HZ = 44_100


def scene(names: tuple[str, ...], bands: tuple[str, ...]) -> TimbreScene:
    rng = np.random.default_rng(0)
    images = np.stack([[sound(rng, band, RATE_HZ)] * 2 for band in bands]).astype(np.float32)
    images[0, :, : RATE_HZ // 2] = 0

    def clip(name: str, number: int) -> np.ndarray | None:
        return images[names.index(name)] if name in names else None

    return TimbreScene("a scene", images.sum(0), names, images, clip)


def judged(folder: Path, name: str, gate: str = "none") -> JudgedRun:
    path = unet_file(folder / name, name, gate)
    model = OnnxModel(path)
    encoder = folder / name / "encoders" / f"{model.spec.name}.onnx"
    return JudgedRun(model, OnnxEncoder(encoder) if encoder.is_file() else None)


def test_a_query_is_judged_beside_the_mean_and_once_more(tmp_path: Path) -> None:
    found = list(
        unets.of_queries(judged(tmp_path, "query"), scene(("vocals", "drums"), ("vocals", "drums")))
    )
    ways = ["mean", "query", "true source"]
    assert [r.system for r in found] == [*ways, *ways, *(f"{w}, iterative" for w in ways[:2] * 2)]
    assert all(np.isfinite(row.gain_db) for row in found)


def test_unseen_instruments_are_asked_as_the_nearest_that_is_known(tmp_path: Path) -> None:
    few, named = judged(tmp_path, "fewshot"), judged(tmp_path, "activity")
    found = list(unets.of_examples(few, named, scene(("harp", "drums"), ("guitar", "drums"))))
    groups = {row.instrument: row.group for row in found}
    assert groups == {"harp": "unseen", "drums": "seen"}
    assert {r.system for r in found} == {
        "1 example",
        "5 examples",
        "5 + counter-examples",
        "one-hot",
    }
    assert unets.nearest_seen("harp", named.model.spec.classes) == "guitar"
    assert unets.nearest_seen("drums", {}) == "drums"


def test_labels_silence_what_is_absent_and_wiener_passes_join(tmp_path: Path) -> None:
    runs = {name: judged(tmp_path, name) for name in ("label-none", "label-multiply")}
    played = scene(("flute", "cello"), ("guitar", "bass"))
    found = list(unets.of_labels(runs, played, {"flute": "oboe"}))
    absent = {r.system: r.silence_db for r in found if r.group == "absent"}
    assert absent["label-multiply"] == pytest.approx(-80)
    assert absent["label-none"] > -70
    systems = {r.system for r in found}
    assert {"label-none, Wiener 2", "label-multiply, told one"} <= systems
    wrong = [r for r in found if r.system == "label-multiply, by pictures"]
    assert [r.instrument for r in wrong] == ["flute"]


def test_activity_is_judged_in_the_frames_in_which_it_sounds(tmp_path: Path) -> None:
    runs = {"no weight": judged(tmp_path, "activity")}
    found = list(unets.of_activity(runs, scene(("vocals", "drums"), ("vocals", "drums"))))
    assert len(found) == 2
    assert all(0 <= row.activity_f1 <= 1 for row in found)
    assert found[0].silence_db > -80  # its first half is silent


def test_the_activity_of_a_median_that_comes_later_is_of_the_same_frames(tmp_path: Path) -> None:
    mixture = scene(("vocals", "drums"), ("vocals", "drums")).mixture
    told = []
    for gate in ("none", "median"):
        run = judged(tmp_path / gate, "activity", gate)
        vector = run.named("drums")
        assert vector is not None
        activity = unets.separated(run.model, mixture, [unets.Ask(gate, 0, "drums", vector)])[1]
        assert activity is not None
        told.append(activity)
    frames = told[1].shape[1]
    assert frames == told[0].shape[1] - run.model.spec.tier("offline").lookahead
    np.testing.assert_allclose(told[1], told[0][:, :frames], atol=1e-5)


def test_half_of_the_scenes_of_examples_have_what_no_training_met() -> None:
    known, unseen = (scene((name, "drums"), ("guitar", "drums")) for name in ("piano", "harp"))
    scenes = [known] * 6 + [unseen] * 3
    assert unet_tables.balanced(scenes, 4) == [unseen, unseen, known, known]
    assert unet_tables.balanced(scenes, 8) == [*[unseen] * 3, *[known] * 5]


def row(system: str, number: int, si_sdr_db: float) -> UNetRow:
    return UNetRow(system, f"{number}", "flute", "seen", 1.0, si_sdr_db, 0.0, -20.0)


def test_differences_are_paired() -> None:
    rows = [row("hold", k, 2.0 * k) for k in range(5)] + [
        row("no weight", k, 2.0 * k - 1) for k in range(4)
    ]
    table = unet_tables.differences_table("activity", rows)
    cells = {name: list(column.cells) for name, column in zip(
        ("pair", "group", "targets", "quality"), table.columns[:4], strict=True)}  # fmt: skip
    assert cells["pair"] == ["hold − no weight"]
    assert cells["targets"] == ["4"]
    assert cells["quality"] == ["1.00 [1.00, 1.00]"]


def test_targets_of_one_song_are_drawn_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FEWEST_GROUPS", 2)
    rows = [replace(row("hold", k, 10.0 * (k % 2) + k), song=f"song {k % 2}") for k in range(6)]
    even, odd = (np.mean([r.si_sdr_db for r in rows[start::2]]) for start in (0, 1))
    table = unet_tables.gains_table("activity", rows)
    quality = {str(column.header): list(column.cells) for column in table.columns}["SI-SDR"]
    assert quality == [f"{(even + odd) / 2:.2f} [{even:.2f}, {odd:.2f}]"]
    (measured,) = {
        r.song for r in unet_tables.peers(scene(("vocals", "drums"), ("vocals", "drums")))
    }
    assert measured == "a scene"


def test_the_command_exports_the_runs_and_writes_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one-hot", "activity"):
        system = tiny_system(name)
        about = {"network": "unet", "config": name}
        sizes = {"sizes": registry.dataclasses.asdict(CONFIGS[f"tiny-{name}"])}
        task = UNetTask(system, registry.unet.spec(system.config), "live")
        Run(task, Plan(steps=1), about | sizes).save(tmp_path / "runs" / name)
    played = scene(("vocals", "drums"), ("vocals", "drums"))
    monkeypatch.setattr(unet_tables, "made_scenes", lambda *a, **k: [played])
    monkeypatch.setattr(unets, "export", partial(unets.export, steps=4))
    words = [
        "activity",
        "--runs",
        str(tmp_path / "runs"),
        "--data",
        ".",
        "--out",
        str(tmp_path / "rows.json"),
    ]
    done = CliRunner().invoke(commands.app(unet_tables.main), words)
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "rows.json").read_text())
    systems = {row["system"] for row in rows}
    assert systems == {"mix", "mix/N", "oracle", "steer", "no head", "no weight", "hold", "median"}
    assert "differences over the same targets" in done.output
    missing = CliRunner().invoke(commands.app(unet_tables.main), ["query", *words[1:-2]])
    assert missing.exit_code == 1
    assert "holds no run of 'query'" in missing.output


def test_slerp_goes_from_one_end_to_the_other() -> None:
    torch.manual_seed(0)
    start, end = np.eye(3, dtype=np.float32)[:2]
    assert unet_tables.slerp(start, end, 0.0) == pytest.approx(start, abs=1e-5)
    assert unet_tables.slerp(start, end, 0.5) == pytest.approx([0.5**0.5, 0.5**0.5, 0], abs=1e-5)
    levels = unet_tables._levels_db(0.5 * np.ones((2, 8)) + 0 * start[0], *_orthogonal())
    assert levels[0] == pytest.approx(-6.02, abs=0.1)


def _orthogonal() -> tuple[np.ndarray, np.ndarray]:
    first = np.ones((2, 8), np.float32)
    second = first.copy()
    second[:, ::2] = -1
    return first, second
