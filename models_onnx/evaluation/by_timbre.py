"""Judge separation by timbre: ``python -m models_onnx evaluate-timbre --real SONGS --model FILE``.

The ways of asking stand beside each other: by direction, by name, by the names of all at once, by
one query, by five examples, with counter-examples, by direction and name; by a timbre learned in
two seconds from a direction that is then let go; by the timbre of what a query has separated; by
the true source. Beside them stand the mixture, the mixture over the number of its classes, the
direction mask without learning, and the ratio mask of the true sources.

Everything runs through `realtime.separator`, as in use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from models_onnx import commands
from models_onnx.evaluation import metrics, systems
from models_onnx.evaluation.coded import CODECS, coded
from models_onnx.evaluation.streaming import streamed
from models_onnx.evaluation.timbre_scenes import TimbreScene, made_scenes, real_songs
from models_onnx.evaluation.timbre_tables import Row, tables
from models_onnx.evaluation.timbre_ways import (
    FIRST,
    POINTED,
    TOGETHER,
    WAYS,
    Question,
    again,
    listed,
    questions,
    ways_of,
    ways_off,
)
from models_onnx.strict_json import to_json
from realtime.atomic import atomic_write
from realtime.conditions import WIDTH_DEG
from realtime.encoder import OnnxEncoder, encoder_of, load_encoder
from realtime.errors import StemsteerError
from realtime.model import Model, OnnxModel, load_model
from realtime.spec import ModelSpec

Floats = NDArray[np.float32]
PEER_WIDTH_DEG = 30.0
RATE_HZ = 44_100


def separated(model: Model, tier: str, mixture: Floats, asked: Sequence[Question]) -> Floats:
    """Stream a mixture (2, n) through a model: (questions, 2, n).

    Questions by direction, by timbre, and by both have streams of their own, as in use: of a file
    of several networks one answers all targets of a stream. Where targets share a filter, every
    question by timbre has one of its own, but those of the way `TOGETHER`.
    """
    kinds = [_kind(question) for question in asked]
    if model.spec.joint:
        alone = [k == "timbre" and q.way != TOGETHER for k, q in zip(kinds, asked, strict=True)]
        kinds = [
            f"{k} {n}" if own else k for n, (k, own) in enumerate(zip(kinds, alone, strict=True))
        ]
    out = np.empty((len(asked), *mixture.shape), np.float32)
    for kind in sorted(set(kinds)):
        group = [k for k, own in enumerate(kinds) if own == kind]
        out[group] = _streamed(model, tier, mixture, [asked[k] for k in group])
    return out


def _kind(question: Question) -> str:
    if np.any(question.against):
        return "against"
    if not np.any(question.timbre):
        return "direction"
    return "timbre" if question.direction[1] >= WIDTH_DEG[1] else "both"


def _streamed(model: Model, tier: str, mixture: Floats, asked: Sequence[Question]) -> Floats:
    """Stream a mixture (2, n) through a model, all questions side by side."""
    values = {
        "direction": np.array([q.direction for q in asked], np.float32),
        "timbre": np.stack([q.timbre for q in asked]),
        "against": np.stack([q.against for q in asked]),
    }
    return streamed(model, tier, mixture, values)[0]


def measure(system: str, scene: TimbreScene, index: int, instrument: str, estimate: Floats) -> Row:
    """Measure the estimate of a class, or of an absent one."""
    ratio = np.square(estimate, dtype=np.float64).sum() / np.square(scene.mixture).sum()
    level_db, song = metrics.db(float(ratio)), scene.song or scene.name
    if index < 0:
        nan = float("nan")
        return Row(system, scene.name, instrument, nan, nan, nan, level_db, True, song)
    true = scene.images[index]
    reached = metrics.si_sdr_db(estimate, true)
    return Row(
        system,
        scene.name,
        instrument,
        reached - metrics.si_sdr_db(scene.mixture, true),
        reached,
        metrics.level_difference_error_db(estimate, true),
        level_db,
        song=song,
    )


def evaluate(
    model: Model,
    tier: str,
    encoder: OnnxEncoder | None,
    scenes: Sequence[TimbreScene],
    ways: Sequence[str],
    offs_deg: Sequence[float] = (),
) -> Iterator[Row]:
    """Measure every way of asking on every scene, and what needs no asking."""
    peer, off = load_model(systems.PEER), ways_off(offs_deg)
    beside = systems.peer_tier(peer, tier)
    ways = [*ways, *off]
    for scene in track(scenes, "scenes", console=Console(stderr=True)):
        needed = [*ways, *(FIRST[way] for way in ways if way in FIRST)]
        asked = questions(model, encoder, scene, list(dict.fromkeys(needed)), off)
        if not asked:
            continue
        estimates = separated(model, tier, scene.mixture, asked)
        more = again(encoder, scene, asked, estimates, ways)
        if more:
            estimates = np.concatenate([estimates, separated(model, tier, scene.mixture, more)])
        for q, estimate in zip([*asked, *more], estimates, strict=True):
            if q.way in ways:
                yield measure(q.way, scene, q.index, q.instrument, estimate)
        judged = scene.judged()
        if not judged:  # absent ones alone were asked for
            continue
        places = [scene.azimuth_deg(k) for k in judged]
        peers = systems.separate(peer, beside, scene.mixture, places, PEER_WIDTH_DEG)
        masked = systems.oracle(scene, model.spec.tier(tier))
        for k, found in zip(judged, peers, strict=True):
            name = scene.classes[k]
            yield measure("mix", scene, k, name, scene.mixture)
            yield measure("mix/N", scene, k, name, scene.mixture / np.float32(len(scene.classes)))
            yield measure(systems.PEER, scene, k, name, found)
            yield measure("oracle", scene, k, name, masked[k])


def main(
    model: Annotated[str, typer.Option(help="name or file of a model that takes a timbre")],
    real: Annotated[
        Path | None,
        typer.Option(
            help="folder of <song>/<instrument>.wav, or songs with METADATA.yaml and stem_01.flac …"
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="folder of songs of the renderer")] = None,
    by: Annotated[
        list[str] | None, typer.Option(help=f"{listed(WAYS)}; repeatable; default: all")
    ] = None,
    off: Annotated[
        list[float] | None,
        typer.Option(min=0, max=45, help="also with directions off by so many degrees; repeatable"),
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="name or file of the encoder")] = None,
    tier: Annotated[str, typer.Option(help=systems.TIER_HELP)] = "live",
    count: Annotated[int, typer.Option("--scenes", min=1, help="scenes of DATA")] = 40,
    seconds: Annotated[float, typer.Option(min=1.0, help="length of a scene of DATA")] = 6.0,
    produced: Annotated[
        bool, typer.Option(help="mixed as productions are; else spread out")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other scenes")] = 0,
    codec: Annotated[
        str | None, typer.Option(help=f"code the mixtures first: {' or '.join(CODECS)}")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="also write the rows as JSON")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Print gains by timbre with 95 % bootstrap intervals."""
    if odd := [way for way in by or [] if way not in WAYS]:
        raise StemsteerError(f"--by {odd[0]}: expected one of {listed(WAYS)}")
    if codec is not None and codec not in CODECS:
        raise StemsteerError(f"--codec {codec}: expected {' or '.join(CODECS)}")
    if (real is None) == (data is None):
        raise StemsteerError("give the songs as --real or as --data, one of the two")
    commands.claim(*([out] if out else []), force=force)
    loaded = systems.judged_model(model, tier, "timbre")
    ways = _asked(model, loaded.spec, by, off)
    heard = _encoder(model, loaded, encoder)
    if real is not None:
        scenes = real_songs(real)
    else:
        assert data is not None
        scenes = made_scenes(data, count, seconds, produced=produced, seed=seed)
    _check_judged(model, loaded.spec, scenes)
    if codec is not None:
        scenes = [coded(scene, codec) for scene in scenes]
    rows = list(evaluate(loaded, tier, heard, scenes, ways, off or ()))
    Console(width=150).print(*tables(rows), sep="\n")
    if out:
        with atomic_write(out) as part:
            part.write_text(to_json([asdict(row) for row in rows]))


