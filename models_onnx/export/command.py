"""The command that exports: ``python -m models_onnx export steer --checkpoint DIR``.

``python -m models_onnx export panorama`` writes the model without learning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from torch import nn

from models_onnx import commands
from models_onnx.data.classes import CLASSES
from models_onnx.export.encoders import encoder_spec, export_encoder, with_classes
from models_onnx.export.renewed import renew
from models_onnx.export.separators import (
    export,
    specs_beside,
    with_directions_alone,
    with_timbres_alone,
)
from models_onnx.export.streams import stream_of
from models_onnx.export.timbre_unets import export_timbre_unet
from models_onnx.export.unets import unet_stream
from models_onnx.networks.encoders.listen import LISTEN
from models_onnx.networks.panorama import SPEC as PANORAMA
from models_onnx.networks.panorama import Panorama
from models_onnx.networks.registry import NETWORKS, restore
from models_onnx.networks.timbre import TimbreSpace
from models_onnx.networks.timbre_unet import TimbreUNet
from models_onnx.networks.unet.stream import GATES
from models_onnx.networks.unet.system import LICENCE, UNetSystem
from realtime.encoder import FOLDER
from realtime.errors import StemsteerError
from realtime.model import WEIGHTS
from realtime.spec import ModelSpec

OWN_NAMES = ("unet", "timbre-unet", "timbre-live", "timbre-bands")
"""Networks whose file is called by the name in the spec; that of others by the network's."""


def main(
    model: Annotated[str, typer.Argument(help=f"panorama, {', '.join(NETWORKS)}")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="folder or file of a training run; or an exported steer, whose graph is made anew"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="file to write; default: in the folder of shipped models")
    ] = None,
    by_direction: Annotated[
        Path | None,
        typer.Option(help="file whose network answers where no timbre is asked for"),
    ] = None,
    by_timbre: Annotated[
        Path | None,
        typer.Option(help="file whose network answers where a timbre alone is asked for"),
    ] = None,
    eight_bits: Annotated[
        bool, typer.Option("--eight-bits", help="store the large matrices of a network in int8")
    ] = False,
    gate: Annotated[
        str, typer.Option(help=f"weight of a U-Net's activity on its mask: {', '.join(GATES)}")
    ] = "none",
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Write a model as an ONNX file that carries its spec."""
    if out is not None and out.suffix != ".onnx":
        raise StemsteerError(f"--out {out}: expected a name in .onnx, by which models are found")
    if model == "panorama":
        if checkpoint is not None:
            raise StemsteerError("panorama is not trained: leave out --checkpoint")
        out = out or WEIGHTS / "panorama.onnx"
        commands.claim(out, force=force)
        print(export(Panorama(), PANORAMA, out))
        return
    if model not in NETWORKS:
        raise StemsteerError(f"no network {model!r}; there are: panorama, {', '.join(NETWORKS)}")
    if checkpoint is None:
        raise StemsteerError(f"{model} is trained: give the folder of a run as --checkpoint")
    if model == "steer" and checkpoint.suffix == ".onnx":
        out = out or WEIGHTS / checkpoint.name
        commands.claim(out, force=force)
        print(renew(checkpoint, out, by_direction, by_timbre))
        return
    network, spec, found = restore(checkpoint)
    if found["about"]["network"] != model:
        raise StemsteerError(f"{checkpoint} holds {found['about']['network']}, not {model}")
    _check_gate(gate, network, spec.name)
    plain, alone = specs_beside(by_direction, by_timbre)
    stem = spec.name if model in OWN_NAMES else f"{model}-{spec.trained_tier}"
    out = out or WEIGHTS / f"{stem}.onnx"
    commands.claim(out, force=force)
    encoders = out.parent / FOLDER
    if isinstance(network, TimbreSpace):
        spec = _with_encoder(network, spec, encoders, force=force)
    if plain is not None:
        spec = with_directions_alone(spec, plain)
    if alone is not None:
        spec = with_timbres_alone(spec, alone)
    if isinstance(network, TimbreUNet):
        print(export_timbre_unet(network, spec, out))
        return
    if isinstance(network, UNetSystem):
        spec, network = unet_stream(network, spec, encoders, gate=gate, force=force)
    stream, states = stream_of(network, list(spec.conditions))
    print(
        export(
            stream,
            spec,
            out,
            states=states,
            by_direction=by_direction,
            by_timbre=by_timbre,
            eight_bits=eight_bits,
        )
    )


def _check_gate(gate: str, network: nn.Module, name: str) -> None:
    """Raise StemsteerError if there is no such gate, or the network tells no activity for one."""
    if gate not in GATES:
        raise StemsteerError(f"--gate {gate}: expected one of {', '.join(GATES)}")
    told = isinstance(network, UNetSystem) and network.unet.sounds is not None
    if gate != "none" and not told:
        raise StemsteerError(
            f"--gate {gate}: {name} tells no activity that could weigh on its mask: leave it out"
        )


def _with_encoder(network: TimbreSpace, spec: ModelSpec, folder: Path, *, force: bool) -> ModelSpec:
    """Export the encoder of a network into a folder; return the spec that names it."""
    # the licence of the encoder is that of the network that it was trained with
    encoder = encoder_spec(network.listen, network.names().shape[-1], LICENCE)
    export_encoder(network.listen, encoder, folder / f"{LISTEN}.onnx", force=force)
    return with_classes(spec, encoder, network.names(), CLASSES)
