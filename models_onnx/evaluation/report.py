"""Tables and a picture of what `models_onnx.evaluation.evaluate` has measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from models_onnx.evaluation.metrics import Interval, interval_over_songs
from models_onnx.evaluation.rows import Row
from realtime.atomic import atomic_write

DISTANCES_DEG = (0.0, 5.0, 10.0, 20.0, 91.0)
F1 = "activity F1"
MEDIANS = {
    "SD-SDR": "sd_sdr_db",
    "energy at silence": "silence_db",
    "removed: target": "removed_db",
    "removed: rest": "kept_db",
    F1: "activity_f1",
    "SDR": "sdr_db",
    "ISR": "isr_db",
    "SIR": "sir_db",
    "SAR": "sar_db",
}
IMAGE = {
    "|ΔILD|, dB": "level_difference_error_db",
    "error of coherence": "coherence_error",
    "SSR, dB": "ssr_db",
    "SRR, dB": "srr_db",
}
REFERENCES = ("mix", "mix/N", "oracle")

Key = Callable[[Row], str]


def distance(row: Row) -> str:
    """Return the column of the angular-distance table that a row belongs to."""
    index = int(np.searchsorted(DISTANCES_DEG, row.nearest_deg, side="right"))
    low, high = DISTANCES_DEG[index - 1], DISTANCES_DEG[min(index, len(DISTANCES_DEG) - 1)]
    return f"> {low:g}°" if high > 90 else f"{low:g}–{high:g}°"


def tables(rows: Sequence[Row], peer: str, peer_width_deg: float) -> list[Table]:
    """Return all tables; the first is the summary."""
    right = [row for row in rows if row.error_deg == 0]
    out = [_summary(right, f"{peer} is at {peer_width_deg:g}°, its best on this data")]
    out += [_medians(right), _image(right)]
    out.append(_by(right, "nearest other source", distance))
    out.append(_by(right, "sources", lambda row: str(row.sources)))
    out.append(_by(right, "instrument", lambda row: row.instrument, across=False))
    out.append(_above(right, peer))
    judged = {row.scene for row in rows if row.error_deg > 0}
    some = [row for row in rows if row.scene in judged and row.system not in REFERENCES]
    if some:
        out.append(_by(some, "direction wrong by", error))
        losses = list(lost(some))
        out.append(_by(losses, "direction wrong by", error, what="SI-SDR lost"))
        out.append(
            _by(losses, "direction wrong by", error, what="SI-SDR lost", statistic=np.median)
        )
        sure = [row for row in losses if not row.misled]
        title = "direction wrong by, where no other source is nearer to it"
        out.append(_by(sure, title, error, what="SI-SDR lost"))
    return out


def error(row: Row) -> str:
    """Return by how much the direction was wrong, as a column."""
    return f"{row.error_deg:g}°"


def lost(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows with a wrong direction, their SI-SDR that lost against the right one, dB."""
    exact = {(r.system, r.scene, r.target): r.si_sdr_db for r in rows if r.error_deg == 0}
    for row in rows:
        if row.error_deg > 0:
            before_db = exact[row.system, row.scene, row.target]
            yield replace(row, si_sdr_db=before_db - row.si_sdr_db)


def systems(rows: Iterable[Row]) -> list[str]:
    """Return the names of the systems in the order they came."""
    return list(dict.fromkeys(row.system for row in rows))


def above(rows: Sequence[Row], peer: str) -> Iterator[Row]:
    """Yield the rows with their SI-SDR above the peer's of the same target, dB."""
    known = {(row.scene, row.target): row.si_sdr_db for row in rows if row.system == peer}
    for row in rows:
        yield replace(row, si_sdr_db=row.si_sdr_db - known[row.scene, row.target])


def _summary(rows: Sequence[Row], caption: str) -> Table:
    table = Table(title="SI-SDR, dB, with 95 % intervals", caption=caption)
    table.add_column("system")
    for title in ["targets", "mean", "median", "mean above the mix", "median above the mix"]:
        table.add_column(title, justify="right")
    for system in systems(rows):
        own = [row for row in rows if row.system == system]
        cells = [
            _text(interval_over_songs(own, name, statistic))
            for name in ("si_sdr_db", "gain_db")
            for statistic in (np.mean, np.median)
        ]
        table.add_row(system, str(len(own)), *cells)
    return table


def _image(rows: Sequence[Row]) -> Table:
    """Return how much of the spatial image is kept, see `models_onnx.evaluation.spatial`."""
    table = Table(title="spatial image of the stems, medians [95 %]")
    for name in ("system", *IMAGE):
        table.add_column(name, justify="left" if name == "system" else "right")
    for system in systems(rows):
        own = [row for row in rows if row.system == system]
        cells = [_text(interval_over_songs(own, name, np.median)) for name in IMAGE.values()]
        table.add_row(system, *cells)
    return table


