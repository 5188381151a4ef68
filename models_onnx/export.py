"""Write a network as an ONNX file that carries its spec, or refuse to.

``python -m models_onnx export panorama`` writes the model without learning,
``python -m models_onnx export steer --checkpoint DIR`` a trained one from its checkpoint.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import torch
import typer
from torch import Tensor, nn

from models_onnx import commands
from models_onnx.data.classes import CLASSES
from models_onnx.networks.branches import branched
from models_onnx.networks.encoders.listen import CLIP, CLIP_BINS, RATE_HZ, Listen
from models_onnx.networks.panorama import SPEC as PANORAMA
from models_onnx.networks.panorama import Panorama
from models_onnx.networks.registry import HALF, NETWORKS, restore
from models_onnx.networks.timbre import TimbreSteer
from realtime.encoder import ENCODER_KEY, FOLDER, EncoderSpec, OnnxEncoder
from realtime.errors import StemsteerError
from realtime.model import WEIGHTS, OnnxModel
from realtime.spec import METADATA_KEY, ModelSpec, Tier
from realtime.stft import windows

OPSET = 17
STEPS = 200
TOLERANCE, ENCODER_TOLERANCE = 1e-4, 1e-3
DECIMALS = 6  # of the timbres of the classes
LISTEN = "listen"
LARGE = 1024
"""Weights of so many numbers or more are stored in float16."""


class OneStream(nn.Module):
    """A network without its batch axis and with its tensors in a row, as ONNX has them."""

    def __init__(self, network: nn.Module, conditions: Sequence[str]) -> None:
        super().__init__()
        self.network, self.conditions = network, list(conditions)

    def forward(self, spectrum: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """spectrum, conditions and states to masks and next states, as `ModelSpec` has them.

        Every target is a stream of its own.
        """
        count = len(self.conditions)
        values = [value.transpose(0, 1)[:, :, None] for value in others[:count]]
        streams = spectrum[None].expand(values[0].shape[0], -1, -1, -1, -1)
        conditions = dict(zip(self.conditions, values, strict=True))
        answer = self.network(streams, conditions, others[count:])
        logit = answer.activity_logit
        activity = () if logit is None else (torch.sigmoid(logit[:, :, 0]).transpose(0, 1),)
        return answer.masks[:, :, 0].transpose(0, 1), *activity, *answer.states


class ExportError(StemsteerError):
    """The exported file does not do what the network does."""


def export(
    network: nn.Module,
    spec: ModelSpec,
    path: str | os.PathLike[str],
    *,
    states: Mapping[str, tuple[int, ...]] | None = None,
    by_direction: Path | None = None,
) -> Path:
    """Export `network` to `path`; the file appears only when it agrees with the network.

    Parameters
    ----------
    network : called as ``network(spectrum, *conditions, *states)`` with the tensors of `ModelSpec`;
        it gives the masks, then the activity if it has one, then the next states.
    states : shape of each state without its leading axis, the targets.
    by_direction : file of a model that answers instead where no timbre is asked for.

    Raises
    ------
    ExportError if masks or states differ by more than 1e-4 over 200 steps fed back.
    """
    states = dict(states or {})
    path = Path(path)
    part = path.with_suffix(".onnx.part")
    network = rounded(network).eval()
    inputs = ["spectrum", *spec.conditions, *(f"state_{name}" for name in states)]
    example = _example(spec, states, frames=3)
    activity = _tells_activity(network, example, states)
    outputs = ["masks", *(["activity"] if activity else []), *(f"next_{name}" for name in states)]
    axes = {"spectrum": {0: "frames"}, "masks": {0: "frames"}, "activity": {0: "frames"}}
    axes |= {name: {0: "frames"} for name in spec.conditions}
    if not spec.targets:
        for name in ["masks", "activity", *spec.conditions]:
            axes.setdefault(name, {})[1] = "targets"
        for name in states:
            axes[f"state_{name}"] = axes[f"next_{name}"] = {0: "targets"}
    if spec.bins is None:
        axes["spectrum"][2] = axes["masks"][3] = "bins"
    try:
        with torch.no_grad():
            torch.onnx.export(
                network,
                tuple(example.values()),
                str(part),
                input_names=inputs,
                output_names=outputs,
                dynamic_axes={k: v for k, v in axes.items() if k in inputs + outputs},
                opset_version=OPSET,
                do_constant_folding=False,  # weights keep their names: see `networks.weights_of`
                dynamo=False,
            )
        model = onnx.load(part)
        halve(model.graph)
        if by_direction is not None:
            model = branched(model, onnx.load(by_direction))
        onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
        onnx.checker.check_model(model)
        onnx.save(model, part)
        check_agreement(network, part, states=states, activity=activity)
        if by_direction is not None:
            check_alike(part, by_direction)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def encoder_spec(encoder: Listen, licence: str) -> EncoderSpec:
    """Describe an encoder; its identity is the hash of its weights, as they are stored."""
    digest = hashlib.sha256()
    for name, weight in rounded(encoder).state_dict().items():
        digest.update(name.encode() + weight.numpy().tobytes())
    return EncoderSpec(
        f"{LISTEN}-{digest.hexdigest()[:8]}",
        encoder.config.size,
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
    """The spec of a separator with its encoder and the timbres of its classes."""
    rows = vectors.detach().double().tolist()
    classes = {
        name: [round(x, DECIMALS) for x in row] for name, row in zip(names, rows, strict=True)
    }
    return replace(spec, encoder=encoder.encoder, classes=classes)


def gains_by_name(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Average what was gained by name of every class, dB, of the rows of an evaluation."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["system"] == "name" and not row["absent"]:
            found.setdefault(row["instrument"], []).append(row["gain_db"])
    return {name: round(sum(gains) / len(gains), 2) for name, gains in found.items()}


def export_encoder(encoder: Listen, spec: EncoderSpec, path: Path, *, force: bool = False) -> Path:
    """Export an encoder; the file appears only when it hears what the encoder does.

    One that is there already and of the same identity is left alone.

    Raises
    ------
    ExportError if a vector differs by more than 1e-3; StemsteerError if another encoder is there,
    unless it is to be replaced.
    """
    if path.exists() and OnnxEncoder(path).spec == spec:
        return path
    commands.claim(path, force=force)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".onnx.part")
    stream = _OneClip(rounded(encoder).eval())
    try:
        with torch.no_grad():
            torch.onnx.export(
                stream,
                (torch.randn(40, 2, spec.bins, 2),),
                str(part),
                input_names=["spectrum"],
                output_names=["timbre"],
                dynamic_axes={"spectrum": {0: "frames"}},
                opset_version=OPSET,
                do_constant_folding=False,
                dynamo=False,
            )
        model = onnx.load(part)
        halve(model.graph)
        onnx.helper.set_model_props(model, {ENCODER_KEY: spec.to_json()})
        onnx.checker.check_model(model)
        onnx.save(model, part)
        _check_encoder(stream, part, spec)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


class _OneClip(nn.Module):
    """An encoder without its batch axis."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, spectrum: Tensor) -> Tensor:
        timbre: Tensor = self.encoder(spectrum[None])[0]
        return timbre


