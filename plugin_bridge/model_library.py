"""The models on this machine, and which one is taken when none is named."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.control.instruments import Meaning
from plugin_bridge.control.target_conditions import (
    has_own_sources,
    known_instruments,
    own_names,
)
from realtime import ModelSpec, OnnxModel, StemsteerError, find_model, load_model
from realtime.encoder import FOLDER, file_of, has_encoder
from realtime.folders import user_models_folder
from realtime.model import weights_folders
from realtime.onnx_file import metadata_text
from realtime.spec import METADATA_KEY, TIERS

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
    """Return every model file in the folders where models are looked for; each is loaded."""
    return [_inspect(path) for path in _model_paths()]


def installed_specs() -> Iterator[tuple[Path, ModelSpec]]:
    """Yield every model file that carries a spec; whether its graph can be used is not tried."""
    for path in _model_paths():
        if spec := _spec_of(path):
            yield path, spec


def installed_model(name: str) -> InstalledModel:
    """Return the model of a name or path. Raises StemsteerError if there is none."""
    return _inspect(find_model(name))


def missing_encoder(path: Path) -> str:
    """Return the identity of the encoder that a model file needs and that is not here, else ""."""
    spec = _spec_of(path)
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
    encoders = {spec.encoder for spec in map(_spec_of, files) if spec}
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
    spec = _spec_of(folder / f"{name}.onnx")
    own = spec.name if spec else name
    files = [file for tier in TIERS if (file := folder / f"{name}-{tier}.onnx").is_file()]
    mine = [file for file in files if (spec := _spec_of(file)) and spec.name == own]
    return mine, [file for file in files if file not in mine]


def _model_paths() -> list[Path]:
    return sorted(path for folder in weights_folders() for path in folder.glob("*.onnx"))


def _spec_of(path: Path) -> ModelSpec | None:
    """Return the spec of a model file, None of any other; its graph is not looked at."""
    try:
        text = metadata_text(path, METADATA_KEY)
        return None if text is None else ModelSpec.from_json(text)
    except ValueError:
        return None


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
    if name is not None:
        for model in _named(name, tier):
            model.spec.tier(tier)
            names = [*_known_words(model.spec, words), *instruments]
            missing = _missing(model.spec, names, timbre, against, sources)
            if not missing:
                return model
        raise ValueError(f"model {model.spec.name!r} {missing}")
    if tier not in TIERS:
        raise ValueError(f"tier is {tier!r}, expected one of {', '.join(TIERS)}")
    instruments = [*(name for meaning in words for name in meaning.classes), *instruments]
    instruments = list(dict.fromkeys(instruments))
    if instruments or timbre or sources:
        return _best(tier, instruments, timbre, against, sources, direction or moving)
    for preferred in PREFERRED:
        for path in _files_of(preferred, tier):
            if tier in (model := load_model(path)).spec.tiers:
                return model
    raise StemsteerError(
        f"no model with the tier {tier!r}, expected one of {', '.join(PREFERRED)} in "
        f"{', '.join(map(str, weights_folders()))}; name another with --model"
    )


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
            if tier in (model := load_model(general)).spec.tiers:
                yield model


def _files_of(name: str, tier: str) -> list[Path]:
    """Return the file of a name for the tier and the one for all tiers, if they are here."""
    files: list[Path] = []
    for wanted in (tier, None):
        with contextlib.suppress(StemsteerError):
            files.append(find_model(name, wanted))
    return list(dict.fromkeys(files))


def _best(
    tier: str,
    instruments: Sequence[str],
    timbre: bool,
    against: bool,
    sources: bool,
    steered: bool,
) -> OnnxModel:
    """Load the installed model that separates these instruments best in a tier.

    Of what can do it, the best that can be used is loaded, and no other.
    """
    there = [(path, spec) for path, spec in installed_specs() if tier in spec.tiers]
    able = [(p, s) for p, s in there if not _missing(s, instruments, timbre, against, sources)]
    if not able:
        known = sorted({name for _, spec in there for name in known_instruments(spec)})
        raise StemsteerError(
            f"no installed model knows {_asked(instruments, timbre)} in the tier "
            f"{tier!r}; known are {', '.join(known) or 'none'}: `stemsteer models add NAME` "
            "installs more, `stemsteer models` lists them"
        )
    if steered:
        able = [one for one in able if not _by_timbre_alone(one[1])] or able
    # of equals the preferred
    able.sort(key=lambda one: PREFERRED.index(one[1].name) if one[1].name in PREFERRED else 99)
    able.sort(key=lambda one: _measured(one[1], tier, instruments), reverse=True)
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


def without_gain(tier: str, instruments: Iterable[str]) -> list[str]:
    """Return those of the instruments that models here were measured on, all without a gain."""
    measured = [spec.gains_db.get(tier, {}) for _, spec in installed_specs()]
    best = {
        name: max((gains[name] for gains in measured if name in gains), default=math.inf)
        for name in instruments
    }
    return [name for name, gain_db in best.items() if gain_db <= 0]


def _asked(instruments: Sequence[str], timbre: bool) -> str:
    return " and ".join(instruments) or ("timbres" if timbre else "several sources of its own")


def _missing(
    spec: ModelSpec, instruments: Sequence[str], timbre: bool, against: bool, sources: bool
) -> str:
    """Return what a model cannot do of what is asked, in words; empty if it can."""
    known = (*known_instruments(spec), *own_names(spec))
    if unknown := [name for name in instruments if name not in known]:
        return f"does not know {', '.join(unknown)}; it knows {', '.join(known) or 'none by name'}"
    if timbre and not spec.timbre_encoder:
        return "takes no timbre: leave --like and --unlike out, or name another model"
    if against and "against" not in spec.conditions:
        return (
            "takes no counter-example: leave --unlike out, or name another model, as fewshot-unet "
            "or steer"
        )
    if sources and not has_own_sources(spec):
        return "has no sources of its own: leave --all out, or name another model"
    return ""


def _inspect(path: Path) -> InstalledModel:
    try:
        return InstalledModel(path, load_model(path).spec)
    except StemsteerError as error:
        return InstalledModel(path, None, str(error))
