"""What answers to questions are worth, and how they are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from models_onnx.networks import registry
from models_onnx.training.batches import Aims
from models_onnx.training.losses import LossWeights
from models_onnx.training.task import SeparationTask
from models_onnx.training.timbre_bands_task import TimbreBandsTask
from models_onnx.training.timbre_batches import training_batches
from models_onnx.training.timbre_check import Judged, check, judged
from models_onnx.training.timbre_live_task import TimbreLiveTask
from models_onnx.training.timbre_questions import KINDS, NUMBER, Asking, TimbreBatch
from models_onnx.training.timbre_task import TimbreTask
from tests.support.timbres import pool

TASKS = {
    "timbre": ("tiny", TimbreTask),
    "timbre-live": ("causal-tiny", TimbreLiveTask),
    "timbre-bands": ("bands-tiny", TimbreBandsTask),
}


def task_of(kind: str) -> SeparationTask:
    torch.manual_seed(0)
    config, task = TASKS[kind]
    network, spec, _ = registry.build(kind, config)
    return task(network, spec, "live")


def asked() -> TimbreBatch:
    """A batch that asks for what is there and for what is not."""
    asking = Asking(
        direction=0.0, both=0.0, against=0.0, query=0.0, family=0.0, absent=0.5, clips=1, clip_s=0.4
    )
    return training_batches(pool(), 0, 2, 4, 0.5, asking, Aims(change=0.0))(0)


class Told:
    """A task whose answers are given."""

    def __init__(self, found: Judged) -> None:
        self.found = found

    def judged(self, network: nn.Module, batch: TimbreBatch) -> Judged:
        return self.found


def test_gains_are_means_by_kind_and_class_and_levels_of_the_absent_a_median() -> None:
    kinds = torch.tensor([[KINDS.index(k) for k in ("name", "name", "name", "query")],
                          [KINDS.index("absent")] * 3 + [KINDS.index("name")]])  # fmt: skip
    classes = torch.tensor([[NUMBER[n] for n in ("bass", "bass", "flute", "bass")],
                            [0, 0, 0, NUMBER["drums"]]])  # fmt: skip
    batch = replace(asked(), kinds=kinds, asked=classes)
    gain_db = torch.tensor([[1.0, 3.0, 8.0, 5.0], [9.0, 9.0, 9.0, 90.0]])
    level_db = torch.tensor([[0.0] * 4, [-30.0, -20.0, -1.0, 0.0]])
    counts = torch.tensor([[True] * 4, [False] * 4])
    found = check(Told(Judged(gain_db, gain_db, level_db, counts)), nn.Identity(), [batch])
    assert found == {
        "valid_absent": -20.0, "valid_bass": 2.0, "valid_name": 4.0, "valid_query": 5.0
    }  # fmt: skip


def test_what_is_silent_or_sounds_alone_does_not_count() -> None:
    torch.manual_seed(0)
    mixtures = torch.randn(1, 4, 2, 900)
    targets = mixtures * torch.tensor([1.0, 0.0, 0.0, 1.0])[:, None, None]
    targets[0, 3] += 0.7 * torch.randn(2, 900)
    mixtures[0, 2] = 0.0
    estimates = 0.1 * mixtures
    assert judged(estimates, targets, mixtures).counts.tolist() == [[True, False, False, True]]
    found = judged(estimates, targets, mixtures, alone_db=15.0)
    assert found.counts.tolist() == [[False, False, False, True]]
    assert found.level_db[0, [0, 1, 3]].tolist() == pytest.approx([-20.0] * 3, abs=1e-4)
    assert torch.isfinite(found.level_db).all()


@pytest.mark.parametrize("kind", TASKS)
def test_a_silent_mixture_leaves_levels_of_the_absent_finite(kind: str) -> None:
    batch = asked()
    assert KINDS.index("absent") in batch.kinds[0]
    batch.mixture[0], batch.targets[0] = 0.0, 0.0
    task = task_of(kind)
    task.network.eval()
    found = check(task, task.network, [batch])
    assert np.isfinite(list(found.values())).all()
    assert "valid_absent" in found


@pytest.mark.parametrize("kind", ["timbre-live", "timbre-bands"])
def test_less_of_what_is_absent_counts_less_than_more_of_what_is_there(kind: str) -> None:
    weights = LossWeights()
    terms = task_of(kind).losses(asked(), weights, 1, 0)
    assert terms["absent_db"] < -1
    of_what_is_there = weights.magnitude * terms["magnitude"] - weights.snr * terms["snr_db"]
    for_a_decibel = (terms["loss"] - of_what_is_there) / terms["absent_db"]
    assert 0.1 * weights.snr < for_a_decibel < 0.9 * weights.snr
