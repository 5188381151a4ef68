"""The networks by name: built for training, and read back from their checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import numpy_helper
from torch import nn

from models_onnx.networks import checkpoints, timbre, timbre_bands, timbre_live, timbre_unet
from models_onnx.networks.branches import Part, weights_of
from models_onnx.networks.spain import config as spain_config
from models_onnx.networks.spain import network as spain_xumx
from models_onnx.networks.steer import network as steer
from models_onnx.networks.unet import system as unet
from realtime.errors import StemsteerError
from realtime.spec import ModelSpec

HALF, EIGHT_BITS, SCALE = ".half", ".int8", ".scale"
"""Weights stored in float16 have the first behind their name; those in int8 the second, and what
they are multiplied by the third."""
NETWORKS: dict[str, tuple[Any, Any, Mapping[str, Any], Callable[[Any], ModelSpec]]] = {
    "steer": (steer.Steer, steer.SteerConfig, steer.CONFIGS, steer.spec),
    "spain-xumx": (
        spain_xumx.SpainXumx,
        spain_config.XumxConfig,
        spain_config.CONFIGS,
        spain_config.spec,
    ),
    "timbre": (timbre.TimbreSteer, timbre.TimbreConfig, timbre.CONFIGS, timbre.spec),
    "timbre-unet": (
        timbre_unet.TimbreUNet,
        timbre_unet.TimbreUNetConfig,
        timbre_unet.CONFIGS,
        timbre_unet.spec,
    ),
    "timbre-live": (
        timbre_live.TimbreLive,
        timbre_live.TimbreLiveConfig,
        timbre_live.CONFIGS,
        timbre_live.spec,
    ),
    "timbre-bands": (
        timbre_bands.TimbreBands,
        timbre_bands.TimbreBandsConfig,
        timbre_bands.CONFIGS,
        timbre_bands.spec,
    ),
    "unet": (unet.UNetSystem, unet.SystemConfig, unet.CONFIGS, unet.spec),
}


def build(name: str, config: str) -> tuple[nn.Module, ModelSpec, dict[str, Any]]:
    """Build a new network, its spec, and what a checkpoint says about it.

    Raises StemsteerError if there is no such network or configuration of it.
    """
    if name not in NETWORKS:
        raise StemsteerError(f"no network {name!r}; there are: {', '.join(NETWORKS)}")
    network, _, configs, spec = NETWORKS[name]
    if config not in configs:
        raise StemsteerError(
            f"{name} has no configuration {config!r}; it has: {', '.join(configs)}"
        )
    sizes = configs[config]
    about = {"network": name, "config": config, "sizes": dataclasses.asdict(sizes)}
    return network(sizes), spec(sizes), about


def restore(path: Path) -> tuple[nn.Module, ModelSpec, dict[str, Any]]:
    """Restore the network of a checkpoint with its averaged weights, its spec, and the checkpoint.

    The spec says what the network was trained on. Raises CheckpointError if it cannot be read.
    """
    found = checkpoints.load(path)
    about = found["about"]
    try:
        make, config, _, spec = NETWORKS[about["network"]]
        sizes = config(**about["sizes"])
        network = make(sizes)
        network.load_state_dict(found["average"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise checkpoints.CheckpointError(
            f"{path} does not fit this version: {checkpoints.brief(error)}"
        ) from error
    training = {
        "config": about["config"],
        "data": found["data"],
        "hours": round(found["elapsed_s"] / 3600, 2),
        "steps": found["step"],
        "commit": found["commit"],
    }
    return network.eval(), dataclasses.replace(spec(sizes), training=training), found


def load_weights(network: nn.Module, path: Path) -> None:
    """Give `network` the weights of an exported file or of a checkpoint of the same sizes.

    Raises CheckpointError if they are not those of such a network.
    """
    if path.suffix == ".onnx":
        told = any("film." in name for name in network.state_dict())
        weights = exported(path, "told" if told else "plain")
    else:
        weights = checkpoints.load(path)["average"]
    fill(network, weights, path)


def fill(network: nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Give `network` the weights read from `path`.

    Raises CheckpointError if they are not those of such a network.
    """
    try:
        network.load_state_dict({name: weights[name] for name in network.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise checkpoints.CheckpointError(
            f"{path} does not hold the weights of this network: {checkpoints.brief(error)}"
        ) from error


def exported(path: Path, part: Part = "told") -> dict[str, torch.Tensor]:
    """Return the weights of an exported file by their names; of a joined one those of a part.

    Raises CheckpointError if it is no such file.
    """
    try:
        initializers = weights_of(path, part)
    except OSError:
        raise
    except Exception as error:  # protobuf's DecodeError, which may be of C++ or Python
        raise checkpoints.CheckpointError(f"{path} is not an ONNX file: {error}") from error
    arrays = {w.name: numpy_helper.to_array(w).astype(np.float32) for w in initializers}
    for name in [name for name in arrays if name.endswith(EIGHT_BITS)]:
        own = name.removesuffix(EIGHT_BITS)
        arrays[own] = arrays.pop(name) * arrays.pop(own + SCALE)
    return {
        name.removesuffix(HALF).removeprefix("network."): torch.from_numpy(array)
        for name, array in arrays.items()
    }
