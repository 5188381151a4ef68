"""Separators as ONNX files: the tensors of `ModelSpec`, states fed back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from models_onnx.export.onnx_files import ExportError, Graph, rounded, write_onnx
from models_onnx.networks.branches import branched
from realtime.conditions import WIDTH_DEG
from realtime.model import OnnxModel
from realtime.spec import ALONE, METADATA_KEY, ModelSpec

STEPS = 200
TOLERANCE = 1e-4


class OneStream(nn.Module):
    """A network without its batch axis and with its tensors in a row, as ONNX has them."""

    def __init__(self, network: nn.Module, conditions: Sequence[str]) -> None:
        super().__init__()
        self.network, self.conditions = network, list(conditions)

    def forward(self, spectrum: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """Give masks, the activity if there is one, and next states, as `ModelSpec` has them.

        Every target is a stream of its own; the spectrum is that of all of them.

        Parameters
        ----------
        spectrum : (F, 2, bins, 2).
        others : conditions (F, targets, size), then states (targets, ...).
        """
        count = len(self.conditions)
        values = [value.transpose(0, 1)[:, :, None] for value in others[:count]]  # (K, F, 1, size)
        conditions = dict(zip(self.conditions, values, strict=True))
        output = self.network(spectrum[None], conditions, others[count:])
        logit = output.activity_logit
        activity = () if logit is None else (torch.sigmoid(logit[:, :, 0]).transpose(0, 1),)
        return output.masks[:, :, 0].transpose(0, 1), *activity, *output.states


class OneMixture(OneStream):
    """As `OneStream`, of a network that takes all targets of a mixture at once.

    What is the same for all targets is computed once.
    """

    def forward(self, spectrum: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """See `OneStream.forward`; the states of each target are still its own."""
        count = len(self.conditions)
        values = [value[None] for value in others[:count]]  # (1, F, targets, size)
        conditions = dict(zip(self.conditions, values, strict=True))
        output = self.network(spectrum[None], conditions, others[count:])
        logit = output.activity_logit
        activity = () if logit is None else (torch.sigmoid(logit[0]),)
        return output.masks[0], *activity, *output.states


def export(
    network: nn.Module,
    spec: ModelSpec,
    path: str | os.PathLike[str],
    *,
    states: Mapping[str, tuple[int, ...]] | None = None,
    by_direction: Path | None = None,
    by_timbre: Path | None = None,
    eight_bits: bool = False,
    steps: int = STEPS,
) -> Path:
    """Export `network` to `path`; the file appears only when it agrees with the network.

    Parameters
    ----------
    network : called as ``network(spectrum, *conditions, *states)`` with the tensors of `ModelSpec`;
        it gives the masks, then the activity if it has one, then the next states.
    states : shape of each state without its leading axis, the targets.
    by_direction : file of a model that answers instead where no timbre is asked for.
    by_timbre : file of one that answers instead where a timbre alone is asked for; only together
        with `by_direction`.
    eight_bits : whether the network's large matrices are stored in int8.
    steps : over which network and file are compared, fed back.

    Raises
    ------
    ExportError : masks or activity differ by more than 1e-4 over the steps, or the answers to
        directions alone differ at all from those of `by_direction`, or those to timbres alone by
        more than 1e-4 from those of `by_timbre`.
    """
    states, network = dict(states or {}), rounded(network, eight_bits=eight_bits).eval()
    example = _example(spec, states, frames=3)
    activity = _tells_activity(network, example, states)
    outputs = ["masks", *(["activity"] if activity else []), *(f"next_{name}" for name in states)]
    graph = Graph(network, example, outputs, _dynamic_axes(spec, states))
    metadata = {METADATA_KEY: spec.to_json()}

    def check(part: Path) -> None:
        check_agreement(network, part, states=states, activity=activity, steps=steps)
        if by_direction is not None:
            check_alike(part, by_direction)
        if by_timbre is not None:
            check_alike(part, by_timbre, alone=True)

    def beside(model: onnx.ModelProto) -> onnx.ModelProto:
        if by_direction is None:
            return model
        alone = None if by_timbre is None else onnx.load(by_timbre)
        return branched(model, onnx.load(by_direction), alone)

    return write_onnx(graph, metadata, Path(path), check, change=beside, eight_bits=eight_bits)


def specs_beside(
    by_direction: Path | None, by_timbre: Path | None
) -> tuple[ModelSpec | None, ModelSpec | None]:
    """Return what the files say of themselves that are to answer directions, and timbres, alone.

    Raises
    ------
    ExportError : there is one for timbres and none for directions.
    StemsteerError : one of them is no model.
    """
    if by_timbre is not None and by_direction is None:
        raise ExportError(f"beside {by_timbre} a file that answers directions alone is wanted, too")
    plain, alone = (OnnxModel(f).spec if f else None for f in (by_direction, by_timbre))
    return plain, alone


def with_directions_alone(spec: ModelSpec, own: ModelSpec) -> ModelSpec:
    """Return the spec of a joined model in which the model of spec `own` answers directions alone.

    It says how that one was trained; files that do not say it have the configuration ``small``.
    """
    about = own.training.get("plain") if "timbre" in own.conditions else own.training
    return replace(spec, training={**spec.training, "plain": about}) if about else spec


def with_timbres_alone(spec: ModelSpec, own: ModelSpec) -> ModelSpec:
    """Return the spec of a joined model in which the model of spec `own` answers timbres alone."""
    about = own.training.get("alone", own.training)
    training = {**spec.training, "alone": about}
    return answered_twice(replace(spec, training=training, alone_turns=own.alone_turns))


def answered_twice(spec: ModelSpec) -> ModelSpec:
    """Return the spec of a joined model whose network of timbres alone is asked elsewhere, too."""
    return replace(spec, two_answers="direction" in spec.conditions)


def _dynamic_axes(
    spec: ModelSpec, states: Mapping[str, tuple[int, ...]]
) -> dict[str, dict[int, str]]:
    """Return the axes of any length: frames everywhere, targets and bins where they are free."""
    names = ["spectrum", "masks", "activity", *spec.conditions]
    axes = {name: {0: "frames"} for name in names}
    if not spec.targets:  # every target is a stream of its own, so there may be any number
        for name in names[1:]:
            axes[name][1] = "targets"
        for name in states:
            axes[f"state_{name}"] = axes[f"next_{name}"] = {0: "targets"}
    if spec.bins is None:
        axes["spectrum"][2] = axes["masks"][3] = "bins"
    return axes


def check_agreement(
    network: nn.Module,
    path: Path,
    *,
    states: Mapping[str, tuple[int, ...]],
    activity: bool = False,
    steps: int = STEPS,
    tolerance: float = TOLERANCE,
) -> float:
    """Run network and file side by side, each fed its own states back over `steps`.

    Returns
    -------
    The largest difference of the masks and of the activity.

    Raises
    ------
    ExportError : it is above `tolerance`.
    """
    model = OnnxModel(path)
    spec = model.spec
    example = _example(spec, states, frames=1)
    stream = model.stream(_targets(spec))
    turns = spec.alone_turns if any(name.startswith(ALONE) for name in states) else 1
    carried = [[example[f"state_{name}"] for name in states] for _ in range(turns)]
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for step in range(steps):
        example["spectrum"] = 0.1 * torch.randn(example["spectrum"].shape, generator=generator)
        conditions = {name: example[name] for name in spec.conditions}
        with torch.no_grad():
            result = network(example["spectrum"], *conditions.values(), *carried[step % turns])
        result = [result] if isinstance(result, Tensor) else list(result)
        carried[step % turns] = result[1 + activity :]
        found = stream.step(
            example["spectrum"].numpy(), {k: v.numpy() for k, v in conditions.items()}
        )
        worst = max(worst, float(np.abs(found["masks"] - result[0].numpy()).max()))
        if activity:
            worst = max(worst, float(np.abs(found["activity"] - result[1].numpy()).max()))
    if not worst <= tolerance:
        raise ExportError(
            f"the exported {spec.name} differs from the network by {worst:.2e} after {steps} "
            f"steps, expected at most {tolerance:.0e}: nothing was written"
        )
    return worst


def check_alike(path: Path, other: Path, *, alone: bool = False, steps: int = 20) -> None:
    """Raise ExportError if two models do not do the same, told directions, or timbres, alone.

    Told directions they have to agree to the last bit.
    """
    models = OnnxModel(path), OnnxModel(other)
    streams = [model.stream(2) for model in models]
    generator = np.random.default_rng(0)
    bins = models[0].spec.bins or 1
    conditions = {"direction": np.array([[[-20.0, 20.0], [30.0, 10.0]]] * 3, np.float32)}
    if alone:
        timbres = generator.standard_normal((1, 2, models[0].spec.conditions["timbre"]))
        timbres /= np.linalg.norm(timbres, axis=-1, keepdims=True)
        conditions["direction"][..., 1] = WIDTH_DEG[1]
        conditions["timbre"] = np.tile(timbres.astype(np.float32), (3, 1, 1))
    for _ in range(steps):
        spectrum = 0.1 * generator.standard_normal((3, 2, bins, 2)).astype(np.float32)
        found, wanted = (s.step(spectrum, conditions)["masks"] for s in streams)
        if wanted.shape[2] == 1:  # of the mixture: the filter (m, 0, 0, m)
            wanted = wanted * np.array([1, 0, 0, 1], np.float32)[:, None]
        if np.abs(found - wanted).max() > TOLERANCE * alone:
            raise ExportError(f"{path} differs from {other}: nothing was written")


@torch.no_grad()
def _tells_activity(
    network: nn.Module, example: Mapping[str, Tensor], states: Mapping[str, tuple[int, ...]]
) -> bool:
    given = network(*example.values())
    return not isinstance(given, Tensor) and len(given) == 2 + len(states)


def _targets(spec: ModelSpec) -> int:
    return len(spec.targets) or 2


def _example(
    spec: ModelSpec, states: Mapping[str, tuple[int, ...]], frames: int
) -> dict[str, Tensor]:
    """Return inputs of the right shapes in the order of the graph; directions are directions."""
    bins = spec.bins or min(t.bins for t in spec.tiers.values())
    targets = _targets(spec)
    example = {"spectrum": torch.randn(frames, 2, bins, 2)}
    for name, size in spec.conditions.items():
        example[name] = torch.nn.functional.normalize(torch.randn(frames, targets, size), dim=-1)
    if "direction" in spec.conditions:
        azimuth = torch.linspace(-30, 30, targets).expand(frames, targets)
        example["direction"] = torch.stack([azimuth, torch.full_like(azimuth, 20.0)], -1)
    for name, shape in states.items():
        example[f"state_{name}"] = torch.zeros(targets, *shape)
    return example
