"""Tables of separation by timbre: gains by instrument and way of asking, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from models_onnx.evaluation import metrics

POPULAR = ("vocals", "drums", "bass", "guitar")


@dataclass(frozen=True)
class Row:
    """One class of one scene, asked for in one way; `level_db` is that of the estimate against the
    mixture, which is all that is measured of an absent class. `song` is that of the scene, or the
    scene itself.
    """

    system: str
    scene: str
    instrument: str
    gain_db: float
    si_sdr_db: float
    level_difference_error_db: float
    level_db: float
    absent: bool = False
    song: str = ""


def tables(rows: Sequence[Row]) -> list[Table]:
    """Gain by class and way, and the level of what is absent."""
    names = list(dict.fromkeys(row.system for row in rows))
    there = [row for row in rows if not row.absent]
    found = sorted({row.instrument for row in there}, key=_order)
    table = Table(title="SI-SDR above the mixture, dB, mean [95 %], by class")
    for name in ["", *names]:
        table.add_column(name, justify="right" if name else "left")
    for instrument in [*found, ""]:
        own = [row for row in there if instrument in ("", row.instrument)]
        cells = [_interval([row for row in own if row.system == name]) for name in names]
        count = sum(row.system == names[0] for row in own)
        table.add_row(f"{instrument or 'all'} ({count})", *cells)
    table.add_section()
    errors = [[r.level_difference_error_db for r in there if r.system == n] for n in names]
    table.add_row("median |ΔILD|, dB", *(f"{np.median(e):.2f}" if e else "–" for e in errors))
    absent = [row.level_db for row in rows if row.absent]
    out = [table]
    if absent:
        level = Table(title="level of an instrument that is not there, dB of the mixture")
        for word in ("median", "90 % below", "worst"):
            level.add_column(word, justify="right")
        values = (np.median(absent), np.percentile(absent, 90), np.max(absent))
        level.add_row(*(f"{value:.1f}" for value in values))
        out.append(level)
    return out


def _order(name: str) -> tuple[int, str]:
    return (POPULAR.index(name) if name in POPULAR else len(POPULAR), name)


def _interval(rows: Sequence[Row]) -> str:
    if not rows:
        return "–"
    found = metrics.interval_over_songs(rows, "gain_db")
    return f"{found.value:.2f} [{found.low:.1f}, {found.high:.1f}]"
