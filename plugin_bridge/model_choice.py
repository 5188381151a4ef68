"""Which model is taken for what is asked, when one is named and when none is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from plugin_bridge.control.instruments import Meaning
from plugin_bridge.control.target_conditions import (
    has_own_sources,
    known_instruments,
    own_names,
)
from plugin_bridge.model_library import installed_specs, spec_of
from realtime import ModelSpec, OnnxModel, StemsteerError, find_model, load_model
from realtime.model import weights_folders
from realtime.spec import TIERS

PREFERRED = ("steer", "panorama")
"""Models that are taken when none is named: the first one that is there and has the tier."""


@dataclass(frozen=True)
class Needs:
    """What a model has to do; the parameters are those of `choose_model`.

    Parameters
    ----------
    steered : whether a model that hears directions is better, if there is one.
    """

    instruments: tuple[str, ...]
    timbre: bool
    against: bool
    sources: bool
    steered: bool

    def __str__(self) -> str:
        return " and ".join(self.instruments) or "timbres"

    def missing_in(self, spec: ModelSpec) -> str:
        """Return what a model cannot do of it, in words; empty if it can do all."""
        known = (*known_instruments(spec), *own_names(spec))
        if unknown := [name for name in self.instruments if name not in known]:
            return (
                f"does not know {', '.join(unknown)}; it knows {', '.join(known) or 'none by name'}"
            )
        if self.timbre and not spec.timbre_encoder:
            return "takes no timbre: leave --like and --unlike out, or name another model"
        if self.against and "against" not in spec.conditions:
            return (
                "takes no counter-example: leave --unlike out, or name another model, as "
                "fewshot-unet or steer"
            )
        if self.sources and not has_own_sources(spec):
            return "has no sources of its own: leave --all out, or name another model"
        return ""


def choose_model(
    name: str | None,
    tier: str,
    instruments: Sequence[str] = (),
    *,
    words: Sequence[Meaning] = (),
    timbre: bool = False,
    against: bool = False,
    sources: bool = False,
    direction: bool = False,
    moving: bool = False,
) -> OnnxModel:
    """Load the model `name` (or path), or the best one here that can do what is asked.

    Of a name's two files, one for the tier and one for all, the first that can do it is taken.

    Parameters
    ----------
    instruments : names of the table of controls that it has to know.
    words : what was asked for in words, which it has to know as well; a model that is named may
        have a source of that name instead, or know a part of a family.
    timbre, against : whether it has to take timbres, which examples of a sound give, and timbres
        of what the sound is not.
    direction, moving : whether a direction is asked for beside these, or lanes move the timbre:
        models of timbres that hear no direction, and have to work several times on a stretch
        through which a lane moves, are taken only if there is no other.
    sources : whether it has to have sources of its own, to take them all.

    Raises
    ------
    StemsteerError if the model cannot be used, or no installed one can do what is asked;
    ValueError if it has no such tier, or cannot do what is asked.
    """
    in_words = [name for meaning in words for name in meaning.classes]
    needs = Needs(
        tuple(dict.fromkeys([*in_words, *instruments])),
        timbre=timbre,
        against=against,
        sources=sources,
        steered=direction or moving,
    )
    if name is not None:
        for model in _named(name, tier):
            model.spec.tier(tier)
            names = (*_known_words(model.spec, words), *instruments)
            missing = replace(needs, instruments=names).missing_in(model.spec)
            if not missing:
                return model
        raise ValueError(f"model {model.spec.name!r} {missing}")
    if tier not in TIERS:
        raise ValueError(f"tier is {tier!r}, expected one of {', '.join(TIERS)}")
    if needs.instruments or timbre or sources:
        return _best(tier, needs)
    for preferred in PREFERRED:
        for path in _files_of(preferred, tier):
            if (loaded := _loaded_for(path, tier)) is not None:
                return loaded
    raise StemsteerError(
        f"no model with the tier {tier!r}, expected one of {', '.join(PREFERRED)} in "
        f"{', '.join(map(str, weights_folders()))}; name another with --model"
    )


def told_instruments(name: str, tier: str) -> tuple[str, ...]:
    """Return the instruments that the model `name` (or path) is told of what to take.

    Of a model with sources of its own, and one of directions alone, there are none.

    Raises StemsteerError if there is no such model, or it cannot be used.
    """
    specs = [model.spec for model in _named(name, tier)]
    if any(map(has_own_sources, specs)):
        return ()
    return tuple(dict.fromkeys(each for spec in specs for each in known_instruments(spec)))


def _known_words(spec: ModelSpec, words: Sequence[Meaning]) -> list[str]:
    """Return the instruments of words, those of a family that a model knows, if it knows any.

    Words that are no instruments are left out, and the model's own sources.
    """
    names: list[str] = []
    for meaning in words:
        if not meaning.fault and meaning.word not in own_names(spec):
            known = [name for name in meaning.classes if name in known_instruments(spec)]
            names += known if known and meaning.word else meaning.classes
    return list(dict.fromkeys(names))


def _named(name: str, tier: str) -> Iterator[OnnxModel]:
    """Yield the model of a name that is for the tier, then the one for all tiers if it has it."""
    yield load_model(find_model(name, tier))
    with contextlib.suppress(StemsteerError):
        for general in _files_of(name, tier)[1:]:
            if (model := _loaded_for(general, tier)) is not None:
                yield model


def _loaded_for(path: Path, tier: str) -> OnnxModel | None:
    """Load a model that has the tier; None of any other, of which the spec alone is read."""
    spec = spec_of(path)
    return load_model(path) if spec is None or tier in spec.tiers else None


def _files_of(name: str, tier: str) -> list[Path]:
    """Return the file of a name for the tier and the one for all tiers, if they are here."""
    files: list[Path] = []
    for wanted in (tier, None):
        with contextlib.suppress(StemsteerError):
            files.append(find_model(name, wanted))
    return list(dict.fromkeys(files))


def _best(tier: str, needs: Needs) -> OnnxModel:
    """Load the installed model that does best in a tier what is needed.

    Of what can do it, the best that can be used is loaded, and no other.
    """
    there = [(path, spec) for path, spec in installed_specs() if tier in spec.tiers]
    able = [(path, spec) for path, spec in there if not needs.missing_in(spec)]
    if not able and needs.sources:
        raise StemsteerError(
            f"no installed model has several sources of its own in the tier {tier!r}: leave --all "
            "out and name what to take by --instrument, or make one by `stemsteer models add "
            "spleeter`"
        )
    if not able:
        known = sorted({name for _, spec in there for name in known_instruments(spec)})
        raise StemsteerError(
            f"no installed model knows {needs} in the tier "
            f"{tier!r}; known are {', '.join(known) or 'none'}: `stemsteer models add NAME` "
            "installs more, `stemsteer models` lists them"
        )
    if needs.steered:
        able = [one for one in able if not _by_timbre_alone(one[1])] or able
    # of equals the preferred
    able.sort(key=lambda one: PREFERRED.index(one[1].name) if one[1].name in PREFERRED else 99)
    able.sort(key=lambda one: _measured(one[1], tier, needs.instruments), reverse=True)
    faults = []
    for path, _ in able:
        try:
            return load_model(path)
        except StemsteerError as error:
            faults.append(error)
    raise faults[0]


def _by_timbre_alone(spec: ModelSpec) -> bool:
    """Return whether a model of timbres hears no direction: that is taken out of what it gives."""
    return "timbre" in spec.conditions and spec.mask_axes != "steered"


def _measured(spec: ModelSpec, tier: str, instruments: Sequence[str]) -> tuple[float, float]:
    """Return on what part of the instruments a model was measured, and its mean gain on these.

    Of examples nobody knows what they hold: they count as all that was measured.
    """
    gains = spec.gains_db.get(tier, {})
    names = instruments or list(gains)
    known = [gains[name] for name in names if name in gains]
    return len(known) / max(1, len(names)), sum(known) / max(1, len(known))
