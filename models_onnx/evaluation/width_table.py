"""What an asked width does: ``python -m models_onnx evaluate-width --data SONGS --out width.png``.

Sources with all of their stereo width stand in mixtures, and are asked for in their true direction
with ever wider openings. With u the direction, v across it, T = u·x is the middle of a source and
N = v·x its wide part. How much of both, and of everything else, comes out is measured as
`metrics.leakage_db` does, which counts what changes its sign, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from models_onnx import commands
from models_onnx.data.collections import open_collection
from models_onnx.data.scenes import EvaluationScene, evaluation_scenes
from models_onnx.data.stems import pan_gains, width_deg
from models_onnx.evaluation.metrics import interval_over_songs, leakage_db, si_sdr_db
from models_onnx.evaluation.systems import TIER_HELP, judged_model, separate
from models_onnx.strict_json import to_json
from realtime.arrays import Floats
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError
from realtime.model import Model

WIDTHS_DEG = (5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 75.0, 90.0)
FILLED_DEG = (10.0, 30.0)
"""Edges of the groups: what a source itself fills around its direction."""
LOWEST_DB = -40.0  # of the picture: what is softer is gone
STYLES = ("-", "--", ":")
GROUPS = ("fills less than 10°", "fills 10 to 30°", "fills more than 30°")


@dataclass(frozen=True)
class Row:
    """A source that was asked for with a width.

    `middle_db`, `wide_db` and `rest_db` are the gains with which its middle, its wide part and
    everything else came out; `gain_db` is SI-SDR above the mixture. `song` is that of the scene.
    """

    system: str
    asked_deg: float
    filled_deg: float
    middle_db: float
    wide_db: float
    rest_db: float
    gain_db: float
    song: int = 0

    @property
    def group(self) -> str:
        """Return the group by what the source fills."""
        return GROUPS[int(np.searchsorted(FILLED_DEG, self.filled_deg, side="right"))]


def measure(name: str, model: Model, tier: str, scene: EvaluationScene) -> Iterator[Row]:
    """Ask for every source of a scene with every width."""
    for asked_deg in WIDTHS_DEG:
        estimates = separate(model, tier, scene.mixture, list(scene.azimuth_deg), asked_deg)
        for k in scene.targets():
            image, azimuth_deg = scene.images[k], float(scene.azimuth_deg[k])
            rest = scene.mixture - image
            sounds = [_turned(x, azimuth_deg) for x in (estimates[k], image, rest)]
            middle_db, _ = leakage_db(*(x[:1] for x in sounds))
            wide_db, _ = leakage_db(*(x[1:] for x in sounds))
            _, rest_db = leakage_db(estimates[k], image, rest)
            gain_db = si_sdr_db(estimates[k], image) - si_sdr_db(scene.mixture, image)
            filled_deg = width_deg(image, azimuth_deg)
            levels_db = (middle_db, wide_db, rest_db)
            yield Row(name, asked_deg, filled_deg, *levels_db, gain_db, scene.song)


def _turned(audio: Floats, azimuth_deg: float) -> Floats:
    """Return (T, N) of audio (2, n) in a direction."""
    left, right = pan_gains(azimuth_deg)
    return np.array([[left, right], [-right, left]], np.float32) @ audio


def table(rows: Sequence[Row]) -> Table:
    """Return, by group, system and width, what comes out and what it gains."""
    out = Table(title="by asked width: level of what comes out, dB, median; SI-SDR gain, dB, mean")
    for title in ("source", "system", "width", "middle", "wide part", "the others", "gain [95 %]"):
        out.add_column(title, justify="left" if title in ("source", "system") else "right")
    for group, system, asked_deg, own in _cut(rows):
        found = interval_over_songs(own, "gain_db")
        levels = [
            np.median([getattr(row, f"{part}_db") for row in own])
            for part in ("middle", "wide", "rest")
        ]
        out.add_row(
            f"{group} ({len(own)})",
            system,
            f"{asked_deg:g}°",
            *(f"{level:.1f}" for level in levels),
            f"{found.value:.2f} [{found.low:.1f}, {found.high:.1f}]",
        )
    return out


def _cut(rows: Sequence[Row]) -> Iterator[tuple[str, str, float, list[Row]]]:
    for group in GROUPS:
        for system in dict.fromkeys(row.system for row in rows):
            for asked_deg in WIDTHS_DEG:
                key = (group, system, asked_deg)
                own = [row for row in rows if (row.group, row.system, row.asked_deg) == key]
                if own:
                    yield *key, own


def picture(rows: Sequence[Row], path: Path) -> None:
    """Draw, for each group of sources, what comes out with an asked width, into a PNG."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    columns = figure.subplots(2, len(GROUPS), sharex=True, sharey="row")
    for column, group in enumerate(GROUPS):
        own = [row for row in rows if row.group == group]
        upper, lower = columns[0][column], columns[1][column]
        upper.set_title(f"{group} ({len(own) // _per_source(rows)} sources)")
        for system, style in zip(dict.fromkeys(row.system for row in rows), STYLES, strict=False):
            mine = [row for row in own if row.system == system]
            _draw_levels(upper, mine, system, style)
            _draw(lower, mine, "gain", f"C3{style}", system, average=np.mean)
        upper.set_ylim(LOWEST_DB, 3)
        lower.set_xlabel("width asked for, degrees")
        lower.axhline(0, color="0.7", linewidth=0.8)
    columns[0][0].set_ylabel("comes out, dB, median")
    columns[1][0].set_ylabel("SI-SDR above the mix, dB")
    columns[0][0].legend(fontsize="x-small")
    columns[1][0].legend(fontsize="x-small")
    with atomic_write(path) as part:
        figure.savefig(part, dpi=110, format="png")


