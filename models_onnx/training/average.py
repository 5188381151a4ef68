"""Average the weights of a run by timbre and of what it began with.

``python -m models_onnx average RUN steer.onnx --out DIR`` writes a checkpoint to be exported, or to
begin a training with. Where both lie in one valley of the loss, as a network and what was trained
on from it do, the mean often holds better than either for sounds that neither was trained on
(Wortsman et al., "Model soups", ICML 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from models_onnx.networks import checkpoints, registry
from models_onnx.networks.timbre import TimbreSpace
from models_onnx.training.train_timbre import begin
from realtime.errors import StemsteerError

RECURRENT = "unet.recurrent."


def averaged(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Return (1 − share) of the weights of `one`, and `share` of those of `other`.

    What counts something is of `one`. If the other has no GRU, so that its last layer gives
    nothing, the layers before that keep the weights of `one`: theirs would be as drawn.
    """
    leave = other.get(RECURRENT + "leave.weight")
    kept = () if leave is None or leave.any() else ("enter.", "gru.")
    return {
        name: weight
        if not weight.is_floating_point() or name.startswith(tuple(RECURRENT + k for k in kept))
        else torch.lerp(weight, other[name], share)
        for name, weight in one.items()
    }


def main(
    run: Annotated[Path, typer.Argument(help="folder of a run of train-timbre")],
    other: Annotated[Path, typer.Argument(help="another such run, or an exported separator")],
    out: Annotated[Path, typer.Option(help="folder for the checkpoint")],
    share: Annotated[float, typer.Option(min=0, max=1, help="of the other")] = 0.5,
) -> None:
    """Write a checkpoint with the mean of the weights of two."""
    if (out / checkpoints.FILE).exists():
        raise StemsteerError(f"{out / checkpoints.FILE} is there already: give another --out")
    network, _, found = registry.restore(run)
    if not isinstance(network, TimbreSpace):
        raise StemsteerError(f"{run} holds no separator by timbre")
    second, _, _ = registry.build(found["about"]["network"], found["about"]["config"])
    assert isinstance(second, TimbreSpace)
    data = [*found["data"], f"and {share:g} of the weights of {other.name}"]
    if other.suffix == ".onnx":
        second.load_state_dict(network.heard(), strict=False)  # that of the file is beside it
        begin(second, other)
    else:
        theirs = checkpoints.load(other)
        registry.fill(second, theirs["average"], other)
        data += theirs["data"]
    weights = averaged(network.state_dict(), second.state_dict(), share)
    made = {**found, "network": weights, "average": weights, "data": data}
    made.pop("optimizer", None)
    checkpoints.save(out, made)
