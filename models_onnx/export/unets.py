"""U-Nets as they are shipped: the stream, its spec, and the encoder beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from models_onnx.export.encoders import encoder_spec, export_encoder, rounded_rows
from models_onnx.networks.unet.stream import Stream
from models_onnx.networks.unet.system import UNetSystem
from realtime.spec import ModelSpec


def unet_stream(
    system: UNetSystem, spec: ModelSpec, folder: Path, *, gate: str = "none", force: bool = False
) -> tuple[ModelSpec, Stream]:
    """Give the spec and the stream of a U-Net; its encoder is exported into `folder`.

    Parameters
    ----------
    gate : how its activity weighs on its mask; see `Stream`.
    """
    stream = Stream(system, gate)
    names = ["offline"] if gate == "median" else list(spec.tiers)
    classes = rounded_rows(system.names())
    spec = replace(spec, tiers=dict.fromkeys(names, stream.tier()), classes=classes)
    if system.encoder is not None:
        encoder = encoder_spec(system.encoder, system.size, spec.licence, spec.name)
        export_encoder(system.encoder, encoder, folder / f"{spec.name}.onnx", force=force)
        spec = replace(spec, encoder=encoder.encoder)
    return spec, stream
