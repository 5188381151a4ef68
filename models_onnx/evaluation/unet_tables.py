"""What the parts of systems 2 to 5 are worth: ``python -m models_onnx unet-table TABLE``.

The runs of `train-unet` in a folder, exported and streamed as in use, beside the mixture, the
mixture over the number of its instruments, `steer` told the same names, and the ratio mask of the
true sources. Means have 95 % bootstrap intervals; differences are paired, over the same targets.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from models_onnx import commands
from models_onnx.data.classes import ORCHESTRA_13, UNSEEN
from models_onnx.data.collections import open_pool
from models_onnx.evaluation import metrics, systems
from models_onnx.evaluation import unet_systems as unets
from models_onnx.evaluation.timbre_scenes import TimbreScene, made_scenes
from models_onnx.evaluation.unet_systems import Ask, JudgedRun, UNetRow, exported_run, separated
from models_onnx.strict_json import to_json
from models_onnx.training.unet_batches import batches_of
from plugin_bridge.picture.recognise import recognise
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError
from realtime.model import load_model

DIFFERENCES: dict[str, tuple[tuple[str, str], ...]] = {
    "query": (("true source", "mean"), ("query", "mean"), ("mean, iterative", "mean"),
              ("query, iterative", "query")),
    "fewshot": (("5 examples", "one-hot"), ("5 examples", "1 example"),
                ("5 + counter-examples", "5 examples")),
    "label": (("label-encoder", "label-none"), ("label-multiply", "label-none"),
              ("label-encoder, by pictures", "label-encoder"),
              ("label-encoder, Wiener 1", "label-encoder"),
              ("label-encoder, Wiener 2", "label-encoder")),
    "activity": (("hold", "no weight"), ("median", "no weight"), ("no weight", "no head"),
                 ("hold", "no head")),
}  # fmt: skip
"""Of each table, the pairs of systems of which the first is to be above the second."""
DRAWN = 5
"""Scenes drawn for each that the table of examples keeps, to find unseen classes."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
Measured = Callable[[TimbreScene], Iterable[UNetRow]]


def ensembles(folder: Path, count: int, seconds: float, seed: int) -> list[TimbreScene]:
    """Draw scenes of two to seven orchestral instruments, always the same for a seed."""
    pool, _ = open_pool([str(folder)], part="test")
    draw = batches_of("label", pool, seed, 1, 1, seconds)
    scenes = []
    for number in range(count):
        batch = draw(number)
        places = np.flatnonzero(np.abs(batch.targets[0].numpy()).max((1, 2)) > 0)
        names = tuple(ORCHESTRA_13[k] for k in places)
        images = batch.targets[0].numpy()[places]
        scenes.append(
            TimbreScene(f"ensemble {number}", images.sum(0), names, images, lambda name, n: None)
        )
    return scenes


