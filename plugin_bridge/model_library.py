"""The models on this machine, and which one is taken when none is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from realtime import ModelSpec, OnnxModel, StemsteerError, find_model, load_model
from realtime.model import weights_folders
from realtime.spec import TIERS

PREFERRED = ("steer", "panorama")
"""Models that are taken when none is named: the first one that is there and has the tier."""


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
    """Every model file in the folders where models are looked for."""
    paths = sorted(path for folder in weights_folders() for path in folder.glob("*.onnx"))
    return [_inspect(path) for path in paths]


def choose_model(name: str | None, tier: str) -> OnnxModel:
    """Load the model `name` (or path), or the preferred one that has the tier.

    Raises StemsteerError if it cannot be used, ValueError if it has no such tier.
    """
    if name is not None:
        model = load_model(name, tier)
        model.spec.tier(tier)
        return model
    if tier not in TIERS:
        raise ValueError(f"tier is {tier!r}, expected one of {', '.join(TIERS)}")
    for preferred in PREFERRED:
        try:
            path = find_model(preferred, tier)
        except StemsteerError:
            continue
        model = load_model(path)
        if tier in model.spec.tiers:
            return model
    raise StemsteerError(
        f"no model with the tier {tier!r}, expected one of {', '.join(PREFERRED)} in "
        f"{', '.join(map(str, weights_folders()))}; name another with --model"
    )


def _inspect(path: Path) -> InstalledModel:
    try:
        return InstalledModel(path, load_model(path).spec)
    except StemsteerError as error:
        return InstalledModel(path, None, str(error))