def _per_source(rows: Sequence[Row]) -> int:
    return len({row.system for row in rows}) * len(WIDTHS_DEG)


def _draw_levels(axes: Axes, rows: Sequence[Row], system: str, style: str) -> None:
    parts = (("middle", "C0", "its middle"), ("wide", "C1", "its wide part"))
    for part, colour, words in (*parts, ("rest", "C7", "the others")):
        _draw(axes, rows, part, colour + style, f"{words}, {system}", average=np.median)


def _draw(
    axes: Axes,
    rows: Sequence[Row],
    part: str,
    style: str,
    words: str,
    *,
    average: Callable[[list[float]], np.floating],
) -> None:
    widths = sorted({row.asked_deg for row in rows})
    values = [[getattr(row, f"{part}_db") for row in rows if row.asked_deg == w] for w in widths]
    axes.plot(widths, [average(own) for own in values], style, marker=".", label=words)


def main(
    data: Annotated[Path, typer.Option(help="songs that no training has met")],
    model: Annotated[list[str] | None, typer.Option(help="name or file; repeatable")] = None,
    tier: Annotated[str, typer.Option(help=TIER_HELP)] = "live",
    count: Annotated[int, typer.Option("--scenes", min=1, help="number of scenes")] = 16,
    seconds: Annotated[float, typer.Option(min=1.0, help="length of a scene")] = 5.0,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other scenes")] = 0,
    out: Annotated[Path | None, typer.Option(help="picture, PNG; rows beside it, JSON")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace files that are there")] = False,
) -> None:
    """Print, and draw, how much of a source comes out with a width that is asked for."""
    files = [out, commands.named(out).with_suffix(".json")] if out else []
    if len(set(files)) < len(files):
        raise StemsteerError(f"--out {out}: the rows are called so: give a name in .png")
    commands.claim(*files, force=force)
    names = model or ["steer", "panorama"]
    models = {name: judged_model(name, tier, "direction") for name in names}
    songs = open_collection(data, part="test", as_recorded=True)
    scenes = list(evaluation_scenes(songs, count, seconds, keep_width=True, seed=seed))
    if not any(scene.targets() for scene in scenes):
        raise StemsteerError(f"{data}: nothing to judge, in no scene do two stems sound at once")
    rows = [
        row
        for scene in track(scenes, "scenes", console=Console(stderr=True))
        for name, loaded in models.items()
        for row in measure(name, loaded, tier, scene)
    ]
    Console(width=120).print(table(rows))
    if out:
        picture(rows, out)
        with atomic_write(files[1]) as part:
            part.write_text(to_json([asdict(row) for row in rows]))