def _medians(rows: Sequence[Row]) -> Table:
    """Return medians of the other measures; those that were not measured are left out."""
    table = Table(title="medians, dB; removed: gains in the mixture minus the estimate")
    table.add_column("system")
    found = {}
    for title, name in MEDIANS.items():
        values = [
            np.array([getattr(r, name) for r in rows if r.system == system])
            for system in systems(rows)
        ]
        if any(np.isfinite(v).any() for v in values):
            found[title] = [v[np.isfinite(v)] for v in values]
            table.add_column(title, justify="right")
    for k, system in enumerate(systems(rows)):
        cells = [
            f"{np.median(v[k]):.{2 if title == F1 else 1}f}" if v[k].size else "–"
            for title, v in found.items()
        ]
        table.add_row(system, *cells)
    return table


def _by(
    rows: Sequence[Row],
    title: str,
    key: Key,
    *,
    across: bool = True,
    what: str = "SI-SDR",
    statistic: Callable[..., np.ndarray] = np.mean,
) -> Table:
    """Return `si_sdr_db` by groups.

    Parameters
    ----------
    key : the group of a row.
    across : whether there is a row a system and a column a group, or the other way round.
    what : the name of what `si_sdr_db` holds.
    """
    groups = sorted({key(row) for row in rows}, key=_natural)
    table = Table(title=f"{what}, dB, {statistic.__name__} [95 %], by {title}")
    names = systems(rows)

    def cell(system: str, group: str) -> str:
        own = [row for row in rows if row.system == system and key(row) == group]
        return _text(interval_over_songs(own, "si_sdr_db", statistic))

    def size(group: str) -> int:
        return sum(row.system == names[0] and key(row) == group for row in rows)

    for name in ["", *(groups if across else names)]:
        table.add_column(name, justify="right" if name else "left")
    if across:
        table.add_row("targets", *(str(size(group)) for group in groups))
        for system in names:
            table.add_row(system, *(cell(system, group) for group in groups))
    else:
        for group in groups:
            table.add_row(f"{group} ({size(group)})", *(cell(system, group) for system in names))
    return table


def _above(rows: Sequence[Row], peer: str) -> Table:
    names = [s for s in systems(rows) if s != peer and s not in REFERENCES] + ["oracle"]
    columns = ["all", *sorted({distance(row) for row in rows}, key=_natural)]
    table = Table(title=f"SI-SDR above {peer}, dB, mean [95 %], by nearest other source")
    for name in ["", *columns]:
        table.add_column(name, justify="right" if name else "left")
    higher = list(above(rows, peer))
    for system in names:
        own = [row for row in higher if row.system == system]
        cells = [[row for row in own if c in ("all", distance(row))] for c in columns]
        table.add_row(system, *(_text(interval_over_songs(cell, "si_sdr_db")) for cell in cells))
    return table


def _text(found: Interval) -> str:
    if np.isnan(found.value):
        return "–"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _natural(text: str) -> tuple[float, str]:
    """Sort labels by the number in them, those without one last; > 20° comes after 20°."""
    number = "".join(c for c in text.split("–")[0] if c.isdigit() or c == ".")
    if not number or not (text[0].isdigit() or text[0] == ">"):
        return float("inf"), text
    return float(number) + 0.5 * text.startswith(">"), text


def picture(rows: Sequence[Row], path: Path) -> None:
    """Draw SI-SDR by distance and by wrong direction into a PNG."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    exact = [row for row in rows if row.error_deg == 0]
    groups = sorted({distance(row) for row in exact}, key=_natural)
    names = systems(exact)
    for place, system in enumerate(names):
        found = [
            interval_over_songs(
                [r for r in exact if r.system == system and distance(r) == group], "si_sdr_db"
            )
            for group in groups
        ]
        _bars(left, place, len(names), system, found)
    left.set_xticks(range(len(groups)), groups)
    left.set_xlabel("angle to the nearest other source")
    left.set_ylabel("SI-SDR, dB")
    left.legend(fontsize="small")
    judged = {row.scene for row in rows if row.error_deg > 0}
    for system in (s for s in names if s not in REFERENCES):
        own = [r for r in rows if r.scene in judged and r.system == system]
        errors = sorted({r.error_deg for r in own})
        means = [np.mean([r.si_sdr_db for r in own if r.error_deg == e]) for e in errors]
        right.plot(errors, means, "o-", label=system)
    right.set_xlabel("direction wrong by, degrees")
    right.set_ylabel("SI-SDR, dB")
    if judged:
        right.legend(fontsize="small")
    with atomic_write(path) as part:
        figure.savefig(part, dpi=110, format="png")


def _bars(axes: Axes, place: int, count: int, label: str, found: list[Interval]) -> None:
    x = np.arange(len(found)) + (place - (count - 1) / 2) * 0.8 / count
    heights = np.array([f.value for f in found])
    errors = np.abs(np.array([[f.value - f.low, f.high - f.value] for f in found])).T
    axes.bar(x, heights, 0.8 / count, yerr=errors, label=label, error_kw={"linewidth": 0.8})
