"""The models on this machine, and which one is taken when none is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.control.target_conditions import known_instruments
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


def choose_model(
    name: str | None, tier: str, instruments: Sequence[str] = (), *, timbre: bool = False
) -> OnnxModel:
    """Load the model `name` (or path), or the best one here that can do what is asked.

    Parameters
    ----------
    instruments : names of the table of controls that it has to know.
    timbre : whether it has to take timbres, which examples of a sound give.

    Raises
    ------
    StemsteerError if the model cannot be used, or no installed one can do what is asked;
    ValueError if it has no such tier, or cannot do what is asked.
    """
    if name is not None:
        model = load_model(name, tier)
        model.spec.tier(tier)
        if missing := _missing(model.spec, instruments, timbre):
            raise ValueError(f"model {model.spec.name!r} {missing}")
        return model
    if tier not in TIERS:
        raise ValueError(f"tier is {tier!r}, expected one of {', '.join(TIERS)}")
    if instruments or timbre:
        return _best(tier, instruments, timbre)
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


def _best(tier: str, instruments: Sequence[str], timbre: bool) -> OnnxModel:
    """Load the installed model that separates these instruments best in a tier."""
    there = [one for one in found_models() if one.spec is not None and tier in one.spec.tiers]
    able = [one for one in there if one.spec and not _missing(one.spec, instruments, timbre)]
    if not able:
        known = sorted({name for one in there if one.spec for name in known_instruments(one.spec)})
        raise StemsteerError(
            f"no installed model knows {' and '.join(instruments) or 'timbres'} in the tier "
            f"{tier!r}; known are {', '.join(known) or 'none'}: `stemsteer models add NAME` "
            "installs more, `stemsteer models` lists them"
        )
    return load_model(max(able, key=lambda one: _gain_db(one.spec, tier, instruments)).path)


def _gain_db(spec: ModelSpec | None, tier: str, instruments: Sequence[str]) -> float:
    """Return the mean measured gain over the instruments; one that was not measured counts 0."""
    gains = spec.gains_db.get(tier, {}) if spec else {}
    return sum(gains.get(name, 0.0) for name in instruments) / max(1, len(instruments))


def _missing(spec: ModelSpec, instruments: Sequence[str], timbre: bool) -> str:
    """Return what a model cannot do of what is asked, in words; empty if it can."""
    known = known_instruments(spec)
    if unknown := [name for name in instruments if name not in known]:
        return f"does not know {', '.join(unknown)}; it knows {', '.join(known) or 'none by name'}"
    if timbre and "timbre" not in spec.conditions:
        return "takes no timbre: leave --like and --unlike out, or name another model"
    return ""


def _inspect(path: Path) -> InstalledModel:
    try:
        return InstalledModel(path, load_model(path).spec)
    except StemsteerError as error:
        return InstalledModel(path, None, str(error))
