"""What a model is told of its targets, made of the values of their controls.

The one place where azimuth, width, instrument, timbre morph and strength become the conditions of a
model, whoever has the values: a lane, the plugin or a user. A switch of instrument arrives as
shares of two instruments over the smoothing time, so it crosses over: a choice has no values
between its numbers. A model that takes a timbre gets the unit vector of an instrument
(`ModelSpec.classes`) or of an example (`plugin_bridge.timbre`); from one that names its sources
(`ModelSpec.targets`) and takes no condition they are selected, see `realtime.selection`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.controls import INSTRUMENTS, MAX_INSTRUMENTS
from plugin_bridge.control.target_timbres import TargetTimbres
from realtime.arrays import Floats
from realtime.conditions import Conditions
from realtime.spec import ModelSpec

ANY_INSTRUMENT = 0
"""Number of the instrument that leaves the timbre free."""
_TINY = 1e-6


@dataclass(frozen=True)
class TargetValues:
    """Values of the controls of T targets in F frames, each (F, T) float32.

    Parameters
    ----------
    instruments : (F, T, `MAX_INSTRUMENTS`), how much of each instrument is asked for, 0 to 1;
        while one changes to another both have their shares, of a family each has 1.
    """

    azimuth_deg: Floats
    width_deg: Floats
    instruments: Floats
    morph: Floats
    strength: Floats


def has_own_sources(spec: ModelSpec) -> bool:
    """Return whether a model has sources of its own to select targets from, told nothing."""
    return bool(spec.targets) and not spec.conditions


def takes_width(spec: ModelSpec) -> bool:
    """Return whether a width counts: models of fixed targets are told an azimuth for each."""
    return not (spec.targets and "direction" in spec.conditions)


def known_instruments(spec: ModelSpec) -> tuple[str, ...]:
    """Return the instruments of the table that a model can be asked for by name."""
    own = spec.targets if has_own_sources(spec) else ()
    return tuple(name for name in INSTRUMENTS if name in spec.classes or name in own)


def own_names(spec: ModelSpec) -> tuple[str, ...]:
    """Return the sources that a model has by itself and that the table does not have."""
    own = spec.targets if has_own_sources(spec) else ()
    return tuple(name for name in own if name not in INSTRUMENTS)


def numbers_of(names: Sequence[str], spec: ModelSpec) -> tuple[int, ...]:
    """Return the numbers of instruments, those of a model's own after those of the table.

    Raises ValueError for one that is in neither.
    """
    known = _numbered(spec)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"instrument {unknown[0]!r} is neither in the table nor a source of {spec.name!r}"
        )
    return tuple(known.index(name) for name in names)


def names_of(number: int, spec: ModelSpec) -> tuple[str, ...]:
    """Return the instrument of a number, of the table or the model's own, as `numbers_of` takes it.

    Empty for any instrument, and for a number that names none, which leaves the timbre as free.
    """
    names = _numbered(spec)
    return (names[number],) if ANY_INSTRUMENT < number < len(names) else ()


def _numbered(spec: ModelSpec) -> tuple[str, ...]:
    """Return the instruments by number; a model's own as far as there are numbers."""
    return (*INSTRUMENTS, *own_names(spec))[:MAX_INSTRUMENTS]


def facts_of(spec: ModelSpec, tier: str, rate_hz: float) -> dict[str, str]:
    """Return what a surface tells of a running model: `ControlSurface.facts`."""
    instruments = ",".join(known_instruments(spec))
    return {"model": spec.name, "tier": tier, "rate_hz": f"{rate_hz:g}", "instruments": instruments}


