"""Judge separation by timbre: ``python -m models_onnx evaluate-timbre --real SONGS --model FILE``.

The ways of asking stand beside each other: by direction, by name, by one query, by five examples,
with counter-examples, by direction and name; by a timbre learned in two seconds from a direction
that is then let go; by the timbre of what a query has separated; by the true source. Beside them
stand the mixture, the mixture over the number of its classes, the direction mask without learning,
and the ratio mask of the true sources.

Everything runs through `realtime.separator`, as in use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from models_onnx import commands
from models_onnx.evaluation import metrics, systems
from models_onnx.evaluation.timbre_scenes import TimbreScene, made_scenes, real_songs
from models_onnx.evaluation.timbre_tables import Row, tables
from models_onnx.strict_json import to_json
from realtime.atomic import atomic_write
from realtime.conditions import Conditions
from realtime.encoder import LONGEST_S, OnnxEncoder, load_encoder
from realtime.errors import StemsteerError
from realtime.model import Model, load_model
from realtime.separator import Separator
from realtime.stft import MAX_FRAMES

Floats = NDArray[np.float32]
FREE, WIDTH_DEG, PEER_WIDTH_DEG = (0.0, 90.0), 20.0, 30.0
WAYS = ("direction", "name", "query", "few", "few, against", "both", "learned", "iterative", "true")
FIRST = {"learned": "direction", "iterative": "query"}
"""Ways that encode what another way has separated: two seconds of it, or all."""
LEARNED_S = 2.0
EXAMPLES = 5
ABSENT = ("vocals", "drums", "guitar", "piano", "saxophone", "violin", "trumpet", "organ")
RATE_HZ = 44_100


@dataclass(frozen=True)
class Question:
    """What the model is told: a direction, a timbre and a counter-example, zeros for none."""

    way: str
    index: int
    instrument: str
    direction: tuple[float, float]
    timbre: Floats
    against: Floats


def questions(
    model: Model, encoder: OnnxEncoder, scene: TimbreScene, ways: Sequence[str]
) -> list[Question]:
    """Ask for every class of a scene in every way that can be had, and for absent ones by name."""
    size = model.spec.conditions["timbre"]
    nothing = np.zeros(size, np.float32)
    asked = []
    for k in scene.judged():
        name = scene.classes[k]
        direction = (scene.azimuth_deg(k), WIDTH_DEG)
        named = np.array(model.spec.classes[name], np.float32)
        clips = [_heard(encoder, scene.clip(name, n)) for n in range(EXAMPLES)]
        others = [c for n in scene.classes if n != name for c in [scene.clip(n, 0)]]
        unlike = [_heard(encoder, c) for c in others]
        for way in ways:
            where, timbre, against = FREE, nothing, nothing
            if way in ("direction", "both"):
                where = direction
            if way in ("name", "both"):
                timbre = named
            elif way == "query":
                timbre = _mean(clips[:1])
            elif way.startswith("few"):
                timbre = _mean(clips)
            elif way == "true":
                timbre = _mean([_heard(encoder, scene.images[k])])
            if way.endswith("against"):
                against = _mean(unlike)
            told = way == "direction" or np.any(timbre)
            if told and (np.any(against) or not way.endswith("against")):
                asked.append(Question(way, k, name, where, timbre, against))
    if "name" in ways:
        for name in ABSENT:
            if name not in scene.classes:
                vector = np.array(model.spec.classes[name], np.float32)
                asked.append(Question("name", -1, name, FREE, vector, nothing))
    return asked


def again(
    encoder: OnnxEncoder,
    scene: TimbreScene,
    asked: Sequence[Question],
    estimates: Floats,
    ways: Sequence[str],
) -> list[Question]:
    """Ask once more, with the timbres of what was separated.

    To learn, one listens where the source plays: in its loudest two seconds.
    """
    found = []
    for way in ways:
        for question, estimate in zip(asked, estimates, strict=True):
            if question.way != FIRST.get(way) or question.index < 0:
                continue
            try:
                if way == "learned":
                    heard = _loudest(scene.images[question.index], LEARNED_S)
                    rest = scene.mixture[:, heard] - estimate[:, heard]
                    timbre = encoder.encode_separated(estimate[:, heard], rest)
                else:
                    timbre = encoder.encode(estimate)
            except ValueError:  # silent
                continue
            nothing = np.zeros_like(timbre)
            found.append(Question(way, question.index, question.instrument, FREE, timbre, nothing))
    return found


def _loudest(audio: Floats, seconds: float) -> slice:
    """Return where the loudest stretch of a length is, of those a quarter of it apart."""
    count = min(audio.shape[1], round(seconds * RATE_HZ))
    starts = range(0, audio.shape[1] - count + 1, max(1, count // 4))
    places = (slice(a, a + count) for a in starts)
    return max(places, key=lambda place: float(np.square(audio[:, place]).sum()))


def _heard(encoder: OnnxEncoder, clip: Floats | None) -> Floats | None:
    if clip is None:
        return None
    most = round(LONGEST_S * RATE_HZ)
    return encoder.encode(clip[:, :most])


def _mean(timbres: Sequence[Floats | None]) -> Floats:
    """Return the mean of timbres, of unit length; zeros where there are none."""
    there = [t for t in timbres if t is not None]
    if not there:
        return np.zeros(1, np.float32)
    mean = np.mean(there, axis=0)
    return np.asarray(mean / (np.linalg.norm(mean) + 1e-9), np.float32)


def separated(model: Model, tier: str, mixture: Floats, asked: Sequence[Question]) -> Floats:
    """Stream a mixture (2, n) through a model: (questions, 2, n)."""
    values = {
        "direction": np.array([q.direction for q in asked], np.float32),
        "timbre": np.stack([q.timbre for q in asked]),
        "against": np.stack([q.against for q in asked]),
    }

    def conditions(first_frame: int, frames: int) -> Conditions:
        return {
            name: np.broadcast_to(values[name], (frames, *values[name].shape))
            for name in model.spec.conditions
        }

    separator = Separator(model, RATE_HZ, targets=len(asked), tier=tier, conditions=conditions)
    latency, piece = separator.latency, MAX_FRAMES * separator.tier.hop
    stems = [
        separator.process(mixture[:, start : start + piece])
        for start in range(0, mixture.shape[1], piece)
    ]
    stems.append(separator.flush())
    return np.concatenate(stems, axis=2)[:-1, :, latency:]


def measure(system: str, scene: TimbreScene, index: int, instrument: str, estimate: Floats) -> Row:
    """Measure the estimate of a class, or of an absent one."""
    ratio = np.square(estimate, dtype=np.float64).sum() / np.square(scene.mixture).sum()
    level_db = metrics.db(float(ratio))
    if index < 0:
        nan = float("nan")
        return Row(system, scene.name, instrument, nan, nan, nan, level_db, absent=True)
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
    )


def evaluate(
    model: Model, tier: str, encoder: OnnxEncoder, scenes: Sequence[TimbreScene],
    ways: Sequence[str],
) -> Iterator[Row]:  # fmt: skip
    """Measure every way of asking on every scene, and what needs no asking."""
    peer = load_model("panorama")
    for scene in track(scenes, "scenes", console=Console(stderr=True)):
        needed = [*ways, *(FIRST[way] for way in ways if way in FIRST)]
        asked = questions(model, encoder, scene, list(dict.fromkeys(needed)))
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
        places = [scene.azimuth_deg(k) for k in judged]
        peers = systems.separate(peer, tier, scene.mixture, places, PEER_WIDTH_DEG)
        masked = systems.oracle(scene, model.spec.tier(tier))
        for k, found in zip(judged, peers, strict=True):
            name = scene.classes[k]
            yield measure("mix", scene, k, name, scene.mixture)
            yield measure("mix/N", scene, k, name, scene.mixture / np.float32(len(scene.classes)))
            yield measure("panorama", scene, k, name, found)
            yield measure("oracle", scene, k, name, masked[k])


def main(
    model: Annotated[str, typer.Option(help="name or file of a model that takes a timbre")],
    real: Annotated[
        Path | None, typer.Option(help="folder of songs with METADATA.yaml and stem_01.flac …")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="folder of songs of the renderer")] = None,
    by: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(WAYS)}; repeatable; default: all")
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="name or file of the encoder")] = None,
    tier: Annotated[str, typer.Option(help="live, studio or offline")] = "live",
    count: Annotated[int, typer.Option("--scenes", min=1, help="scenes of DATA")] = 40,
    seconds: Annotated[float, typer.Option(min=1.0, help="length of a scene of DATA")] = 6.0,
    produced: Annotated[
        bool, typer.Option(help="mixed as productions are; else spread out")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other scenes")] = 0,
    out: Annotated[Path | None, typer.Option(help="also write the rows as JSON")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Print gains by timbre with 95 % bootstrap intervals."""
    ways = by or list(WAYS)
    if odd := [way for way in ways if way not in WAYS]:
        raise StemsteerError(f"--by {odd[0]}: expected one of {', '.join(WAYS)}")
    if (real is None) == (data is None):
        raise StemsteerError("give the songs as --real or as --data, one of the two")
    commands.claim(*([out] if out else []), force=force)
    loaded = load_model(model, tier)
    if "timbre" not in loaded.spec.conditions or not loaded.spec.classes:
        raise StemsteerError(f"{model} takes no timbre: give a model that does")
    heard = load_encoder(encoder or _beside(model))
    if heard.spec.encoder != loaded.spec.encoder:
        raise StemsteerError(
            f"{model} was trained with {loaded.spec.encoder}, not with {heard.spec.encoder}: give "
            "its own as --encoder"
        )
    if real is not None:
        scenes = real_songs(real)
    else:
        assert data is not None
        scenes = made_scenes(data, count, seconds, produced=produced, seed=seed)
    rows = list(evaluate(loaded, tier, heard, scenes, ways))
    Console(width=150).print(*tables(rows), sep="\n")
    if out:
        with atomic_write(out) as part:
            part.write_text(to_json([asdict(row) for row in rows]))


def _beside(model: str) -> str:
    """Return the encoder in the folder of a model file; else the one of that name."""
    path = Path(model).parent / "encoders" / "listen.onnx"
    return str(path) if path.is_file() else "listen"
