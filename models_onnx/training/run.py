"""A training run: its plan, one step of it, and what a checkpoint holds."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models_onnx.networks import checkpoints
from models_onnx.training.batches import Aims, Batch
from models_onnx.training.losses import LossWeights
from models_onnx.training.task import SeparationTask
from realtime.errors import StemsteerError

LENGTH = ("hours", "steps")  # of a plan; these may change when it is resumed
LONGEST_SCENE_S, LARGEST_BATCH_S = 60.0, 300.0
"""Most sound of a scene, and of all targets of a batch, s: a second of a target takes some 60 MB
in the training of `steer`."""
MOST_LEFT_OUT = 100
"""Steps in a row whose gradient is not finite after which a run learns no more."""


@dataclass(frozen=True)
class Plan:
    """What decides the result of a run, besides the network and the data.

    Parameters
    ----------
    hours, steps : the length of the run; one of the two. The learning rate falls to zero over it.
    scenes, targets, seconds : a batch is so many scenes of that length, each asked for so many
        targets.
    warmup : the part of the run over which the learning rate rises.
    stride : the spectral terms look at every so many frames; at 8-fold overlap half are enough.
    freeze_norms : the part of the run after which batch norms use their running statistics, as they
        do in a stream, so that the weights learn to live with them.
    average : decay of the moving average of the weights, which is what is validated and exported.

    Raises
    ------
    StemsteerError : the length is given twice or not at all, a number is not finite, or a scene or
        a batch is longer than `LONGEST_SCENE_S` or `LARGEST_BATCH_S`.
    """

    hours: float | None = None
    steps: int | None = None
    seed: int = 0
    scenes: int = 8
    targets: int = 2
    seconds: float = 2.0
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.01
    clip: float = 1.0
    freeze_norms: float = 1.0
    average: float = 0.998
    stride: int = 2
    validate_every: int = 250
    loss: LossWeights = field(default_factory=LossWeights)
    aims: Aims = field(default_factory=Aims)

    def __post_init__(self) -> None:
        if (self.hours is None) == (self.steps is None):
            raise StemsteerError("give the length of the run in hours or in steps, one of the two")
        for name, value in {**vars(self), **vars(self.loss)}.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise StemsteerError(f"{name} is {value}, expected a finite number")
        if not 0 < self.seconds <= LONGEST_SCENE_S:
            raise StemsteerError(
                f"--seconds {self.seconds:g}: a scene is longer than 0 and at most "
                f"{LONGEST_SCENE_S:g} s"
            )
        batch_s = self.scenes * self.targets * self.seconds
        if batch_s > LARGEST_BATCH_S:
            raise StemsteerError(
                f"a batch of {self.scenes} scenes of {self.seconds:g} s, each asked for "
                f"{self.targets} targets, is {batch_s:g} s of sound, expected at most "
                f"{LARGEST_BATCH_S:g} s: give fewer --scenes or shorter --seconds"
            )


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return in what two descriptions of networks differ; sizes only where all else is equal."""
    names = [k for k in {**found, **wanted} if k != "sizes" and found.get(k) != wanted.get(k)]
    if not names and found != wanted:
        return _differences(found["sizes"], wanted["sizes"])
    return ", ".join(f"{k} {found.get(k, 'none')}, not {wanted.get(k, 'none')}" for k in names)


