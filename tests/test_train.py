"""A small training learns, stops, goes on, and comes to the same weights."""

import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from models_onnx import checkpoints
from models_onnx.batches import Aims
from models_onnx.curves import read_log
from models_onnx.task import Task
from models_onnx.train import LOG, Plan, Run, train, validate
from tests.studio import SPEC, TinyNetwork, draw

EXACT = Aims(exact=True)


def new_run(steps: int, tier: str = "live", **changes: object) -> Run:
    torch.manual_seed(0)
    plan = Plan(steps=steps, seconds=0.25, scenes=2, learning_rate=5e-3, **changes)
    return Run(Task(TinyNetwork(), SPEC, tier), plan, {"network": "tiny"})


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {
        **run.task.network.state_dict(),
        **{f"~{k}": v for k, v in run.average.state_dict().items()},
    }


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("tier", ["live", "studio"])
def test_a_short_training_lowers_the_loss_and_gains_decibels(tmp_path: Path, tier: str) -> None:
    run = new_run(60, tier, average=0.9, validate_every=60)
    held_out = [draw(10_000, aims=EXACT, scenes=8)]
    before, _ = validate(run, held_out)
    train(run, draw, held_out, tmp_path)
    lines = read_log(tmp_path / LOG)
    losses = [line["loss"] for line in lines]
    assert len(lines) == 60
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:10])
    assert lines[-1]["valid_db"] > before + 1
    assert lines[-1]["valid_gain_db"] > 3
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_a_run_that_stops_and_goes_on_comes_to_the_same_weights(tmp_path: Path) -> None:
    whole = new_run(6)
    train(whole, draw, [], tmp_path / "whole")

    train(new_run(6), draw, [], tmp_path / "parts", until=3)
    rest = new_run(6)
    rest.resume(tmp_path / "parts")
    assert rest.step == 3
    train(rest, draw, [], tmp_path / "parts")

    assert rest.step == whole.step == 6
    for name, value in weights(whole).items():
        assert torch.equal(weights(rest)[name], value), name


def test_a_signal_stops_the_run_and_keeps_its_state(tmp_path: Path) -> None:
    def draw_and_signal(step: int):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return draw(step)

    before = signal.getsignal(signal.SIGTERM)
    train(new_run(1000), draw_and_signal, [], tmp_path)
    found = checkpoints.load(tmp_path)
    assert 1 <= found["step"] < 10
    assert signal.getsignal(signal.SIGTERM) is before
    assert not [t for t in threading.enumerate() if t.name.startswith("batches")]


def test_the_learning_rate_falls_over_the_hours(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plan = Plan(hours=4 / 3600, seconds=0.25, scenes=2, warmup=0)
    run = Run(Task(TinyNetwork(), SPEC, "live"), plan, {})
    train(run, draw, [], tmp_path)
    rates = [line["rate"] for line in read_log(tmp_path / LOG)]
    assert run.progress == 1
    assert run.elapsed_s < 8
    assert rates[0] == pytest.approx(1e-3, rel=0.1)
    assert rates[-1] < 0.4e-3
    assert rates == sorted(rates, reverse=True)


def test_a_loss_that_is_not_finite_leaves_the_weights_alone() -> None:
    run = new_run(10)
    batch = draw(0)
    batch.mixture[0, 0, 100] = float("nan")
    before = {k: v.clone() for k, v in weights(run).items()}
    run.advance(batch)
    assert run.step == 1
    assert all(torch.equal(v, before[k]) for k, v in weights(run).items())


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    new_run(1).save(tmp_path)
    other = Run(Task(TinyNetwork(), SPEC, "live"), Plan(steps=1), {"network": "other"})
    with pytest.raises(checkpoints.CheckpointError, match="give another --out"):
        other.resume(tmp_path)


def test_a_broken_or_foreign_file_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(checkpoints.CheckpointError, match="no checkpoint"):
        checkpoints.load(tmp_path)
    (tmp_path / checkpoints.FILE).write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(checkpoints.CheckpointError, match="not a checkpoint that can be read"):
        checkpoints.load(tmp_path)
    torch.save([1, 2], tmp_path / checkpoints.FILE)
    with pytest.raises(checkpoints.CheckpointError, match="not a checkpoint of"):
        checkpoints.load(tmp_path)


def test_a_save_that_fails_leaves_the_checkpoint_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(tmp_path, {"step": 1})

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        checkpoints.save(tmp_path, {"step": 2})
    assert checkpoints.load(tmp_path)["step"] == 1


def test_a_log_cut_short_is_read_up_to_the_cut(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text(json.dumps({"step": 1}) + "\n" + '{"step": 2, "lo')
    assert read_log(tmp_path / LOG) == [{"step": 1}]


def test_a_plan_has_hours_or_steps() -> None:
    for wrong in ({}, {"hours": 1.0, "steps": 5}):
        with pytest.raises(ValueError, match="one of the two"):
            Plan(**wrong)
