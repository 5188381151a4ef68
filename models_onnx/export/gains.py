"""Say in a model file what it gains: ``python -m models_onnx gains FILE --measured ROWS``.

By these figures `stemsteer` chooses among the installed models where none is named.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import onnx
import typer

from realtime.atomic import atomic_write
from realtime.errors import StemsteerError
from realtime.model import OnnxModel
from realtime.spec import METADATA_KEY, ModelSpec

NEARLY_ALONE_DB = 20.0
"""SI-SDR of a class in its mix."""


def gains_by_name(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Average what was gained by name of every class, dB, of the rows of an evaluation.

    Where a class is nearly alone in its mix nothing can be gained, so that says nothing of it.
    """
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["system"] != "name" or row["absent"]:
            continue
        if row["si_sdr_db"] - row["gain_db"] < NEARLY_ALONE_DB:
            found.setdefault(row["instrument"], []).append(row["gain_db"])
    return {name: round(sum(gains) / len(gains), 2) for name, gains in found.items()}


def with_gains(spec: ModelSpec, measured: Sequence[str]) -> ModelSpec:
    """Return the spec with the gains of files of rows, each ``FILE`` or ``TIER=FILE``.

    A file without a tier is of the trained one, and of all that are as it, but for those that
    another file names. Tiers that no file is of keep their gains. Of an instrument that several
    files of a tier have, the first counts: so give real songs before made ones.

    Raises
    ------
    StemsteerError : a file has no rows by name of instruments that are there, or there is none; the
        model has no such tier.
    """
    found: dict[str, dict[str, float]] = {}
    for word in measured:
        tier, file = _tier_and_file(spec, word)
        measured_db = gains_by_name(_rows(file))
        if not measured_db:
            raise StemsteerError(
                f"{file} has no rows by name from which a gain can be averaged: measure with "
                "evaluate-timbre --by name, on songs of several instruments that the model knows"
            )
        found[tier] = measured_db | found.get(tier, {})
    trained = spec.tiers[spec.trained_tier]
    for name, setting in spec.tiers.items():
        if "" in found and name not in found and setting == trained:
            found[name] = found[""]
    gains = {**spec.gains_db, **found}
    return replace(spec, gains_db={tier: gains[tier] for tier in spec.tiers if tier in gains})


def _tier_and_file(spec: ModelSpec, word: str) -> tuple[str, Path]:
    """Return the tier, empty for none, and the file of ``FILE`` or ``TIER=FILE``."""
    tier, equals, file = word.partition("=")
    if equals and tier in spec.tiers:
        return tier, Path(file)
    if equals and not Path(word).exists():
        raise StemsteerError(
            f"--measured {word}: there is no file of this name, and as TIER=FILE {tier!r} is no "
            f"tier: {spec.name} has the tiers {', '.join(spec.tiers)}"
        )
    return "", Path(word)


def _rows(file: Path) -> list[Mapping[str, Any]]:
    try:
        found: list[Mapping[str, Any]] = json.loads(file.read_text())
        gains_by_name(found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StemsteerError(
            f"{file} does not hold what evaluate-timbre --out writes: {error}"
        ) from error
    return found


def main(
    model: Annotated[Path, typer.Argument(help="model file that is changed")],
    measured: Annotated[
        list[str],
        typer.Option(help="FILE, or TIER=FILE, that evaluate-timbre --out wrote; repeatable"),
    ],
) -> None:
    """Write into a model file what it gains by name."""
    spec = with_gains(OnnxModel(model).spec, measured)
    stored = onnx.load(model)
    kept = {one.key: one.value for one in stored.metadata_props}
    onnx.helper.set_model_props(stored, {**kept, METADATA_KEY: spec.to_json()})
    with atomic_write(model) as part:
        part.write_bytes(stored.SerializeToString())
    for tier, gains in spec.gains_db.items():
        print(tier, ", ".join(f"{name} {gain:.2f}" for name, gain in gains.items()))
