"""Judge `scan`: ``python -m models_onnx evaluate-scan --data SONGS``, or ``--stems FOLDER``.

A direction of a scene is found if a peak is within 4° of it, of a wide one within a third of its
width; a peak finds one direction alone. A peak that is neither that nor within half the width of a
source is a false alarm; one that is of a source that was found already is a double. Beside the
peaks over time stand those over all, without time: maxima within 12 dB of the loudest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from models_onnx import commands
from models_onnx.data.collections import open_collection
from models_onnx.data.stems import RATE_HZ
from models_onnx.evaluation.scan_scenes import (
    Placed,
    ScanScene,
    Stretch,
    made_scenes,
    stem_scenes,
)
from models_onnx.strict_json import to_json
from plugin_bridge.offline.peaks import whole_peaks
from plugin_bridge.offline.scan import measure_field
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError

NEAR_DEG = 4.0
GROUPS = ("loud", "weak", "brief", "wide")
NEW, OLD = "over time", "over all"
STEP_S = 0.25


@dataclass(frozen=True)
class Row:
    """A source of a scene, or a peak that is of none (`group` "false" or "double")."""

    system: str
    scene: str
    group: str
    found: bool
    azimuth_error_deg: float = float("nan")
    overlap: float = float("nan")
    sure: float = float("nan")


@dataclass(frozen=True)
class Found:
    """What a system says: a direction, where it is heard, and how sure it is."""

    azimuth_deg: float
    stretches: tuple[Stretch, ...]
    sure: float


def judge(system: str, scene: ScanScene, found: Sequence[Found]) -> Iterator[Row]:
    """Compare what was found in a scene with what is there."""
    pairs = _pairs(scene.placed, found)
    for number, placed in enumerate(scene.placed):
        if number not in pairs:
            yield Row(system, scene.name, placed.group, found=False)
            continue
        best = found[pairs[number]]
        error_deg = abs(best.azimuth_deg - placed.azimuth_deg)
        overlap = intersection_over_union(best.stretches, placed.stretches, scene.seconds)
        yield Row(system, scene.name, placed.group, True, error_deg, overlap, best.sure)
    for k, one in enumerate(found):
        if k not in pairs.values():
            inside = any(_within(one, placed) for placed in scene.placed)
            yield Row(system, scene.name, "double" if inside else "false", inside, sure=one.sure)


def _pairs(placed: Sequence[Placed], found: Sequence[Found]) -> dict[int, int]:
    """Return which peak each source is found by: as many as can be, then the nearest ones."""
    there_deg, found_deg = ([one.azimuth_deg for one in some] for some in (placed, found))
    errors_deg = np.abs(np.subtract.outer(there_deg, found_deg))
    within = errors_deg <= np.array([_reach_deg(source) for source in placed])[:, None]
    sources, peaks = linear_sum_assignment(np.where(within, errors_deg, 90.0 * len(placed)))
    pairs = zip(sources.tolist(), peaks.tolist(), strict=True)
    return {source: peak for source, peak in pairs if within[source, peak]}


def _reach_deg(placed: Placed) -> float:
    return max(NEAR_DEG, placed.width_deg / 3 if placed.group == "wide" else 0.0)


def _within(one: Found, placed: Placed) -> bool:
    return abs(one.azimuth_deg - placed.azimuth_deg) <= max(NEAR_DEG, placed.width_deg / 2)


def intersection_over_union(
    one: Sequence[Stretch], other: Sequence[Stretch], seconds: float
) -> float:
    """Return the time that two lists of stretches share, over the time of both together."""
    time_s = np.arange(0, seconds, STEP_S)
    first, second = (
        np.any([(time_s >= a) & (time_s < b) for a, b in stretches or [(0, 0)]], axis=0)
        for stretches in (one, other)
    )
    return float((first & second).sum() / max(1, (first | second).sum()))


def evaluate(scenes: Iterator[ScanScene], count: int) -> Iterator[Row]:
    """Scan scenes, and measure what is found over time and over all."""
    for scene in track(scenes, "scenes", console=Console(stderr=True), total=count):
        field = measure_field([scene.mixture], scene.mixture.shape[1], RATE_HZ)
        whole = ((0.0, scene.seconds),)
        over_time = [
            Found(p.target.azimuth_deg, p.target.stretches_s, p.sure) for p in field.peaks()
        ]
        yield from judge(NEW, scene, over_time)
        over_all = [Found(azimuth_deg, whole, 1.0) for azimuth_deg in whole_peaks(field.level)]
        yield from judge(OLD, scene, over_all)


def tables(rows: Sequence[Row]) -> Iterator[Table]:
    """Return the table of recall and false alarms, and that of how sure it is."""
    scenes = len({row.scene for row in rows})
    table = Table(title=f"directions found, of those there are; {scenes} scenes")
    for title in ("", *GROUPS, "false", "doubles", "off by, median", "overlap in time, median"):
        table.add_column(title, justify="right" if title else "left")
    for system in (NEW, OLD):
        own = [row for row in rows if row.system == system]
        there = [row for row in own if row.group in GROUPS]
        cells = []
        for group in GROUPS:
            hits = [row.found for row in there if row.group == group]
            cells.append(f"{sum(hits)} of {len(hits)}")
        cells += [str(sum(row.group == group for row in own)) for group in ("false", "double")]
        hits_only = [row for row in there if row.found]
        off_deg = [row.azimuth_error_deg for row in hits_only]
        overlaps = [row.overlap for row in hits_only]
        cells += [f"{np.median(off_deg):.1f}°", f"{np.median(overlaps):.2f}"] if hits_only else []
        table.add_row(system, *cells)
    yield table
    yield _calibration([row for row in rows if row.system == NEW])


def _calibration(rows: Sequence[Row]) -> Table:
    told = [row for row in rows if np.isfinite(row.sure)]
    table = Table(title="how sure it says it is, and how often it is right")
    for title in ("sure", "peaks", "right"):
        table.add_column(title, justify="right")
    for low, high in ((0.0, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 1.01)):
        own = [row.group != "false" for row in told if low <= row.sure < high]
        table.add_row(
            f"{low:.1f}–{min(high, 1):.1f}", str(len(own)), f"{np.mean(own):.0%}" if own else "–"
        )
    return table


def main(
    data: Annotated[
        list[Path] | None, typer.Option(help="songs of the renderer, for made scenes; repeatable")
    ] = None,
    stems: Annotated[
        Path | None, typer.Option(help="folder of <song>/<stem>.wav, for scenes of real stems")
    ] = None,
    count: Annotated[int, typer.Option("--scenes", min=1, help="number of scenes")] = 24,
    seconds: Annotated[float, typer.Option(min=30.0, help="length of a made scene")] = 120.0,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other scenes")] = 0,
    out: Annotated[Path | None, typer.Option(help="also write the rows as JSON")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Print which directions are found, and how often it is wrong."""
    if bool(data) == (stems is not None):
        raise StemsteerError("give the songs as --data or as --stems, one of the two")
    commands.claim(*([out] if out else []), force=force)
    if stems is not None:
        opened = open_collection(stems, part="test", as_recorded=True)
        scenes = stem_scenes(opened, count, seconds, seed)
    else:
        scenes = made_scenes(
            [open_collection(folder, part="test") for folder in data or ()], count, seconds, seed
        )
    rows = list(evaluate(scenes, count))
    Console(width=150).print(*tables(rows), sep="\n")
    if out:
        with atomic_write(out) as part:
            part.write_text(to_json([asdict(row) for row in rows]))
