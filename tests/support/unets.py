"""Small U-Nets of systems 2 to 5 with random weights, as files."""

from __future__ import annotations

from pathlib import Path

import torch

from models_onnx.export import OneStream, export
from models_onnx.export.unets import unet_stream
from models_onnx.networks.unet.config import CONFIGS
from models_onnx.networks.unet.system import UNetSystem, spec, system_of


def tiny_system(name: str) -> UNetSystem:
    """Return a tiny U-Net with weights, and norms that have seen something."""
    torch.manual_seed(0)
    system = UNetSystem(system_of(CONFIGS[f"tiny-{name}"]))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in system.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
        for key, buffer in system.named_buffers():
            if "running" in key:
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
        system.means.copy_(torch.randn(system.means.shape, generator=generator))
        if system.unet.sounds is not None:
            system.unet.sounds.bias += 1.0  # it sounds now and then
    return system.eval()


def unet_file(folder: Path, name: str, gate: str = "none") -> Path:
    """Write a tiny U-Net, and its encoder beside it; return its file, called as its system is."""
    folder.mkdir(parents=True, exist_ok=True)
    system = tiny_system(name)
    made, stream = unet_stream(system, spec(system.config), folder / "encoders", gate=gate)
    return export(
        OneStream(stream, list(made.conditions)), made, folder / f"{made.name}.onnx",
        states=stream.states(), steps=8,
    )  # fmt: skip
