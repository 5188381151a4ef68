"""An exported `steer` anew: the same weights in the graph that this version makes of them."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from models_onnx.export.onnx_files import ExportError
from models_onnx.export.separators import (
    OneMixture,
    OneStream,
    answered_twice,
    export,
    with_directions_alone,
    with_timbres_alone,
)
from models_onnx.networks import timbre, timbre_live
from models_onnx.networks.branches import branch
from models_onnx.networks.checkpoints import CheckpointError
from models_onnx.networks.registry import EIGHT_BITS, exported, load_weights
from models_onnx.networks.steer.network import CONFIGS, Steer
from models_onnx.networks.steer.network import spec as steer_spec
from models_onnx.networks.timbre_live import TimbreLive, TimbreLiveStream
from realtime.atomic import atomic_write
from realtime.conditions import WIDTH_DEG
from realtime.model import OnnxModel
from realtime.spec import ModelSpec

STEPS, FRAMES = 100, 3
TOLERANCE = 1e-4


def renew(
    path: Path, out: Path, by_direction: Path | None = None, by_timbre: Path | None = None
) -> Path:
    """Export the weights in `path` to `out`, with the spec that `path` carries.

    Parameters
    ----------
    by_direction, by_timbre : files of networks that answer directions alone, and timbres alone,
        from now on; None: as before.

    Raises
    ------
    CheckpointError : it does not hold the weights of a `steer` of this version.
    ExportError : the new file does not give the same masks; or it has no network of directions
        alone, or of timbres alone, whose place another could take.
    """
    spec = OnnxModel(path).spec
    with tempfile.TemporaryDirectory(prefix="stemsteer-") as folder:
        plain, alone, model = by_direction, by_timbre, onnx.load(path)
        told = branch(model, "told")
        if told is None and by_direction is not None:
            raise ExportError(f"{path} has one network for all directions: none can take its place")
        if told is not None and by_direction is None:
            network = _network(path, spec, by_timbre=False)
            stream = OneMixture(network, ["direction"])
            plain = export(
                stream,
                steer_spec(network.config),
                Path(folder) / "plain.onnx",
                states=network.states(),
            )
        if by_direction is not None:
            spec = with_directions_alone(spec, OnnxModel(by_direction).spec)
        if by_timbre is not None:
            if branch(model, "alone") is None:
                raise ExportError(f"{path} has no network of timbres alone to be replaced")
            own = OnnxModel(by_timbre).spec
            if own.classes != spec.classes:
                raise ExportError(f"{by_timbre} is told other timbres than {path}")
            spec = with_timbres_alone(spec, own)
        elif branch(model, "alone") is not None:
            alone = _alone(path, spec, Path(folder) / "alone.onnx")
            turns = OnnxModel(alone).spec.alone_turns
            spec = answered_twice(replace(spec, alone_turns=turns))
        network = _network(path, spec, by_timbre="timbre" in spec.conditions)
        made = export(
            OneMixture(network, list(spec.conditions)),
            spec,
            Path(folder) / "whole.onnx",
            states=network.states(),
            by_direction=plain,
            by_timbre=alone,
            eight_bits=any(w.name.endswith(EIGHT_BITS) for w in (told or model.graph).initializer),
        )
        worst = difference(path, made, directions=by_direction is None, timbres=by_timbre is None)
        if worst > TOLERANCE:
            raise ExportError(f"the new graph of {path} differs by {worst:.1e}: nothing is written")
        with atomic_write(out) as part:
            shutil.copyfile(made, part)
    return out


def difference(one: Path, other: Path, *, directions: bool = True, timbres: bool = True) -> float:
    """Return by how much the masks of two files differ at most, fed the same for `STEPS`.

    By direction alone and by timbre alone, unless those are left out, and by both for half of the
    steps, where they take a timbre.
    """
    models = OnnxModel(one), OnnxModel(other)
    spec = models[0].spec
    streams = [model.stream(2) for model in models]
    rng = np.random.default_rng(0)
    told = {name: rng.standard_normal((FRAMES, 2, size)) for name, size in spec.conditions.items()}
    conditions = {
        name: (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)
        for name, values in told.items()
    }
    conditions["direction"] = np.array([[[-20, 20], [30, 10]]] * FRAMES, np.float32)
    by_direction = {"direction": conditions["direction"]}
    anywhere = conditions["direction"] * np.array([1, 0], np.float32)
    anywhere += np.array([0, WIDTH_DEG[1]], np.float32)
    alone = {**by_direction}
    if "timbre" in conditions:
        alone = {"direction": anywhere, "timbre": conditions["timbre"]}
    worst = 0.0
    for step in range(STEPS):
        spectrum = 0.1 * rng.standard_normal((FRAMES, 2, spec.bins or 1, 2)).astype(np.float32)
        asked = (by_direction, alone, conditions, conditions)[step // 5 % 4]
        if (asked is by_direction and not directions) or (asked is alone and not timbres):
            continue
        masks = [stream.step(spectrum, asked)["masks"] for stream in streams]
        worst = max(worst, float(np.abs(masks[0] - masks[1]).max()))
    return worst


def _network(path: Path, spec: ModelSpec, *, by_timbre: bool) -> Steer:
    """Return the network of a file, or of its part, with its weights."""
    if by_timbre:
        config = timbre.CONFIGS[str(spec.training.get("config", "live"))].steer
    else:
        about = spec.training.get("plain", {}) if "timbre" in spec.conditions else spec.training
        ahead = next(iter(spec.tiers.values())).lookahead > 0
        config = CONFIGS[str(about.get("config", "studio" if ahead else "small"))]
    network = Steer(config)
    load_weights(network, path)
    return network.eval()


def _alone(path: Path, spec: ModelSpec, out: Path) -> Path:
    """Export the network that answers to a timbre alone, with its weights in a joined file.

    The encoder of its timbres is in a file of its own.
    """
    about = spec.training.get("alone")
    name = str(about.get("config", "causal")) if isinstance(about, dict) else "causal"
    config = timbre_live.CONFIGS[name]
    stream = TimbreLiveStream(TimbreLive(config))
    weights, own = exported(path, "alone"), stream.state_dict()
    wanted = {
        name
        for name in own
        if name.startswith(("unet.", "network.tell.")) and not name.endswith("batches_tracked")
    }
    if any(name not in weights or weights[name].shape != own[name].shape for name in wanted):
        raise CheckpointError(f"{path} does not hold a timbre-live of this version")
    stream.load_state_dict({name: weights[name] for name in wanted}, strict=False)
    only = OneStream(stream, ["timbre"])
    return export(only, timbre_live.spec(config), out, states=stream.states())
