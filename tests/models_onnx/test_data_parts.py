"""Data sets in two parts: what trains reads the one, what validates or judges only the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from models_onnx.data import audiofiles
from models_onnx.evaluation import scan_table, spain_table, unet_tables
from models_onnx.networks import checkpoints
from models_onnx.training import (
    fit_heard,
    scene_batches,
    train_spain,
    train_timbre,
    train_unet,
)
from models_onnx.training.spain_batches import Stems
from models_onnx.training.timbre_questions import Asking
from realtime.encoder import load_encoder

RATE_HZ = 44_100
NAMES = ("guitar", "violin", "cello", "bass", "piano", "drums")
SOURCES = ("guitar", "strings", "bass", "piano")


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    for number, part in enumerate(("train", "test")):
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


def spain(folder: Path) -> None:
    list(spain_table.evaluation_scenes(Stems([folder], SOURCES, part="test"), 2, 0.3))


def heard(folder: Path) -> None:
    fit_heard.pieces([folder], 2, 0, load_encoder(), folder.parent / "kept.npz", part="test")


JUDGES: dict[str, Callable[[Path], object]] = {
    "train, --validation": lambda folder: scene_batches.validation_batches(folder, 1, 0.3),
    "train-timbre, --validation": lambda folder: train_timbre.check_batches(
        folder, 0.3, Asking(clip_s=0.3)
    ),
    "train-unet, --validation": lambda folder: train_unet.checked("query", folder, 1, 1, 0.3),
    "unet-table label": lambda folder: unet_tables.ensembles(folder, 1, 0.3, 0),
    "train-spain, --validation": spain,
    "fit-heard, --held-out": heard,
}


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
def test_what_judges_reads_the_test_part_alone(
    judge: Callable[[Path], object], songs: Path, parts_read: set[str]
) -> None:
    judge(songs)
    assert parts_read == {"test"}


def test_commands_judge_on_the_test_part(
    songs: Path, parts_read: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkpoints.save(tmp_path / "runs" / "run", {})
    monkeypatch.setattr(spain_table, "trained", lambda *_: ("band", "x", None))
    monkeypatch.setattr(spain_table, "untrained", lambda _: {})
    monkeypatch.setattr(spain_table, "judge", lambda *_: [])
    monkeypatch.setattr(spain_table, "tables", lambda _: "")
    spain_table.main(songs, tmp_path / "runs", count=1, error_scenes=1, seconds=0.3)
    monkeypatch.setattr(scan_table, "evaluate", lambda scenes, count: [next(iter(scenes))])
    monkeypatch.setattr(scan_table, "tables", lambda _: [])
    scan_table.main([songs], count=1, seconds=30.0)
    assert parts_read == {"test"}


def test_a_training_reads_the_one_part_and_validates_on_the_other(
    songs: Path, parts_read: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read: list[set[str]] = []

    def trained(run: object, draw: Callable[[int], object], checks: list[object], _: Path) -> None:
        read.append(set(parts_read))  # the first batch is drawn to measure it
        assert checks

    monkeypatch.setattr(train_spain, "train", trained)
    held = train_spain.evaluation_scenes
    monkeypatch.setattr(train_spain, "evaluation_scenes", lambda *about: held(about[0], 1, 0.3))
    threads = torch.get_num_threads()
    train_spain.main(
        "band-adain", [songs], tmp_path / "run", steps=1, validation=songs, scenes=1, seconds=0.3
    )
    torch.set_num_threads(threads)
    assert read == [{"train", "test"}]
