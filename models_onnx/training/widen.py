"""Begin a larger `steer` from weights of the live one: longer windows, or a wider core.

``python -m models_onnx widen steer.onnx --config studio --out DIR`` writes a checkpoint for
``python -m models_onnx train steer --config studio --init DIR``; with ``--network timbre``, from a
checkpoint of ``train-timbre``, one for that command. In longer windows every cell becomes two, and
what was learned for a cell holds for both halves of it: weights that read cells are halved and
stand twice, weights that write them stand twice. More numbers a band begin as they are drawn. Of a
wider core (``--network timbre --config wide``) see `widen_core`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from models_onnx.networks import checkpoints, registry
from models_onnx.networks.steer.features import FEATURES
from models_onnx.networks.steer.network import OUTPUTS, Steer
from models_onnx.networks.timbre import TimbreSteer
from realtime.errors import StemsteerError

LIVE = {"steer": "small", "timbre": "live"}
"""Configuration of each network that is widened."""


def widen(network: Steer, narrow: Mapping[str, Tensor]) -> None:
    """Give `network` the weights `narrow` of one with cells twice as wide.

    Raises ValueError if its cells are not half as wide as those, or it has fewer numbers a band.
    """
    cells, wide = narrow["encode.weight"].shape[1] // FEATURES, network.per_band
    inner = narrow["decode.weight"].shape[1]
    if wide != 2 * cells or network.config.inner < inner:
        raise ValueError(
            f"{wide} cells and {network.config.inner} numbers a band, expected twice {cells} and "
            f"at least {inner}"
        )
    own = FEATURES * cells

    def reading(weight: Tensor) -> Tensor:  # (bands, FEATURES · cells, outputs)
        return (weight.unflatten(1, (-1, 1)).expand(-1, -1, 2, -1) / 2).flatten(1, 2)

    def writing(weight: Tensor) -> Tensor:  # (bands, inputs, OUTPUTS · cells)
        return weight.unflatten(2, (-1, 1)).expand(-1, -1, -1, 2).flatten(2)

    assert narrow["decode.bias"].shape[2] == OUTPUTS * cells
    hidden = narrow["hidden.weight"]
    with torch.no_grad():
        for name, weight in network.state_dict().items():
            if name == "encode.weight":
                weight.copy_(reading(narrow[name]))
            elif name == "hidden.weight":
                weight[:, :, :inner] = torch.cat([reading(hidden[:, :own]), hidden[:, own:]], 1)
            elif name == "hidden.bias":
                weight[:, :, :inner] = narrow[name]
            elif name == "decode.weight":
                weight[:, :inner] = writing(narrow[name])
            elif name == "decode.bias":
                weight.copy_(writing(narrow[name]))
            elif name == "film.inner":  # (bands, code, scales and shifts of the hidden numbers)
                for part, learned in zip(
                    weight.chunk(2, -1), narrow[name].chunk(2, -1), strict=True
                ):
                    part[..., :inner] = learned
            else:
                weight.copy_(narrow[name])


def widen_core(network: Steer, narrow: Mapping[str, Tensor]) -> None:
    """Give `network` the weights `narrow` of one that differs by a narrower core alone.

    New numbers of the core see what old ones see, by weights of an old number in another order, so
    that layer norms find the same deviation; nothing that was there reads them at first (after Chen
    et al., "Net2Net: accelerating learning via knowledge transfer", 2016). So the network does
    nearly what it did.

    Raises ValueError if other sizes differ, or the core is not wider.
    """
    core, old = network.config.core, narrow["active.weight"].shape[1]
    if core <= old:
        raise ValueError(f"a core of {core} numbers, expected more than {old}")
    with torch.no_grad():
        for name, weight in network.state_dict().items():
            learned = narrow[name]
            for axis in (1, 0):  # inputs before outputs
                learned = _wider(learned, axis, old, core) if _of_core(name, axis) else learned
            if learned.shape != weight.shape:
                raise ValueError(
                    f"{name} is {tuple(weight.shape)}, expected {tuple(learned.shape)}"
                )
            weight.copy_(learned)


READS = ("layers.", "leave.", "active.", "film.gate.")
"""Weights whose inputs are the numbers of the core."""
WRITES = ("enter.", "opening.", "doubt.", "layers.", "norms.", "film.core.", "film.late")
"""Weights whose outputs are."""


def _of_core(name: str, axis: int) -> bool:
    reads = axis == 1 and name.startswith(READS) and name.split(".")[-1].startswith("weight")
    return reads or (axis == 0 and name.startswith(WRITES))


def _wider(weight: Tensor, axis: int, old: int, core: int) -> Tensor:
    """Give an axis of `old` numbers, or of several times so many, `core` numbers each time."""
    parts = weight.unflatten(axis, (-1, old)).unbind(axis)
    return torch.cat([_one_wider(part, axis, core - old) for part in parts], axis)


def _one_wider(part: Tensor, axis: int, more: int) -> Tensor:
    if axis == 1:
        return torch.cat([part, part.new_zeros(len(part), more)], 1)
    new = part[torch.arange(more) % len(part)]
    if part.dim() > 1:
        order = torch.rand(new.shape).argsort(1)
        new = new.gather(1, order)
    return torch.cat([part, new])


def main(
    init: Annotated[Path, typer.Argument(help="checkpoint or exported file of the live network")],
    out: Annotated[Path, typer.Option(help="folder for the checkpoint")],
    config: Annotated[str, typer.Option(help="of the network with long windows")] = "studio",
    kind: Annotated[str, typer.Option("--network", help="steer or timbre")] = "steer",
    seed: Annotated[int, typer.Option(help="of what begins as drawn")] = 0,
) -> None:
    """Write a checkpoint to begin a training with."""
    if (out / checkpoints.FILE).exists():
        raise StemsteerError(f"{out / checkpoints.FILE} is there already: give another --out")
    if kind not in LIVE:
        raise StemsteerError(f"--network {kind}: expected one that is widened, {', '.join(LIVE)}")
    torch.manual_seed(seed)
    live, _, _ = registry.build(kind, LIVE[kind])
    registry.load_weights(live, init)
    network, spec, about = registry.build(kind, config)
    try:
        if isinstance(network, TimbreSteer) and isinstance(live, TimbreSteer):
            network.load_state_dict(live.heard(), strict=False)
            same_cells = network.steer.per_band == live.steer.per_band
            (widen_core if same_cells else widen)(network.steer, live.steer.state_dict())
        elif isinstance(network, Steer):
            widen(network, live.state_dict())
        else:
            raise ValueError(f"{kind} has no cells")
    except ValueError as error:
        raise StemsteerError(f"{config!r} is not a configuration to widen to: {error}") from error
    weights = network.state_dict()
    checkpoints.save(
        out,
        {
            "step": 0, "elapsed_s": 0.0, "network": weights, "average": weights, "about": about,
            "data": [], "tier": spec.trained_tier, "spec": spec.to_json(),
            "commit": checkpoints.commit(),
        },
    )  # fmt: skip
