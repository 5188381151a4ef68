"""The one opener of songs: shards of the renderer, or a data set in a published layout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from models_onnx.data.sets.shards import INDEX, Shards
from models_onnx.data.sources import Collection, Part, Pool
from realtime.errors import StemsteerError


def open_collection(
    folder: Path | str, *, part: Part = "train", as_recorded: bool = False, centred: bool = True
) -> Collection:
    """Open a folder of songs, told apart by what is in it.

    Parameters
    ----------
    folder : shards made by ``python -m models_onnx render``, or a data set in one of the layouts
        of `models_onnx.data.sets.loaders`.
    part : what is opened of a data set in parts.
    as_recorded : stems of a data set keep their levels and are called by their files; otherwise
        they are brought to the level of shards.
    centred : whether stems of a data set are turned to the centre, at which those of shards stand,
        so that they can be placed anywhere; otherwise they stand where their song has them.

    Raises
    ------
    StemsteerError : the folder is missing, or holds no songs in a known layout.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StemsteerError(f"{folder} is not a folder: give one of shards or of a data set")
    if (folder / INDEX).exists():
        return Shards(folder)
    # data sets need audio and YAML libraries that machines which train on shards may lack
    from models_onnx.data.sets.loaders import open_stem_folders

    return open_stem_folders(folder, part=part, as_recorded=as_recorded, centred=centred)


def open_pool(folders: Sequence[str], *, part: Part = "train") -> tuple[Pool, list[str]]:
    """Open folders of songs, each FOLDER or FOLDER=WEIGHT; `part` as in `open_collection`.

    Returns
    -------
    The pool, and a line for each folder that says what is in it.

    Raises
    ------
    StemsteerError : a folder holds no songs, a weight is not a number of 0 or more, or all are 0.
    """
    collections, weights, names = [], [], []
    for text in folders:
        folder, weight = _split_weight(text)
        collection = open_collection(folder, part=part)
        collections.append(collection)
        weights.append(weight)
        names.append(f"{folder.name}: {len(collection)} songs, weight {weight:g}")
    if not sum(weights) > 0:
        raise StemsteerError(f"{', '.join(folders)}: all weights are 0, one must be above")
    return Pool(collections, weights), names


def _split_weight(text: str) -> tuple[Path, float]:
    """Split FOLDER=WEIGHT; a folder whose name has an equals sign is a folder."""
    folder, sign, weight = text.rpartition("=")
    if not sign or Path(text).is_dir():
        return Path(text), 1.0
    try:
        value = float(weight)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise StemsteerError(f"{text}: the weight is {weight!r}, expected FOLDER=WEIGHT like a=0.5")
    return Path(folder), value
