"""The impulse response of a `Convolution`, read by our own decoders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plugin_bridge.files.audio_reader import AudioReader

LONGEST_S = 60.0
_FILE = "impulse_response_filename"
_CHUNK = 1 << 16


def with_impulse_response(parameters: Mapping[str, Any], where: Path) -> Mapping[str, Any]:
    """Return the parameters of an effect with its impulse response as sound instead of a path.

    pedalboard would open the file itself, in this process, where a hostile one could end it.

    Parameters
    ----------
    where : file of the chain; a relative path starts from its folder.

    Raises
    ------
    ValueError if the file is longer than `LONGEST_S` or empty; StemsteerError if it is no sound.
    """
    name = parameters.get(_FILE)
    if not isinstance(name, str):
        return parameters
    with AudioReader(where.parent / Path(name).expanduser()) as reader:
        longest = int(LONGEST_S * reader.sample_rate)
        chunks, length = [], 0
        for chunk in reader.blocks(_CHUNK):
            chunks.append(chunk)
            length += chunk.shape[1]
            if length > longest:
                raise ValueError(f"{name} is longer than {LONGEST_S:g} s")
        if length == 0:
            raise ValueError(f"{name} has no sound in it")
        sound = np.ascontiguousarray(np.concatenate(chunks, axis=1), np.float32)
        return {**parameters, _FILE: sound, "sample_rate": float(reader.sample_rate)}
