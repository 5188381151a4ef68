"""A small training learns, stops, goes on, and comes to the same weights."""

import json
import math
import os
import signal
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models_onnx.networks import checkpoints
from models_onnx.training import run as run_module
from models_onnx.training.batches import Aims, Batch, batches
from models_onnx.training.curves import _smoothed, read_log
from models_onnx.training.loop import LOG, train, validate
from models_onnx.training.losses import LossWeights
from models_onnx.training.run import Plan, Run
from models_onnx.training.task import SeparationTask
from realtime.errors import StemsteerError
from tests.support.tones import SPEC, TinyNetwork, draw

EXACT = Aims(exact=True)


def new_run(steps: int, tier: str = "live", **changes: object) -> Run:
    torch.manual_seed(0)
    plan = Plan(steps=steps, seconds=0.25, scenes=2, learning_rate=5e-3, **changes)
    return Run(SeparationTask(TinyNetwork(), SPEC, tier), plan, {"network": "tiny"})


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {
        **run.task.network.state_dict(),
        **{f"~{k}": v for k, v in run.average.state_dict().items()},
    }


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


def test_batches_without_a_target_that_is_loud_enough_are_not_validated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard, silent = (draw(10_000, aims=EXACT, scenes=2) for _ in range(2))
    silent.targets.zero_()
    run = new_run(2, validate_every=1)
    assert validate(run, [silent, heard, silent]) == validate(run, [heard])
    train(run, draw, [silent], tmp_path)
    assert "x real time  validation has no target that is loud enough" in capsys.readouterr().out
    assert [line["valid_db"] for line in read_log(tmp_path / LOG)] == [None, None]


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


def test_a_process_beside_draws_what_a_thread_draws() -> None:
    with closing(batches(draw_and_say_where, 4, workers=1)) as drawn:
        found = [next(drawn) for _ in range(3)]
    for step, batch in enumerate(found, 4):
        assert torch.equal(batch.targets, draw(step).targets)
        assert int(batch.change[0]) not in (0, os.getpid())


def draw_and_say_where(step: int) -> Batch:
    """Give a batch whose changes say which process drew it."""
    return replace(draw(step), change=torch.tensor([os.getpid()]))


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
    run = Run(SeparationTask(TinyNetwork(), SPEC, "live"), plan, {})
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


def test_steps_that_are_left_out_are_counted_and_too_many_end_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw_broken(step: int) -> Batch:
        batch = draw(step)
        if step in (1, 2, 4, 5, 6):
            batch.mixture[0, 0, 100] = float("nan")
        return batch

    monkeypatch.setattr(run_module, "MOST_LEFT_OUT", 3)
    train(new_run(4), draw_broken, [], tmp_path / "short")
    assert "4, 100.0%; done  left out 2 steps (gradient not finite)" in capsys.readouterr().out
    with pytest.raises(StemsteerError, match="step 7: the gradients of 3 steps in a row are not"):
        train(new_run(9), draw_broken, [], tmp_path / "long")


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    new_run(1).save(tmp_path)
    other = Run(SeparationTask(TinyNetwork(), SPEC, "live"), Plan(steps=1), {"network": "other"})
    with pytest.raises(checkpoints.CheckpointError, match="give another --out"):
        other.resume(tmp_path)


@pytest.mark.parametrize(
    ("about", "tier", "told"),
    [
        ({"config": "wide", "sizes": {"core": 3, "hop": 8}}, "live", "config wide, not small"),
        ({"sizes": {"core": 3, "hop": 4}}, "live", "core 3, not 2"),
        ({"part": "aim"}, "live", "part aim, not none"),
        ({}, "studio", "tier studio, not live"),
    ],
)
def test_of_a_run_of_another_network_is_told_what_is_other(tmp_path, about, tier, told) -> None:
    own = {"network": "tiny", "config": "small", "sizes": {"core": 2, "hop": 4}}
    network, plan = TinyNetwork(), Plan(steps=1)
    Run(SeparationTask(network, SPEC, tier), plan, own | about).save(tmp_path)
    with pytest.raises(checkpoints.CheckpointError) as error:
        Run(SeparationTask(network, SPEC, "live"), plan, own).resume(tmp_path)
    assert str(error.value) == f"{tmp_path} holds a run of {told}: give another --out"


@pytest.mark.parametrize(
    ("changes", "data", "word"),
    [({"seed": 1}, [], "seed"), ({"learning_rate": 0.1}, [], "learning_rate"), ({}, ["a"], "data")],
)
def test_a_run_goes_on_only_as_it_was_begun(tmp_path: Path, changes, data, word) -> None:
    new_run(2).save(tmp_path)
    task, about = SeparationTask(TinyNetwork(), SPEC, "live"), new_run(2).about
    plan = replace(new_run(2).plan, steps=5)
    Run(task, plan, about).resume(tmp_path)  # it may be made longer
    with pytest.raises(checkpoints.CheckpointError, match=f"with other {word}: give what"):
        Run(task, replace(plan, **changes), about, data).resume(tmp_path)