class Run:
    """The state of a training run: all that a checkpoint holds.

    Parameters
    ----------
    about : the network, see `registry.build`, and which part of it is trained.
    data : lines that tell people what songs it is trained on; exported files have them.
    given : what else decides the result, by its name: which songs those are, and options that are
        not in the plan.
    """

    def __init__(
        self,
        task: SeparationTask,
        plan: Plan,
        about: dict[str, Any],
        data: Sequence[str] = (),
        given: Mapping[str, object] | None = None,
    ) -> None:
        self.task, self.plan, self.about, self.data = task, plan, about, list(data)
        self.given = dict(given or {})
        self.average = copy.deepcopy(task.network).requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(
            task.parameter_groups(),
            plan.learning_rate,
            (0.9, 0.98),
            weight_decay=plan.weight_decay,
        )
        self.step, self.elapsed_s = 0, 0.0
        self.left_out, self._in_a_row = 0, 0  # since the command began

    @property
    def progress(self) -> float:
        """Return how much of the run is done, 0 … 1."""
        if self.plan.steps is not None:
            return min(1.0, self.step / self.plan.steps)
        return min(1.0, self.elapsed_s / 3600 / (self.plan.hours or 1.0))

    def advance(self, batch: Batch) -> dict[str, float]:
        """Make one step of the optimizer; return the terms of the loss, for the log.

        A step whose gradient is not finite is left out, and counted: the weights stay as they are.

        Raises
        ------
        StemsteerError : `MOST_LEFT_OUT` steps in a row were left out.
        """
        plan, network = self.plan, self.task.network
        rate = self._learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        # dropout as a function of the step, so that a run that stopped comes to the same weights
        torch.manual_seed(plan.seed * 1_000_003 + self.step)
        network.train()
        if self.progress >= plan.freeze_norms:
            for module in network.modules():
                if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                    module.eval()
        terms = self.task.losses(batch, plan.loss, plan.stride, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), plan.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
            self._follow()
            self._in_a_row = 0
        else:
            self.left_out += 1
            self._in_a_row += 1
        self.step += 1
        if self._in_a_row == MOST_LEFT_OUT:
            raise StemsteerError(
                f"step {self.step}: the gradients of {MOST_LEFT_OUT} steps in a row are not "
                "finite, nothing is learned: begin with other weights, or give a smaller --rate"
            )
        return {**{k: v.item() for k, v in terms.items()}, "norm": norm.item(), "rate": rate}

    def _learning_rate(self) -> float:
        """Return the rate: a rise over the first part of the run, then a cosine down to zero."""
        done, warmup = self.progress, self.plan.warmup
        rise = 1.0 if done >= warmup else 0.02 + 0.98 * done / warmup
        return self.plan.learning_rate * rise * (1 + math.cos(math.pi * done)) / 2

    def _follow(self) -> None:
        # at first over few steps, or the weights as they were drawn would be in it for long
        decay = min(self.plan.average, (1 + self.step) / (10 + self.step))
        for mean, now in zip(
            self.average.state_dict().values(), self.task.network.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(now)

    def save(self, folder: Path) -> None:
        """Write the checkpoint."""
        checkpoints.save(
            folder,
            {
                "step": self.step,
                "elapsed_s": self.elapsed_s,
                "network": self.task.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "plan": dataclasses.asdict(self.plan),
                "about": self.about,
                "data": self.data,
                "given": self.given,
                "tier": self.task.tier_name,
                "spec": self.task.spec.to_json(),
                "commit": checkpoints.commit(),
            },
        )

    def resume(self, folder: Path) -> None:
        """Continue from the checkpoint in `folder`; begin where there is none.

        Raises
        ------
        CheckpointError : it is of another run, network or tier, was begun with other songs or
            options, or holds weights alone.
        """
        if not (folder / checkpoints.FILE).exists():
            return
        found = checkpoints.load(folder, self.task.device)
        own = self.about | {"tier": self.task.tier_name}
        if differences := _differences(found["about"] | {"tier": found["tier"]}, own):
            raise checkpoints.CheckpointError(
                f"{folder} holds a run of {differences}: give another --out"
            )
        if "optimizer" not in found:
            raise checkpoints.CheckpointError(
                f"{folder} holds weights to begin with, not a run: give it to --init, another --out"
            )
        plan = dataclasses.asdict(self.plan)
        begun = dataclasses.asdict(Plan(steps=1)) | found["plan"]  # may be from before a field was
        other = [k for k in plan if k not in LENGTH and plan[k] != begun[k]]
        other += ["data"] if found["data"] != self.data else []
        begun = found.get("given", {})
        other += [k for k, v in self.given.items() if k in begun and v != begun[k]]
        if other:
            raise checkpoints.CheckpointError(
                f"{folder} holds a run with other {', '.join(other)}: give what it was begun with, "
                "or another --out with --init to go on from its weights"
            )
        self.task.network.load_state_dict(found["network"])
        self.average.load_state_dict(found["average"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.step, self.elapsed_s = found["step"], found["elapsed_s"]
