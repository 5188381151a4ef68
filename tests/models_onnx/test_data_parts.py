"""Data sets in parts: what trains, what validates and what judges each reads its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from models_onnx.data import audiofiles
from models_onnx.evaluation import (
    evaluate,
    quality_table,
    scan_table,
    spain_table,
    unet_tables,
    width_table,
)
from models_onnx.networks import checkpoints
from models_onnx.training import (
    fit_heard,
    scene_batches,
    train_spain,
    train_timbre,
    train_unet,
)
from models_onnx.training.timbre_questions import Asking

RATE_HZ = 44_100
NAMES = ("guitar", "violin", "cello", "bass", "piano", "drums")


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    for number, part in enumerate(("train", "validation", "test")):
        for k, name in enumerate(NAMES):
            path = tmp_path / "songs" / part / "song" / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            sound = np.random.default_rng([number, k]).normal(0, 0.1, 2 * RATE_HZ)
            soundfile.write(path, sound, RATE_HZ)
    return tmp_path / "songs"


@pytest.fixture
def parts_read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Of which parts files were read."""
    found: set[str] = set()
    read = audiofiles.read

    def noted(path: Path, *about: int, **more: int) -> np.ndarray:
        found.add(path.parts[-3])
        return read(path, *about, **more)

    monkeypatch.setattr(audiofiles, "read", noted)
    return found


@pytest.fixture
def threads() -> Iterator[None]:
    """Leave torch as many threads as it had."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


VALIDATIONS: dict[str, Callable[[Path], object]] = {
    "train": lambda folder: scene_batches.validation_batches(folder, 1, 0.3),
    "train-timbre": lambda folder: train_timbre.check_batches(folder, 0.3, Asking(clip_s=0.3)),
    "train-unet": lambda folder: train_unet.checked("query", folder, 1, 1, 0.3),
}


@pytest.mark.parametrize("validate", VALIDATIONS.values(), ids=VALIDATIONS)
def test_validation_reads_its_part_alone(
    validate: Callable[[Path], object], songs: Path, parts_read: set[str]
) -> None:
    validate(songs)
    assert parts_read == {"validation"}


def judge_ensembles(folder: Path, patch: pytest.MonkeyPatch) -> None:
    unet_tables.ensembles(folder, 1, 0.3, 0)


def judge_spain(folder: Path, patch: pytest.MonkeyPatch) -> None:
    checkpoints.save(folder.parent / "runs" / "run", {})
    patch.setattr(spain_table, "trained", lambda *_: ("band", "x", None))
    patch.setattr(spain_table, "untrained", lambda _: {})
    patch.setattr(spain_table, "judge", lambda *_: [])
    patch.setattr(spain_table, "tables", lambda _: "")
    spain_table.main(folder, folder.parent / "runs", count=1, error_scenes=1, seconds=0.3)


def judge_made_scans(folder: Path, patch: pytest.MonkeyPatch) -> None:
    _patch_scan(patch)
    scan_table.main([folder], count=1, seconds=30.0)


def judge_scans(folder: Path, patch: pytest.MonkeyPatch) -> None:
    _patch_scan(patch)
    scan_table.main(stems=folder, count=1, seconds=30.0)


def _patch_scan(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(scan_table, "evaluate", lambda scenes, count: [next(iter(scenes))])
    patch.setattr(scan_table, "tables", lambda _: [])


def judge_widths(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(width_table, "measure", lambda *_: [])
    patch.setattr(width_table, "table", lambda _: "")
    width_table.main(folder, ["panorama"], count=1, seconds=1.0)


def judge_reports(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(quality_table, "judged", lambda *_: [])
    patch.setattr(quality_table, "table", lambda _: "")
    quality_table.main(folder, ["panorama"], count=1, seconds=1.0)


def judge_directions(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evaluate, "evaluate", lambda *_: ([], 20.0))
    patch.setattr(evaluate.report, "tables", lambda *_: [])
    evaluate.main(folder, count=1, seconds=0.3)


JUDGES = {
    "unet-table label": judge_ensembles,
    "spain-table": judge_spain,
    "evaluate-scan --data": judge_made_scans,
    "evaluate-scan --stems": judge_scans,
    "evaluate-width": judge_widths,
    "evaluate-report": judge_reports,
    "evaluate": judge_directions,
}


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
@pytest.mark.usefixtures("threads")
def test_what_judges_reads_the_test_part_alone(
    judge: Callable[[Path, pytest.MonkeyPatch], None],
    songs: Path,
    parts_read: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge(songs, monkeypatch)
    assert parts_read == {"test"}


@pytest.mark.usefixtures("threads")
def test_a_training_reads_one_part_and_validates_on_another(
    songs: Path, parts_read: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read: list[set[str]] = []

    def note() -> None:
        read.append(set(parts_read))
        parts_read.clear()

    def held(*about: object) -> list[object]:
        note()  # what was drawn to measure it
        scenes = list(evaluation_scenes(about[0], 1, 0.3))
        note()
        return scenes

    def trained(run: object, draw: Callable[[int], object], checks: list[object], _: Path) -> None:
        draw(0)
        note()
        assert checks

    evaluation_scenes = train_spain.evaluation_scenes
    monkeypatch.setattr(train_spain, "evaluation_scenes", held)
    monkeypatch.setattr(train_spain, "train", trained)
    train_spain.main(
        "band-adain", [songs], tmp_path / "run", steps=1, validation=songs, scenes=1, seconds=0.3
    )
    assert read == [{"train"}, {"validation"}, {"train"}]


def test_instruments_are_heard_in_the_one_part_and_judged_in_the_other(
    songs: Path, parts_read: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read: list[set[str]] = []
    pieces = fit_heard.pieces

    def few(folders: list[Path], count: int, *about: object, part: str) -> object:
        parts_read.clear()
        found = pieces(folders, 2, *about, part=part)
        read.append(set(parts_read))
        return found

    monkeypatch.setattr(fit_heard, "pieces", few)
    monkeypatch.setattr(fit_heard, "FEWEST", 1)
    monkeypatch.setattr(fit_heard, "tables", lambda *_: "")
    fit_heard.main([songs], tmp_path / "listen.heard.json", [songs])
    assert read == [{"train"}, {"test"}]
