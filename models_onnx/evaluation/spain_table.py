"""What a direction is worth: ``python -m models_onnx spain-table --data DIR --runs DIR``.

Every run of `train-spain` in a folder, exported and streamed as in use, beside the mixture, a
quarter of it, the direction mask without learning at its best width on this data, `steer`, and the
ratio mask of the true sources; all but bidirectional runs in the tier live. Where two sources are
of one instrument, networks that are told no direction are also scored in the order of the two that
suits them better. Prints tables in Markdown.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from models_onnx import commands
from models_onnx.data.scenes import EvaluationScene
from models_onnx.evaluation.evaluate import ERRORS_DEG, best_width_deg
from models_onnx.evaluation.metrics import db, interval, si_sdr_db
from models_onnx.evaluation.systems import PEER, directions_off, oracle, separate
from models_onnx.export import export
from models_onnx.networks import registry
from models_onnx.networks.checkpoints import FILE
from models_onnx.networks.spain.config import TASKS
from models_onnx.networks.spain.network import SpainXumx
from models_onnx.strict_json import to_json
from models_onnx.training.spain_batches import Stems, evaluation_scenes, instrument
from realtime.arrays import Floats
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError
from realtime.model import load_model

System = Callable[[EvaluationScene, Floats], Floats]
"""A scene and the directions that are told, to the estimates (sources, 2, n)."""
STEER_WIDTH_DEG = 8.0
BASELINE, EITHER = "none", "none, either order"


@dataclass(frozen=True)
class Score:
    """One source of one scene by one system: `sdr_db` is 10 log10 |s|² / |s − ŝ|²."""

    task: str
    system: str
    scene: int
    source: str
    error_deg: float
    si_sdr_db: float
    sdr_db: float


def trained(folder: Path, files: Path) -> tuple[str, str, System]:
    """Return the task of a run, its name among systems, and how it separates.

    Parameters
    ----------
    files : folder for the exported file.
    """
    network, spec, found = registry.restore(folder)
    if not isinstance(network, SpainXumx):
        raise StemsteerError(
            f"{folder} holds a run of {found['about']['network']}, expected those of "
            "models_onnx.training.train_spain: move it elsewhere"
        )
    config = network.config
    task = next(task for task, sources in TASKS.items() if sources == config.sources)
    name = config.condition
    if name != BASELINE and found["about"]["noise"]:
        name += ", noise"
    if config.bidirectional:
        name += ", BLSTM"
    path = export(network.streaming(), spec, files / f"{folder.name}.onnx", states=network.states())
    model = load_model(path)
    tier = next(iter(spec.tiers))
    return task, name, lambda scene, az: separate(model, tier, scene.mixture, list(az), 20.0)


def untrained(judged: list[EvaluationScene]) -> dict[str, System]:
    """Return the systems that need no training here, by name."""
    peer, steer = load_model(PEER), load_model("steer", "live")
    width_deg = best_width_deg(peer, "live", judged)
    count = len(judged[0].names)
    return {
        "mix": lambda scene, az: np.repeat(scene.mixture[None], count, 0),
        "mix/4": lambda scene, az: np.repeat(scene.mixture[None], count, 0) / np.float32(count),
        f"panorama, {width_deg:g}°": lambda scene, az: separate(
            peer, "live", scene.mixture, list(az), width_deg
        ),
        f"steer, {STEER_WIDTH_DEG:g}°": lambda scene, az: separate(
            steer, "live", scene.mixture, list(az), STEER_WIDTH_DEG
        ),
        "oracle": lambda scene, az: oracle(scene, steer.spec.tier("live")),
    }


def score(
    task: str, system: str, number: int, scene: EvaluationScene, error_deg: float, estimates: Floats
) -> list[Score]:
    """Score the estimates (sources, 2, n) of a scene; NaN for a source that is silent."""
    return [
        Score(
            task,
            system,
            number,
            name,
            error_deg,
            si_sdr_db(estimate, image),
            _sdr_db(estimate, image),
        )
        for name, estimate, image in zip(scene.names, estimates, scene.images, strict=True)
    ]


def _sdr_db(estimate: Floats, image: Floats) -> float:
    if not np.any(image):
        return float("nan")
    return db(float(np.square(image).sum() / (np.square(image - estimate).sum() + 1e-12)))


def best_order(scene: EvaluationScene, estimates: Floats) -> Floats:
    """Return the estimates, those of one instrument in the order of the highest mean SI-SDR."""
    orders = [
        list(order)
        for order in itertools.permutations(range(len(scene.names)))
        if all(
            instrument(scene.names[k]) == instrument(scene.names[j]) for k, j in enumerate(order)
        )
    ]

    def total_db(order: list[int]) -> float:
        pairs = zip(estimates[order], scene.images, strict=True)
        return float(np.nansum([si_sdr_db(e, image) for e, image in pairs]))

    best: Floats = estimates[max(orders, key=total_db)]
    return best


def judge(
    task: str, systems: dict[str, System], judged: Sequence[EvaluationScene], error_scenes: int
) -> Iterable[Score]:
    """Yield all scores of a task; the first scenes also with directions wrong to a random side."""
    for number, scene in enumerate(judged):
        side = np.random.default_rng(number).choice((-1.0, 1.0), len(scene.azimuth_deg))
        for name, system in systems.items():
            told = not name.startswith(("mix", "oracle", BASELINE))
            for error_deg in ERRORS_DEG if told and number < error_scenes else ERRORS_DEG[:1]:
                estimates = system(scene, directions_off(scene.azimuth_deg, error_deg, side))
                yield from score(task, name, number, scene, error_deg, estimates)
                if name == BASELINE and len(set(map(instrument, scene.names))) < len(scene.names):
                    ordered = best_order(scene, estimates)
                    yield from score(task, EITHER, number, scene, error_deg, ordered)


def tables(scores: Sequence[Score]) -> str:
    """Return the tables of one task in Markdown."""
    right = [s for s in scores if s.error_deg == 0]
    names = list(dict.fromkeys(s.system for s in right))
    sources = list(dict.fromkeys(s.source for s in right))
    scenes = len({s.scene for s in right})
    lines = [f"### {scores[0].task}: {', '.join(sources)}; {scenes} scenes", ""]
    for title, field in (("SI-SDR", "si_sdr_db"), ("SDR", "sdr_db")):
        lines += _head(f"{title}, dB, mean [95 %]", ["all", *sources])
        for name in names:
            own = [s for s in right if s.system == name]
            cells = [_mean(own, field)]
            cells += [_mean([s for s in own if s.source == source], field) for source in sources]
            lines.append(_line(name, cells))
        lines.append("")
    lines += _head("SI-SDR above", [n for n in (BASELINE, EITHER) if n in names])
    bases = [n for n in (BASELINE, EITHER) if n in names]
    for name in names:
        if not name.startswith(("mix", BASELINE)):
            lines.append(_line(name, [_above(right, name, base) for base in bases]))
    wrong = {s.scene for s in scores if s.error_deg > 0}
    some = [s for s in scores if s.scene in wrong]
    moved = list(dict.fromkeys(s.system for s in some if s.error_deg > 0))
    columns = [f"{error:g}°" for error in ERRORS_DEG]
    lines += ["", *_head(f"SI-SDR, direction wrong by, {len(wrong)} scenes", columns)]
    for name in moved:
        own = [s for s in some if s.system == name]
        cells = [_mean([s for s in own if s.error_deg == e], "si_sdr_db") for e in ERRORS_DEG]
        lines.append(_line(name, cells))
    return "\n".join(lines) + "\n"


def _by_scene(scores: Iterable[Score], field: str) -> dict[int, float]:
    found: dict[int, list[float]] = {}
    for s in scores:
        if np.isfinite(getattr(s, field)):
            found.setdefault(s.scene, []).append(getattr(s, field))
    return {scene: float(np.mean(values)) for scene, values in found.items()}


def _mean(scores: Iterable[Score], field: str) -> str:
    """Return the mean over scenes of the mean over sources, its interval that over scenes."""
    return str(interval(np.array(list(_by_scene(scores, field).values()))))


def _above(scores: Sequence[Score], name: str, base: str) -> str:
    own, other = (
        _by_scene([s for s in scores if s.system == n], "si_sdr_db") for n in (name, base)
    )
    found = interval(np.array([own[k] - other[k] for k in own]))
    return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def _head(title: str, columns: list[str]) -> list[str]:
    return [_line(title, columns), "|---|" + "---:|" * len(columns)]


def _line(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def main(
    data: Annotated[Path, typer.Option(help="songs that no training has met")],
    runs: Annotated[Path, typer.Option(help="folder of folders of runs")],
    count: Annotated[int, typer.Option("--scenes", min=1, help="scenes a task")] = 40,
    error_scenes: Annotated[
        int, typer.Option(min=1, help="of them also with wrong directions")
    ] = 16,
    seconds: Annotated[float, typer.Option(min=0.1, help="length of a scene")] = 5.0,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other scenes")] = 0,
    out: Annotated[Path | None, typer.Option(help="JSON file of all scores")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Print tables for the tasks of which there are runs."""
    if out is not None:
        commands.claim(out, force=force)
    checkpoints = sorted(runs.glob(f"*/{FILE}"))
    if not checkpoints:
        raise StemsteerError(f"{runs} holds no runs, expected {runs}/<run>/{FILE}")
    torch.set_num_threads(1)
    scores: list[Score] = []
    with tempfile.TemporaryDirectory() as files:
        found = [trained(path.parent, Path(files)) for path in checkpoints]
        for task, sources in TASKS.items():
            trained_networks = {name: system for owner, name, system in found if owner == task}
            if not trained_networks:
                continue
            judged = list(
                evaluation_scenes(Stems([data], sources, part="test"), count, seconds, seed)
            )
            systems = untrained(judged[:error_scenes])
            own = list(judge(task, systems | trained_networks, judged, error_scenes))
            print(tables(own), flush=True)
            scores += own
    if out is not None:
        with atomic_write(out) as part:
            part.write_text(to_json([asdict(s) for s in scores]))