@pytest.mark.parametrize(("name", "value"), [("songs", ["b"]), ("on_device", True)])
def test_a_run_goes_on_only_with_what_it_was_given(tmp_path: Path, name, value) -> None:
    def run(**given: object) -> Run:
        return Run(SeparationTask(TinyNetwork(), SPEC, "live"), Plan(steps=2), {}, ["songs"], given)

    given = {"songs": ["a"], "on_device": False}
    run(**given).save(tmp_path)
    run(**given).resume(tmp_path)
    with pytest.raises(checkpoints.CheckpointError, match=f"with other {name}: give what"):
        run(**given | {name: value}).resume(tmp_path)
    run().save(tmp_path)  # as before that was kept
    run(**given).resume(tmp_path)


def test_a_broken_or_foreign_file_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(checkpoints.CheckpointError, match="no checkpoint"):
        checkpoints.load(tmp_path)
    (tmp_path / checkpoints.FILE).write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(checkpoints.CheckpointError, match="not a checkpoint that can be read"):
        checkpoints.load(tmp_path)
    torch.save([1, 2], tmp_path / checkpoints.FILE)
    with pytest.raises(checkpoints.CheckpointError, match="not a checkpoint of"):
        checkpoints.load(tmp_path)


@pytest.mark.parametrize("broken", ["not torch's", "pickled", "empty"])
def test_of_a_damaged_checkpoint_nobody_is_told_to_let_it_execute_code(
    tmp_path: Path, broken: str
) -> None:
    path = tmp_path / checkpoints.FILE
    if broken == "pickled":
        torch.save({"step": 1, "path": tmp_path}, path)  # a class that may not be made
    else:
        path.write_bytes(b"\x80\x02 not torch's" if broken == "not torch's" else b"")
    with pytest.raises(checkpoints.CheckpointError) as told:
        checkpoints.load(tmp_path)
    assert str(told.value) == (
        f"{path} is not a checkpoint that can be read: it is damaged, or of another program; "
        "give the folder of another training run"
    )


def test_a_run_begun_anew_begins_its_log_anew(tmp_path: Path) -> None:
    train(new_run(5), draw, [], tmp_path, until=3)
    (tmp_path / checkpoints.FILE).unlink()
    train(new_run(5), draw, [], tmp_path, until=1)
    again = new_run(5)
    again.resume(tmp_path)
    train(again, draw, [], tmp_path, until=2)
    lines = (tmp_path / LOG).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


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


def test_a_run_goes_on_with_whole_lines_after_one_that_was_cut_short(tmp_path: Path) -> None:
    train(new_run(4), draw, [], tmp_path, until=2)
    with (tmp_path / LOG).open("a") as log:
        log.write('{"step": 99, "el')
    rest = new_run(4)
    rest.resume(tmp_path)
    train(rest, draw, [], tmp_path)
    lines = (tmp_path / LOG).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]


def test_a_loss_that_is_not_finite_is_null_in_the_log_and_a_gap_in_the_curve(
    tmp_path: Path,
) -> None:
    def draw_broken(step: int):
        batch = draw(step)
        batch.mixture[0, 0, 100] = float("nan") if step == 1 else 0.0
        return batch

    train(new_run(3), draw_broken, [], tmp_path)
    text = (tmp_path / LOG).read_text()
    losses = [json.loads(line, parse_constant=pytest.fail)["loss"] for line in text.splitlines()]
    assert losses[1] is None
    assert all(loss > 0 for loss in losses[::2])
    smooth = _smoothed(np.array(losses, float))
    np.testing.assert_allclose(smooth, [losses[0], losses[0], (losses[0] + losses[2]) / 2])


@pytest.mark.parametrize("name", ["hours", "learning_rate", "average"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_plan_has_finite_numbers(name: str, value: float) -> None:
    length = {} if name == "hours" else {"steps": 1}
    with pytest.raises(StemsteerError, match=f"{name} is {value}, expected a finite number"):
        Plan(**length | {name: value})
    with pytest.raises(StemsteerError, match=f"snr is {value}, expected a finite number"):
        Plan(steps=1, loss=LossWeights(snr=value))


def test_a_plan_has_hours_or_steps() -> None:
    for wrong in ({}, {"hours": 1.0, "steps": 5}):
        with pytest.raises(StemsteerError, match="one of the two"):
            Plan(**wrong)


def test_a_batch_of_too_many_scenes_is_refused() -> None:
    with pytest.raises(StemsteerError, match="is 960 s of sound, expected at most 300 s"):
        Plan(steps=1, scenes=8, targets=2, seconds=60)
    Plan(steps=1, scenes=2, targets=2, seconds=60)


def test_a_stop_before_the_first_step_leaves_a_checkpoint(tmp_path) -> None:
    train(new_run(5), draw, [], tmp_path, until=0)
    assert checkpoints.load(tmp_path)["step"] == 0