def _asked(
    model: str, spec: ModelSpec, by: Sequence[str] | None, off_deg: Sequence[float] | None
) -> list[str]:
    """Return the ways of asking; all that the model can be asked in where none is given."""
    able = ways_of(spec)
    for way in by or []:
        if way not in able:
            lacks = "direction" if way in POINTED else "examples"
            raise StemsteerError(
                f"--by {way}: {model} takes no {lacks}, it can be asked by {listed(able)}"
            )
    if off_deg and "direction" not in able:
        raise StemsteerError(f"--off: {model} takes no direction")
    return list(by or able)


def _encoder(model: str, loaded: OnnxModel, given: str | None) -> OnnxEncoder | None:
    """Return the encoder that a model was trained with; None where it is told names alone."""
    identity = loaded.spec.encoder
    if not identity:
        if given is not None:
            raise StemsteerError(f"{model} is told names alone: leave out --encoder")
        return None
    if given is None:
        return encoder_of(identity, loaded.path.parent)
    heard = load_encoder(given)
    if heard.spec.encoder != identity:
        raise StemsteerError(
            f"{model} was trained with {identity}, not with {heard.spec.encoder}: give "
            "its own as --encoder"
        )
    return heard


def _check_judged(model: str, spec: ModelSpec, scenes: Sequence[TimbreScene]) -> None:
    """Raise StemsteerError if there is nothing to judge, or nothing that the model has a name for.

    One with an encoder can be asked for other classes by examples.
    """
    judged = {scene.classes[k] for scene in scenes for k in scene.judged()}
    if not judged:
        raise StemsteerError(
            "nothing to judge: in no song do two different instruments sound; stems are told apart "
            "by the instruments that their files are named by, as drums.wav, or METADATA.yaml names"
        )
    if not spec.encoder and not judged & set(spec.classes):
        raise StemsteerError(
            f"{model} knows {', '.join(spec.classes)}, and of these the songs have none, but "
            f"{', '.join(sorted(judged))}"
        )