class TargetConditions:
    """Make the conditions of a model from the values of the controls.

    Parameters
    ----------
    spec : of the model; what it takes decides which conditions are made: ``direction``,
        ``timbre`` and ``against``, or ``sources`` where it has sources of its own. A model with
        ``against`` and no encoder, as of labels, is told there which instruments the other
        targets are.
    timbres : the examples of the targets; none if None.
    """

    def __init__(self, spec: ModelSpec, timbres: TargetTimbres | None = None) -> None:
        self._sizes = dict(spec.conditions) or {"sources": len(spec.targets), "direction": 2}
        self._sources = _table(_numbered(spec), _one_hot(spec.targets), len(spec.targets))
        size = spec.conditions.get("timbre", 0)
        self._classes = _table(INSTRUMENTS, spec.classes, size)
        self._hears_examples = bool(spec.encoder)
        self.timbres = TargetTimbres(size) if timbres is None else timbres

    def __call__(self, values: TargetValues, times_s: NDArray[np.float64]) -> Conditions:
        """Return the conditions (F, T, size) by name, of frames at these times (F,)."""
        made: dict[str, Floats] = {}
        if "direction" in self._sizes:
            made["direction"] = np.stack([values.azimuth_deg, values.width_deg], axis=-1)
        if "sources" in self._sizes:
            shares = values.instruments @ self._sources
            made["sources"] = shares * values.strength[..., None]
        if "timbre" in self._sizes:
            made["timbre"] = self._timbre(values, times_s)
        if "against" in self._sizes:
            made["against"] = self._others(values)
            for target, vectors in self.timbres.at("unlike", times_s).items():
                made["against"][:, target] = values.strength[:, target, None] * vectors
        return made

    def _timbre(self, values: TargetValues, times_s: NDArray[np.float64]) -> Floats:
        """Return the timbres (F, T, size): unit vectors times the strength, zeros where free."""
        timbre = self._named(values.instruments)
        for target, vectors in self.timbres.at("like", times_s).items():
            timbre[:, target] = _toward(timbre[:, target], vectors, values.morph[:, target, None])
        timbre *= values.strength[..., None]
        return timbre

    def _named(self, shares: Floats) -> Floats:
        """Return the timbres (F, T, size) of shares of instruments, no longer than unit vectors."""
        named: Floats = shares @ self._classes
        named /= np.maximum(np.linalg.norm(named, axis=-1, keepdims=True), 1)  # of a family
        return named

    def _others(self, values: TargetValues) -> Floats:
        """Return what plays besides each target (F, T, size): the instruments of the others.

        A model with an encoder is told zeros: there a counter-example says what is not wanted.
        """
        if self._hears_examples:
            return np.zeros((*values.strength.shape, self._sizes["against"]), np.float32)
        shares = values.instruments * values.strength[..., None]
        others = np.empty_like(shares)
        for target in range(shares.shape[1]):
            others[:, target] = np.delete(shares, target, axis=1).max(1, initial=0)
        others *= 1 - values.instruments
        return self._named(others) * values.strength[..., None]


def _toward(named: Floats, like: Floats, morph: Floats) -> Floats:
    """Return rows of vectors on the great circle from those of names to those of examples.

    Each has a length of 1, or less while it comes or goes, and counts by that; where there is one
    of them alone, it is that one. `morph` (F, 1) leads from the first to the second.
    """
    name_length, like_length = _length(named), _length(like)
    start, end = named / np.maximum(name_length, _TINY), like / np.maximum(like_length, _TINY)
    toward_like = like_length * np.maximum(morph, 1 - name_length)
    toward_name = name_length * (1 - like_length * morph)
    way = toward_like / np.maximum(toward_like + toward_name, _TINY)
    angle = np.arccos(np.clip(np.sum(start * end, axis=-1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    linear = (sine < _TINY) | (way <= 0) | (way >= 1)
    safe = np.where(linear, 1, sine)
    first = np.where(linear, 1 - way, np.sin((1 - way) * angle) / safe)
    second = np.where(linear, way, np.sin(way * angle) / safe)
    length = np.minimum(name_length + (1 - name_length) * like_length, 1)
    row: Floats = (length * (first * start + second * end)).astype(np.float32)
    return row


def _length(vectors: Floats) -> Floats:
    """Return the lengths (F, 1) of rows, at most 1."""
    length: Floats = np.minimum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1)
    return length


def one_instrument(number: int, frames: int, targets: int) -> Floats:
    """Return the shares (frames, targets, `MAX_INSTRUMENTS`) of one instrument for all."""
    shares = np.zeros((frames, targets, MAX_INSTRUMENTS), np.float32)
    shares[..., number] = 1
    return shares


def _one_hot(names: Sequence[str]) -> dict[str, Sequence[float]]:
    return {name: np.eye(len(names))[k].tolist() for k, name in enumerate(names)}


def _table(names: Sequence[str], rows: Mapping[str, Sequence[float]], size: int) -> Floats:
    """Return (`MAX_INSTRUMENTS`, size): the row of each instrument by its number, else zeros."""
    table = np.zeros((MAX_INSTRUMENTS, size), np.float32)
    for number, name in enumerate(names):
        if name in rows:
            table[number] = rows[name]
    return table
