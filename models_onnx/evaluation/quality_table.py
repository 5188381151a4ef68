"""Judge the judge: ``python -m models_onnx evaluate-report --data SONGS [--by name]``.

`render --report` says how sure a stem is without knowing what is true. On scenes whose sources are
known, what it expects stands beside the true SI-SDR.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import typer
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from models_onnx.data.collections import open_collection
from models_onnx.data.scenes import EvaluationScene, evaluation_scenes
from models_onnx.data.stems import RATE_HZ
from models_onnx.evaluation.by_timbre import separated
from models_onnx.evaluation.metrics import si_sdr_db
from models_onnx.evaluation.systems import judged_model, separate
from models_onnx.evaluation.timbre_scenes import TimbreScene, made_scenes
from models_onnx.evaluation.timbre_ways import FREE, Question
from plugin_bridge.offline.stem_quality import GRADES, StemQuality, judge_stems
from realtime.arrays import Floats
from realtime.errors import StemsteerError
from realtime.model import Model

WIDTH_DEG = 25.0
TIER = "offline"
DEFAULTS = {"direction": ("panorama", "steer"), "name": ("timbre-unet", "steer")}
"""What is judged where no model is named, by what the stems are asked by."""
CERTAIN_DB = 99.0
"""Stands for an expectation that has no end: every bin is the stem's alone."""


@dataclass(frozen=True)
class JudgedStem:
    """A stem: what was expected of it, what is true, and the word for it."""

    expected_db: float
    true_db: float
    grade: str


def judged(model: Model, scene: EvaluationScene, folder: Path) -> Iterator[JudgedStem]:
    """Separate the sources of a scene by their directions, and judge the stems as files."""
    estimates = separate(model, TIER, scene.mixture, list(scene.azimuth_deg), WIDTH_DEG)
    for k in scene.targets():
        found = _judge(scene.mixture, estimates[k], float(scene.azimuth_deg[k]), WIDTH_DEG, folder)
        yield _row(found, si_sdr_db(estimates[k], scene.images[k]))


def judged_by_name(model: Model, scene: TimbreScene, folder: Path) -> Iterator[JudgedStem]:
    """Separate the classes of a scene by their names, each alone, and judge the stems as files."""
    known = [k for k in scene.judged() if scene.classes[k] in model.spec.classes]
    timbres = [np.array(model.spec.classes[scene.classes[k]], np.float32) for k in known]
    asked = [
        Question("name", k, scene.classes[k], FREE, timbre, np.zeros_like(timbre))
        for k, timbre in zip(known, timbres, strict=True)
    ]
    estimates = separated(model, TIER, scene.mixture, asked) if asked else ()
    for k, estimate in zip(known, estimates, strict=True):
        found = _judge(scene.mixture, estimate, *FREE, folder)
        yield _row(found, si_sdr_db(estimate, scene.images[k]))


def _judge(
    mixture: Floats, stem: Floats, azimuth_deg: float, width_deg: float, folder: Path
) -> StemQuality:
    sounds = {"mix": mixture, "stem": stem, "rest": mixture - stem}
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.wav", sound.T, RATE_HZ, subtype="FLOAT")
    target = ("stem", folder / "stem.wav", azimuth_deg, width_deg)
    return judge_stems(folder / "mix.wav", [target], folder / "rest.wav").stems[0]


def _row(found: StemQuality, true_db: float) -> JudgedStem:
    expected_db = CERTAIN_DB if found.expected_sdr_db is None else found.expected_sdr_db
    return JudgedStem(expected_db, true_db, found.verdict.split(";")[0].split(":")[0])


def table(rows: dict[str, list[JudgedStem]]) -> Table:
    """Return the rank correlation of each model, and the true SI-SDR by grade."""
    grades = [word for _, word in GRADES]
    out = Table(title="true SI-SDR, dB, median, of stems that the report calls so")
    for title in ("", "stems", "rank correlation", *grades):
        out.add_column(title, justify="right" if title else "left")
    for name, own in rows.items():
        expected, true = [row.expected_db for row in own], [row.true_db for row in own]
        cells = []
        for grade in grades:
            values = [row.true_db for row in own if row.grade == grade]
            cells.append(f"{np.median(values):.1f} ({len(values)})" if values else "–")
        rank = float(spearmanr(expected, true).statistic)
        out.add_row(name, str(len(own)), f"{rank:.2f}", *cells)
    return out


def main(
    data: Annotated[Path, typer.Option(help="songs that no training has met")],
    model: Annotated[list[str] | None, typer.Option(help="name or file; repeatable")] = None,
    count: Annotated[int, typer.Option("--scenes", min=1, help="number of scenes")] = 8,
    seconds: Annotated[float, typer.Option(min=1.0, help="length of a scene")] = 5.0,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other scenes")] = 0,
    by: Annotated[str, typer.Option(help="what the stems are asked by: direction or name")] = (
        "direction"
    ),
) -> None:
    """Print how well the report of a render knows how good its stems are."""
    if by not in DEFAULTS:
        raise StemsteerError(f"--by {by}: expected direction or name")
    names = dict.fromkeys(model or DEFAULTS[by])
    rows: dict[str, list[JudgedStem]] = {}
    with tempfile.TemporaryDirectory(prefix="stemsteer-") as temporary:
        folder = Path(temporary)
        if by == "direction":
            pointed = {name: judged_model(name, TIER, "direction") for name in names}
            songs = open_collection(data, part="test", as_recorded=True)
            scenes = list(evaluation_scenes(songs, count, seconds, keep_width=True, seed=seed))
            for name, loaded in pointed.items():
                rows[name] = [row for s in scenes for row in judged(loaded, s, folder)]
        else:
            told = {name: judged_model(name, TIER, "timbre", file_tier="live") for name in names}
            produced = made_scenes(data, count, seconds, produced=True, seed=seed)
            for name, loaded in told.items():
                rows[name] = [row for s in produced for row in judged_by_name(loaded, s, folder)]
    Console(width=120).print(table(rows))
