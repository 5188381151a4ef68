"""Encoders of timbres as ONNX files, and what a separator says of the one it was trained with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models_onnx import commands
from models_onnx.export.onnx_files import ExportError, Graph, rounded, write_onnx
from models_onnx.networks.encoders.listen import CLIP, CLIP_BINS, LISTEN, RATE_HZ
from realtime.encoder import ENCODER_KEY, EncoderSpec, OnnxEncoder
from realtime.spec import ModelSpec, Tier
from realtime.stft import windows

TOLERANCE = 1e-3
DECIMALS = 6  # of the timbres of the classes


def encoder_spec(encoder: nn.Module, size: int, licence: str, name: str = LISTEN) -> EncoderSpec:
    """Describe an encoder; its identity is the hash of its weights, as they are stored."""
    digest = hashlib.sha256()
    for key, weight in rounded(encoder).state_dict().items():
        digest.update(key.encode() + weight.numpy().tobytes())
    return EncoderSpec(
        f"{name}-{digest.hexdigest()[:8]}",
        size,
        RATE_HZ,
        CLIP.window,
        CLIP.hop,
        CLIP_BINS,
        "timbre of a clip, trained with the separator",
        licence,
    )


def with_classes(
    spec: ModelSpec, encoder: EncoderSpec, vectors: Tensor, names: Sequence[str]
) -> ModelSpec:
    """Return the spec of a separator with its encoder and the timbres of its classes."""
    rows = dict(zip(names, vectors.detach().double().tolist(), strict=True))
    return replace(spec, encoder=encoder.encoder, classes=rounded_rows(rows))


def rounded_rows(rows: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Round the timbres of classes to what a spec says of them."""
    return {name: [round(x, DECIMALS) for x in row] for name, row in rows.items()}


def export_encoder(
    encoder: nn.Module, spec: EncoderSpec, path: Path, *, force: bool = False
) -> Path:
    """Export an encoder; the file appears only when it hears what the encoder does.

    One that is there already and of the same identity is left alone.

    Raises
    ------
    ExportError : a vector differs by more than 1e-3.
    StemsteerError : another encoder is there, and `force` does not say that it may be replaced.
    """
    if path.exists() and OnnxEncoder(path).spec == spec:
        return path
    commands.claim(path, force=force)
    stream = _OneClip(rounded(encoder)).eval()
    inputs = {"spectrum": torch.randn(40, 2, spec.bins, 2)}
    graph = Graph(stream, inputs, ["timbre"], {"spectrum": {0: "frames"}})
    return write_onnx(graph, {ENCODER_KEY: spec.to_json()}, path, partial(_check, stream, spec))


class _OneClip(nn.Module):
    """An encoder without its batch axis."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, spectrum: Tensor) -> Tensor:
        timbre: Tensor = self.encoder(spectrum[None])[0]
        return timbre


def _check(stream: nn.Module, spec: EncoderSpec, path: Path) -> None:
    """Raise ExportError if the file gives other vectors, of clips short and long."""
    encoder, generator = OnnxEncoder(path), np.random.default_rng(0)
    window = torch.from_numpy(windows(Tier(spec.window, spec.window, spec.hop))[0])
    for seconds in (0.5, 3.0):
        white = generator.standard_normal((2, int(seconds * spec.sample_rate)))
        clip = (1e-3 * np.cumsum(white, 1)).astype(np.float32)  # more low than high
        frames = torch.from_numpy(clip).unfold(-1, spec.window, spec.hop) * window
        spectra = torch.view_as_real(torch.fft.rfft(frames).transpose(0, 1)[..., : spec.bins])
        with torch.no_grad():
            expected = stream(spectra.contiguous()).numpy()
        worst = float(np.abs(encoder.encode(clip) - expected).max())
        if not worst <= TOLERANCE:
            raise ExportError(
                f"the exported {spec.encoder} differs from the encoder by {worst:.2e}, expected at "
                f"most {TOLERANCE:.0e}: nothing was written"
            )
