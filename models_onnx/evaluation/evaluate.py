"""Judge models honestly: ``python -m models_onnx evaluate --model steer --data DIR``.

Beside the models stand the mixture, the mixture over the number of its sources, the direction mask
without learning (`panorama`) at the width that suits it best on this very data, and the ratio mask
made from the true sources. Everything runs through `realtime.separator`, as in use.

A model that separates sources of its own, told nothing (vocals, drums …), is judged on the only
source of each of these classes in a scene: compare it in the table of instruments.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from models_onnx import commands
from models_onnx.data.collections import open_collection
from models_onnx.data.scenes import EvaluationScene, evaluation_scenes
from models_onnx.evaluation import metrics, report
from models_onnx.evaluation.rows import Row, measure
from models_onnx.evaluation.systems import (
    PEER,
    TIER_HELP,
    System,
    directions_off,
    judged_model,
    oracle,
    peer_tier,
    separate,
    sounding,
)
from models_onnx.strict_json import to_json
from models_onnx.training.task import ACTIVE_DB
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError
from realtime.model import Model, load_model

PEER_WIDTHS_DEG = (4.0, 7.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
ERRORS_DEG = (0.0, 2.0, 4.0, 8.0, 16.0)
SYNTHETIC, SYNTHETIC_HOURS = Path("synthetic"), 0.25


def best_width_deg(peer: Model, tier: str, judged: list[EvaluationScene]) -> float:
    """Return the width at which the peer's mean SI-SDR over these scenes is highest, degrees.

    Of `PEER_WIDTHS_DEG`, by climbing from the middle: the mean has one top over the width.
    """

    @cache
    def mean(index: int) -> float:
        width_deg, values = PEER_WIDTHS_DEG[index], []
        for scene in judged:
            estimates = separate(peer, tier, scene.mixture, list(scene.azimuth_deg), width_deg)
            values += [metrics.si_sdr_db(estimates[k], scene.images[k]) for k in scene.targets()]
        return float(np.mean(values))

    top, last = len(PEER_WIDTHS_DEG) // 2, len(PEER_WIDTHS_DEG) - 1
    while (best := max({max(top - 1, 0), top, min(top + 1, last)}, key=mean)) != top:
        top = best
    return PEER_WIDTHS_DEG[top]


def wrong_directions(system: System, judged: list[EvaluationScene]) -> Iterator[Row]:
    """Measure with every direction wrong by `ERRORS_DEG`, to either side by a fixed draw."""
    for number, scene in enumerate(judged):
        side = np.random.default_rng(number).choice((-1.0, 1.0), len(scene.azimuth_deg))
        for error_deg in ERRORS_DEG[1:]:
            azimuth_deg = directions_off(scene.azimuth_deg, error_deg, side)
            nearest = np.abs(scene.azimuth_deg[:, None] - azimuth_deg).argmin(0)
            estimates, _ = system.estimates(replace(scene, azimuth_deg=azimuth_deg))
            for row in measure(system.name, number, scene, estimates):
                misled = bool(nearest[row.target] != row.target)
                yield replace(row, error_deg=error_deg, misled=misled)


def evaluate(
    models: list[tuple[str, Model, str]],
    judged: list[EvaluationScene],
    width_deg: float,
    error_scenes: int,
    bss_scenes: int = 0,
) -> tuple[list[Row], float]:
    """Measure everything on every scene.

    Parameters
    ----------
    models : (name of the system, model, tier).
    error_scenes : how many of the scenes are also judged with wrong directions.
    bss_scenes : how many of the scenes are also judged by BSS Eval.

    Returns
    -------
    The rows, and the width of the peer in degrees.
    """
    peer, first_tier = load_model(PEER), models[0][2] if models else "live"
    beside = peer_tier(peer, first_tier)
    peer_width_deg = best_width_deg(peer, beside, judged)
    systems = [System(PEER, peer, beside, peer_width_deg)]
    systems += [System(name, model, tier, width_deg) for name, model, tier in models]
    windows = (models[0][1] if models else peer).spec.tier(first_tier)
    rows: list[Row] = []
    for number, scene in enumerate(track(judged, "scenes", console=Console(stderr=True))):
        copies, bss = np.broadcast_to(scene.mixture, scene.images.shape), number < bss_scenes
        rows += measure("mix", number, scene, copies, bss=bss)
        rows += measure("mix/N", number, scene, copies / np.float32(len(copies)), bss=bss)
        for system in systems:
            rows += _measure_system(system, number, scene, bss=bss)
        rows += measure("oracle", number, scene, oracle(scene, windows), bss=bss)
    for system in systems:
        if not system.has_own_sources:
            rows += wrong_directions(system, judged[:error_scenes])
    return rows, peer_width_deg


def _measure_system(
    system: System, number: int, scene: EvaluationScene, *, bss: bool
) -> Iterator[Row]:
    estimates, activity = system.estimates(scene)
    f1: list[float] = []
    if activity is not None:
        tier = system.model.spec.tier(system.tier)
        true = sounding(scene, tier, ACTIVE_DB)[:, : activity.shape[1]]
        f1 = list(map(metrics.activity_f1, activity > 0.5, true))
    yield from measure(system.name, number, scene, estimates, f1=f1, bss=bss)


def main(
    data: Annotated[
        Path,
        typer.Option(
            help="folder of <song>/<stem>.wav, or shards of models_onnx.data; or the word "
            "synthetic, which renders held-out songs first"
        ),
    ],
    model: Annotated[list[str] | None, typer.Option(help="name or file; repeatable")] = None,
    tier: Annotated[list[str] | None, typer.Option(help=f"{TIER_HELP}; repeatable")] = None,
    count: Annotated[int, typer.Option("--scenes", min=1, help="number of scenes")] = 60,
    seconds: Annotated[float, typer.Option(min=0.1, help="length of a scene")] = 6.0,
    width: Annotated[
        float, typer.Option(min=1, max=90, help="width given to the models, degrees")
    ] = 20.0,
    keep_width: Annotated[bool, typer.Option(help="stems keep their own stereo width")] = True,
    error_scenes: Annotated[int, typer.Option(min=0, help="scenes for wrong directions")] = 12,
    bss_scenes: Annotated[
        int, typer.Option(min=0, help="scenes for SDR, ISR, SIR, SAR (slow)")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other scenes")] = 0,
    out: Annotated[Path | None, typer.Option(help="writes OUT.json and OUT.png")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace files that are there")] = False,
) -> None:
    """Print tables of separation quality with 95 % bootstrap intervals."""
    stem = commands.named(out) if out else None
    files = [stem.with_name(stem.name + suffix) for suffix in (".json", ".png")] if stem else []
    commands.claim(*files, force=force)
    if tier and not model:
        raise StemsteerError(f"--tier {tier[0]}: give a --model that is judged in it")
    models = _judged(model or [], tier or ["live"])
    with _folder(data) as folder:
        songs = open_collection(folder, part="test", as_recorded=True)
        drawn = evaluation_scenes(songs, count, seconds, keep_width=keep_width, seed=seed)
        judged = list(drawn)
    if not any(scene.targets() for scene in judged):
        raise StemsteerError(f"{data}: nothing to judge, in no scene do two stems sound at once")
    rows, peer_width_deg = evaluate(models, judged, width, error_scenes, bss_scenes)
    Console(width=120).print(*report.tables(rows, PEER, peer_width_deg), sep="\n")
    if files:
        facts = {"data": data.name, "scenes": count, "seconds": seconds, "seed": seed}
        facts |= {"width_deg": width, "peer_width_deg": peer_width_deg, "keep_width": keep_width}
        with atomic_write(files[0]) as part:
            part.write_text(to_json({"facts": facts, "rows": [asdict(row) for row in rows]}))
        report.picture(rows, files[1])


@contextmanager
def _folder(data: Path) -> Iterator[Path]:
    """Give the folder of the songs; rendered, always the same ones, where there is none yet."""
    if data != SYNTHETIC or data.exists():
        yield data
        return
    from models_onnx.data.rendering.render import (
        render,  # the renderer needs soundfonts, judging does not
    )

    with tempfile.TemporaryDirectory(prefix="stemsteer-") as folder:
        held = render(Path(folder), SYNTHETIC_HOURS, held_out=True)
        steps = track(held, "songs", console=Console(stderr=True), total=None)
        for _ in steps:
            pass
        yield Path(folder)


def _judged(names: Sequence[str], tiers: Sequence[str]) -> list[tuple[str, Model, str]]:
    """Return the models in the tiers, each with the name of its system.

    Files of one name are told apart by their paths as they were given.
    """
    once = list(dict.fromkeys(names))
    stems = [Path(name).stem for name in once]
    return [
        (f"{stem if stems.count(stem) == 1 else name} {tier}", model, tier)
        for name, stem in zip(once, stems, strict=True)
        for tier in dict.fromkeys(tiers)
        for model in [judged_model(name, tier, "direction", "nothing")]
    ]