def _check_encoder(stream: nn.Module, path: Path, spec: EncoderSpec) -> None:
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
        if not worst <= ENCODER_TOLERANCE:
            raise ExportError(f"{path} differs from the encoder by {worst:.2e}: nothing written")


def rounded(network: nn.Module) -> nn.Module:
    """A copy whose larger weights are what float16 holds of them."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for weight in (*network.parameters(), *network.buffers()):
            if weight.numel() >= LARGE and weight.is_floating_point():
                weight.copy_(weight.half())
    return network


def halve(graph: onnx.GraphProto) -> None:
    """Store large weights in float16; ONNX Runtime casts them once, when it loads the file."""
    casts = []
    for weight in graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < LARGE:
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), name + HALF))
        casts.append(
            onnx.helper.make_node("Cast", [name + HALF], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def check_agreement(
    network: nn.Module,
    path: Path,
    *,
    states: Mapping[str, tuple[int, ...]],
    activity: bool = False,
    steps: int = STEPS,
    tolerance: float = TOLERANCE,
) -> float:
    """Feed both their own states back over `steps`; give the largest difference of the masks.

    Raises ExportError if it is above `tolerance`.
    """
    model = OnnxModel(path)
    spec = model.spec
    example = _example(spec, states, frames=1)
    stream = model.stream(_targets(spec))
    carried = [example[f"state_{name}"] for name in states]
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for _ in range(steps):
        example["spectrum"] = 0.1 * torch.randn(example["spectrum"].shape, generator=generator)
        conditions = {name: example[name] for name in spec.conditions}
        with torch.no_grad():
            result = network(example["spectrum"], *conditions.values(), *carried)
        result = [result] if isinstance(result, Tensor) else list(result)
        carried = result[1 + activity :]
        found = stream.step(
            example["spectrum"].numpy(), {k: v.numpy() for k, v in conditions.items()}
        )
        worst = max(worst, float(np.abs(found["masks"] - result[0].numpy()).max()))
        if activity:
            worst = max(worst, float(np.abs(found["activity"] - result[1].numpy()).max()))
    if not worst <= tolerance:
        raise ExportError(
            f"{path} differs from the network by {worst:.2e} after {steps} steps, "
            f"expected at most {tolerance:.0e}: nothing was written"
        )
    return worst


def check_alike(path: Path, by_direction: Path, steps: int = 20) -> None:
    """Raise ExportError if two models told the same directions alone do not do the same."""
    models = OnnxModel(path), OnnxModel(by_direction)
    streams = [model.stream(2) for model in models]
    generator = np.random.default_rng(0)
    bins = models[0].spec.bins or 1
    for _ in range(steps):
        spectrum = 0.1 * generator.standard_normal((3, 2, bins, 2)).astype(np.float32)
        direction = np.array([[[-20.0, 20.0], [30.0, 10.0]]] * 3, np.float32)
        masks = [s.step(spectrum, {"direction": direction})["masks"] for s in streams]
        if not np.array_equal(masks[0], masks[1]):
            raise ExportError(f"{path} differs from {by_direction}: nothing was written")


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
    """Inputs of the right shapes, in the order of the graph; directions that are directions."""
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


def main(
    model: Annotated[str, typer.Argument(help=f"panorama, {', '.join(NETWORKS)}")],
    checkpoint: Annotated[
        Path | None, typer.Option(help="folder or file of a training run")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="file to write; default: in the folder of shipped models")
    ] = None,
    by_direction: Annotated[
        Path | None,
        typer.Option(help="file whose network answers where no timbre is asked for"),
    ] = None,
    measured: Annotated[
        Path | None, typer.Option(help="what evaluate-timbre --out wrote: the spec says the gains")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Write a model as an ONNX file that carries its spec."""
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
    network, spec, found = restore(checkpoint)
    if found["about"]["network"] != model:
        raise StemsteerError(f"{checkpoint} holds {found['about']['network']}, not {model}")
    out = out or WEIGHTS / f"{model}-{next(iter(spec.tiers))}.onnx"
    commands.claim(out, force=force)
    if isinstance(network, TimbreSteer):
        encoder = encoder_spec(network.listen, spec.licence)
        export_encoder(network.listen, encoder, out.parent / FOLDER / f"{LISTEN}.onnx", force=force)
        spec = with_classes(spec, encoder, network.names(), CLASSES)
        if measured is not None:
            gains = gains_by_name(json.loads(measured.read_text()))
            spec = replace(spec, gains_db=dict.fromkeys(spec.tiers, gains))
        network = network.steer
    stream = network.streaming() if spec.targets else OneStream(network, list(spec.conditions))
    print(export(stream, spec, out, states=network.states(), by_direction=by_direction))
