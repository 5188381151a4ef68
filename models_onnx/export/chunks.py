"""Published networks as ONNX files that run over stretches of a stream.

No command exports them, since none is trained; tests hold by it that they would run live.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch

from models_onnx.export.onnx_files import ExportError, Graph, rounded, write_onnx
from models_onnx.networks.unet.chunks import FRAMES, Chunk
from models_onnx.networks.unet.published import PublishedIass, PublishedUNet
from realtime.model import OnnxModel
from realtime.spec import METADATA_KEY, ModelSpec

TOLERANCE = 1e-4


def export_chunk(network: PublishedUNet | PublishedIass, spec: ModelSpec, path: Path) -> Path:
    """Write a published network; the file appears only when it does what the network does.

    Raises
    ------
    ExportError : a mask differs by more than 1e-4.
    """
    chunk = Chunk(cast(PublishedUNet | PublishedIass, rounded(network))).eval()
    example = _example(spec, FRAMES, targets=2)
    axes = {"spectrum": {0: "frames"}, "masks": {0: "frames"}}
    if not spec.targets:
        axes["masks"][1] = "targets"
        axes |= {name: {0: "targets"} for name in spec.inputs}

    def check(part: Path) -> None:
        model = OnnxModel(part)
        for frames, targets in ((FRAMES, 1), (2 * FRAMES, 3)):
            given = _example(spec, frames, targets)
            with torch.no_grad():
                expected = chunk(*given.values()).numpy()
            arrays = {name: tensor.numpy() for name, tensor in given.items()}
            found = model.run(arrays.pop("spectrum"), frames, arrays)
            worst = float(np.abs(found - expected).max())
            if not worst <= TOLERANCE:
                raise ExportError(
                    f"the exported {spec.name} differs from the network by {worst:.2e}, expected "
                    f"at most {TOLERANCE:.0e}: nothing was written"
                )

    graph = Graph(chunk, example, ["masks"], axes)
    return write_onnx(graph, {METADATA_KEY: spec.to_json()}, path, check)


def _example(spec: ModelSpec, frames: int, targets: int) -> dict[str, torch.Tensor]:
    assert spec.bins is not None
    generator = torch.Generator().manual_seed(frames)
    example = {"spectrum": 1e-3 * torch.randn(frames, 2, spec.bins, 2, generator=generator)}
    for name, size in spec.inputs.items():
        drawn = torch.rand(targets, size, generator=generator)
        example[name] = torch.nn.functional.normalize(drawn, dim=-1)
    return example