def balanced(scenes: Sequence[TimbreScene], count: int) -> list[TimbreScene]:
    """Return so many scenes, half of them with classes that no training met, as far as there are.

    Harp, accordion and mallets are rare: among scenes as they come hardly one target is theirs.
    """

    def is_unseen(scene: TimbreScene) -> bool:
        return any(scene.classes[k] in UNSEEN for k in scene.judged())

    unseen = [scene for scene in scenes if is_unseen(scene)][: count // 2]
    others = [scene for scene in scenes if not is_unseen(scene)]
    return [*unseen, *others[: count - len(unseen)]]


def peers(scene: TimbreScene) -> Iterator[UNetRow]:
    """Measure what needs no training here: mixture, its share, `steer` by name, the ratio mask."""
    steer = load_model("steer")
    asked = []
    for k in scene.judged():
        name, nothing = scene.classes[k], np.zeros(1, np.float32)
        mixed = Ask("mix", k, name, nothing)
        yield unets.measure(mixed, scene, scene.mixture)
        share = scene.mixture / np.float32(len(scene.classes))
        yield unets.measure(mixed, scene, share, "mix/N")
        if name in steer.spec.classes:
            asked.append(Ask("steer", k, name, np.array(steer.spec.classes[name], np.float32)))
        masked = systems.oracle(scene, steer.spec.tier("live"))[k]
        yield unets.measure(mixed, scene, masked, "oracle")
    if asked:
        for ask, estimate in zip(asked, separated(steer, scene.mixture, asked)[0], strict=True):
            yield unets.measure(ask, scene, estimate)


def measured(table: str, runs: Path, folder: Path, pictures: Path | None) -> Measured:
    """Return what measures a scene for a table."""
    run = partial(exported_run, runs, folder=folder)
    if table == "query":
        return partial(unets.of_queries, run("query"))
    if table == "fewshot":
        return partial(unets.of_examples, run("fewshot"), run("one-hot"))
    if table == "activity":
        gates = {"no weight": "none", "hold": "hold", "median": "median"}
        found = {name: run("activity", gate=gate) for name, gate in gates.items()}
        return partial(unets.of_activity, {"no head": run("one-hot"), **found})
    labels = {name: run(name) for name in ("label-none", "label-encoder", "label-multiply")}
    return partial(unets.of_labels, labels, pictures=recognised(pictures))


def recognised(folder: Path | None) -> dict[str, str]:
    """Return what is recognised on pictures <instrument>.png: orchestral instruments alone."""
    files = sorted(folder.glob("*.*")) if folder else []
    found = {f.stem: recognise(f).instruments[0] for f in files if f.stem in ORCHESTRA_13}
    return {name: seen for name, seen in found.items() if seen in ORCHESTRA_13}


def morphed(judged: JudgedRun, scenes: Sequence[TimbreScene]) -> Table:
    """Measure levels of two sources while the latent goes from one's mean to the other's."""
    levels, monotone = [], []
    for scene in scenes:
        known = [k for k in scene.judged() if judged.named(scene.classes[k]) is not None]
        if len(known) < 2:
            continue
        first, second = known[:2]
        ends = [judged.named(scene.classes[k]) for k in (first, second)]
        asked = [Ask("slerp", first, "", slerp(ends[0], ends[1], a)) for a in SHARES]
        estimates, _ = separated(judged.model, scene.mixture, asked)
        rest = scene.images[first], scene.images[second]
        found = np.array([_levels_db(estimate, *rest) for estimate in estimates])  # (shares, 2)
        levels.append(found)
        steps = np.diff(found, axis=0)
        monotone.append([np.mean(steps[:, 0] <= 0.1), np.mean(steps[:, 1] >= -0.1)])
    table = Table(
        title=f"slerp from one mean to another, {len(levels)} pairs: level in the estimate"
    )
    for word in ("share", "first, dB", "second, dB"):
        table.add_column(word, justify="right")
    if levels:
        for share, row in zip(SHARES, np.mean(levels, axis=0), strict=True):
            table.add_row(f"{share:g}", *(f"{value:.1f}" for value in row))
        table.add_row(
            "steps that fall, that rise", *(f"{v:.0%}" for v in np.mean(monotone, axis=0))
        )
    return table


def slerp(start: unets.Floats | None, end: unets.Floats | None, share: float) -> unets.Floats:
    """Return the unit vector a share of the way on the great circle."""
    assert start is not None
    assert end is not None
    angle = np.arccos(np.clip(np.dot(start, end), -1, 1)) + 1e-6
    found = (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)
    return np.asarray(found / np.linalg.norm(found), np.float32)


def _levels_db(
    estimate: unets.Floats, first: unets.Floats, second: unets.Floats
) -> tuple[float, float]:
    """Return the levels of two sources in an estimate against their own, by least squares, dB."""
    basis = np.stack([first.ravel(), second.ravel()], 1).astype(np.float64)
    gains = np.linalg.lstsq(basis, estimate.ravel().astype(np.float64), rcond=None)[0]
    low, high = (metrics.db(float(max(gain, 1e-3) ** 2)) for gain in gains)
    return low, high


def gains_table(table: str, rows: Sequence[UNetRow]) -> Table:
    """Make the table of systems: gain and SI-SDR where it plays, energy in silence, F1."""
    names = list(dict.fromkeys(row.system for row in rows))
    groups = [g for g in ("seen", "unseen") if any(r.group == g for r in rows)]
    out = Table(title=f"{table}: mean [95 %] over targets, dB")
    columns = ["system", *(f"gain, {g}" if len(groups) > 1 else "gain" for g in groups),
               "SI-SDR", "SD-SDR", "PES", "PES, absent", "activity F1"]  # fmt: skip
    for column in columns:
        out.add_column(column, justify="left" if column == "system" else "right")
    for name in names:
        own = [row for row in rows if row.system == name]
        there = [row for row in own if row.group != "absent"]
        absent = [row for row in own if row.group == "absent"]
        cells = [_interval("gain_db", [row for row in there if row.group == g]) for g in groups]
        cells += [_interval(field, there) for field in ("si_sdr_db", "sd_sdr_db", "silence_db")]
        cells += [_interval("silence_db", absent), _interval("activity_f1", there)]
        out.add_row(f"{name} ({len(there)})", *cells)
    return out


def differences_table(table: str, rows: Sequence[UNetRow]) -> Table:
    """Make the table of paired differences, over the targets that both systems have."""
    places = {(r.system, r.scene, r.instrument): r for r in rows}
    out = Table(title="differences over the same targets, mean [95 %], dB")
    for column in ("first − second", "group", "targets", "SI-SDR", "PES"):
        out.add_column(column, justify="left" if column == "first − second" else "right")
    for first, second in DIFFERENCES[table]:
        for group in ("seen", "unseen"):
            pairs = [
                (row, places[second, row.scene, row.instrument])
                for row in rows
                if row.system == first and row.group == group
                and (second, row.scene, row.instrument) in places
            ]  # fmt: skip
            if pairs:
                above = [
                    replace(
                        row,
                        si_sdr_db=row.si_sdr_db - other.si_sdr_db,
                        silence_db=row.silence_db - other.silence_db,
                    )
                    for row, other in pairs
                ]
                cells = [_interval(field, above) for field in ("si_sdr_db", "silence_db")]
                out.add_row(f"{first} − {second}", group, str(len(pairs)), *cells)
    return out


def _interval(field: str, rows: Sequence[UNetRow]) -> str:
    found = metrics.interval_over_songs(rows, field)
    return "–" if np.isnan(found.value) else str(found)


def main(
    table: Annotated[str, typer.Argument(help=", ".join(DIFFERENCES))],
    runs: Annotated[Path, typer.Option(help="folder of the runs of train-unet")],
    data: Annotated[Path, typer.Option(help="folder of songs apart from training")],
    count: Annotated[int, typer.Option("--scenes", min=1, help="scenes")] = 24,
    seconds: Annotated[float, typer.Option(min=1.0, help="length of a scene")] = 5.0,
    pictures: Annotated[
        Path | None, typer.Option(help="folder of pictures <instrument>.png, for label")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other scenes")] = 0,
    out: Annotated[Path | None, typer.Option(help="also write the rows as JSON")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Print what the parts of a system are worth, with 95 % bootstrap intervals."""
    if table not in DIFFERENCES:
        raise StemsteerError(f"no table {table!r}; there are {', '.join(DIFFERENCES)}")
    commands.claim(*([out] if out else []), force=force)
    with tempfile.TemporaryDirectory(prefix="unet-table-") as place:
        measure = measured(table, runs, Path(place), pictures)
        if table == "label":
            scenes = ensembles(data, count, seconds, seed)
        else:
            drawn = count * DRAWN if table == "fewshot" else count
            scenes = made_scenes(data, drawn, seconds, produced=True, seed=seed)
            scenes = balanced(scenes, count) if table == "fewshot" else scenes
        rows: list[UNetRow] = []
        for scene in track(scenes, "scenes", console=Console(stderr=True)):
            rows += [*peers(scene), *measure(scene)]
        console = Console(width=150)
        console.print(gains_table(table, rows), differences_table(table, rows), sep="\n")
        if table == "query":
            console.print(morphed(exported_run(runs, "query", Path(place) / "again"), scenes))
    if out:
        with atomic_write(out) as part:
            part.write_text(to_json([asdict(row) for row in rows]))
