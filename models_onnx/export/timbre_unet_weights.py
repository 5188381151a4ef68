"""The weights of an exported Spleeter's U-Net told a timbre, so that a training can go on from it.

Constants of a graph have no names. A graph that is written of a network whose weights are all
numbered says by its constants which weight lies where in every graph of such a network.
"""

from __future__ import annotations

import copy
import itertools
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from models_onnx.export.timbre_unets import write_graph
from models_onnx.networks.checkpoints import CheckpointError, brief
from models_onnx.networks.timbre_unet import TimbreUNet, spec

FIRST_NUMBER = 1 << 21
"""Of weights: above every other constant, and with it all are whole numbers of float32."""


def exported_weights(path: Path, network: TimbreUNet) -> dict[str, Tensor]:
    """Return the weights of `SpleeterUNet` in an exported file, by their names in `network.unet`.

    They are as exact as the file has them: kernels in 8 bits. Raises CheckpointError if the file
    is not one of such a network of these sizes.
    """
    numbered = copy.deepcopy(network)
    shapes = {name: weight.shape for name, weight in numbered.unet.state_dict().items()}
    # norms first: where they are scaled anew, small numbers stay nearest to themselves
    names = sorted(shapes, key=lambda name: ("norm" not in name, name))
    sizes = [shapes[name].numel() for name in names]
    firsts = dict(zip(names, itertools.accumulate(sizes, initial=FIRST_NUMBER), strict=False))
    numbered.unet.load_state_dict(
        {
            name: torch.arange(first, first + shapes[name].numel()).float().reshape(shapes[name])
            for name, first in firsts.items()
        }
    )
    found = np.full(sum(sizes), np.nan, np.float32)
    with tempfile.TemporaryDirectory(prefix="stemsteer-") as folder:
        write_graph(numbered, spec(network.config), Path(folder) / "numbered.onnx", small=False)
        places = list(_floats(Path(folder) / "numbered.onnx"))
    values = list(_floats(path))
    if [place.shape for place in places] != [value.shape for value in values]:
        raise CheckpointError(f"{path} is no exported timbre-unet of these sizes")
    for place, value in zip(places, values, strict=True):
        weights = place >= FIRST_NUMBER
        found[np.rint(place[weights]).astype(np.int64) - FIRST_NUMBER] = value[weights]
    own = network.unet.state_dict()
    return {
        name: own[name] if np.isnan(values).any() else torch.from_numpy(values)
        for name, values in _cut(found, firsts, shapes)
    }


def _cut(
    values: NDArray[np.float32], firsts: Mapping[str, int], shapes: Mapping[str, torch.Size]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for name, first in firsts.items():
        begin = first - FIRST_NUMBER
        yield name, values[begin : begin + shapes[name].numel()].reshape(shapes[name])


def _floats(path: Path) -> Iterator[NDArray[np.float32]]:
    """Give the constants of a file that are no whole numbers, in their order.

    A kernel in 8 bits is followed by its scale, and given with it. Raises CheckpointError.
    """
    try:
        constants = onnx.load(path).graph.initializer
    except OSError:
        raise
    except Exception as error:  # protobuf's DecodeError, which may be of C++ or Python
        raise CheckpointError(f"{path} is not an ONNX file: {brief(error)}") from error
    arrays = iter([numpy_helper.to_array(constant) for constant in constants])
    for array in arrays:
        if array.dtype == np.int8:
            yield array.astype(np.float32) * next(arrays)
        elif array.dtype != np.int64:
            yield array.astype(np.float32)
