"""The models on this machine: listed, inspected and removed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.trial import LOAD_S, faults_of
from realtime import ModelSpec, StemsteerError, find_model, load_model
from realtime.encoder import FOLDER, file_of, has_encoder
from realtime.folders import user_models_folder
from realtime.model import weights_folders
from realtime.onnx_file import metadata_text
from realtime.spec import METADATA_KEY, TIERS


@dataclass(frozen=True)
class InstalledModel:
    """A model file; `spec` is None and `fault` says why if it cannot be used."""

    path: Path
    spec: ModelSpec | None
    fault: str = ""

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size

    def latency_ms(self, tier: str) -> float:
        """Latency of a tier at the model's own sample rate, in whole hops."""
        assert self.spec is not None
        return 1000 * self.spec.tier(tier).latency / self.spec.sample_rate


def found_models() -> list[InstalledModel]:
    """Return every model file in the folders where models are looked for; each is loaded."""
    return _inspected(_model_paths())


def installed_specs() -> Iterator[tuple[Path, ModelSpec]]:
    """Yield every model file that carries a spec; whether its graph can be used is not tried."""
    for path in _model_paths():
        if spec := spec_of(path):
            yield path, spec


def installed_model(name: str) -> InstalledModel:
    """Return the model of a name or path. Raises StemsteerError if there is none."""
    return _inspected([find_model(name)])[0]


def missing_encoder(path: Path) -> str:
    """Return the identity of the encoder that a model file needs and that is not here, else ""."""
    spec = spec_of(path)
    return spec.encoder if spec and spec.encoder and not has_encoder(spec.encoder) else ""


def remove_model(name: str) -> list[Path]:
    """Remove the files of a model that the user has added, those of its tiers too; return them.

    A file called as one of its tiers stays if its spec says that it is another model. An encoder
    that came with the model goes as well, unless another one needs it.

    Raises StemsteerError if there is none.
    """
    folder = user_models_folder()
    there = [*folder.glob("*.onnx"), *folder.glob("pictures/*.onnx")]
    added = sorted(file.stem for file in there)
    if name not in added:
        raise StemsteerError(
            f"no model {name!r} was added to {folder}; there are: {', '.join(added) or 'none'}"
        )
    files = [*(file for file in there if file.stem == name), *tier_files(name)[0]]
    encoders = {spec.encoder for spec in map(spec_of, files) if spec}
    for file in files:
        file.unlink()
    needed = {spec.encoder for _, spec in installed_specs()}
    for file in (folder / FOLDER / file_of(encoder) for encoder in sorted(encoders - needed)):
        if file.is_file():
            file.unlink()
            files.append(file)
    return files


def tier_files(name: str) -> tuple[list[Path], list[Path]]:
    """Return the user's files that are called as tiers of a model: its own, and those of others.

    They are its own where their specs have the name that the spec of the model has.
    """
    folder = user_models_folder()
    spec = spec_of(folder / f"{name}.onnx")
    own = spec.name if spec else name
    files = [file for tier in TIERS if (file := folder / f"{name}-{tier}.onnx").is_file()]
    mine = [file for file in files if (spec := spec_of(file)) and spec.name == own]
    return mine, [file for file in files if file not in mine]


def _model_paths() -> list[Path]:
    return sorted(path for folder in weights_folders() for path in folder.glob("*.onnx"))


def spec_of(path: Path) -> ModelSpec | None:
    """Return the spec of a model file, None of any other; its graph is not looked at."""
    try:
        text = metadata_text(path, METADATA_KEY)
        return None if text is None else ModelSpec.from_json(text)
    except ValueError:
        return None


def without_gain(tier: str, instruments: Iterable[str]) -> list[str]:
    """Return those of the instruments that models here were measured on, all without a gain."""
    measured = [spec.gains_db.get(tier, {}) for _, spec in installed_specs()]
    best = {
        name: max((gains[name] for gains in measured if name in gains), default=math.inf)
        for name in instruments
    }
    return [name for name, gain_db in best.items() if gain_db <= 0]


def _inspected(paths: Sequence[Path]) -> list[InstalledModel]:
    """Load models, those that did not come with Stemsteer in a process of their own."""
    foreign = [path for path in paths if path.parent != weights_folders()[-1]]
    faults = dict(zip(foreign, faults_of(load_model, foreign, LOAD_S), strict=True))
    return [
        _loaded(path) if path not in faults else _described(path, faults[path]) for path in paths
    ]


def _described(path: Path, fault: str) -> InstalledModel:
    spec = None if fault else spec_of(path)
    return InstalledModel(path, spec, fault or ("" if spec else "it is there no more"))


def _loaded(path: Path) -> InstalledModel:
    try:
        return InstalledModel(path, load_model(path).spec)
    except StemsteerError as error:
        return InstalledModel(path, None, str(error))
