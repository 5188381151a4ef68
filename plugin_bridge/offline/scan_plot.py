"""The picture of a stereo field: direction from left to right, time from top to bottom."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plugin_bridge.control.text import printable
from plugin_bridge.offline.peaks import Peak
from plugin_bridge.offline.scan import StereoField
from plugin_bridge.offline.stokes import AZIMUTH_DEG, STEP_DEG
from plugin_bridge.offline.votes import smooth
from realtime.atomic import atomic_write
from realtime.errors import StemsteerError

BACKGROUND, FOREGROUND, GREY, ACCENT = "#101218", "#e8e6e3", "#7d8290", "#ffb454"
RANGE_DB = 34.0
MAX_ROWS = 400  # of the field over time; more than a screen shows
TICKS_DEG = (-45, -30, -15, 0, 15, 30, 45)
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": FOREGROUND,
    "text.parse_math": False,
    "axes.facecolor": BACKGROUND,
    "axes.edgecolor": GREY,
    "axes.labelcolor": FOREGROUND,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": FOREGROUND,
    "ytick.labelcolor": FOREGROUND,
}


def plot(field: StereoField, title: str, path: str | os.PathLike[str]) -> None:
    """Draw the level by direction, of the whole file and over time, with its peaks, as PNG.

    A file of that name is replaced. Raises StemsteerError if the picture cannot be written.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 7), dpi=160, facecolor=BACKGROUND)
        above, below = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": (2, 3), "hspace": 0.05}
        )
        figure.subplots_adjust(left=0.075, right=0.975, top=0.86, bottom=0.075)
        peaks = field.peaks()
        _draw_whole(above, field, peaks)
        _draw_over_time(below, field, peaks)
        figure.text(0.075, 0.95, _short(printable(title)), fontsize=15, fontweight="bold")
        figure.text(0.075, 0.915, _summary(field, peaks), color=GREY)
        _save(figure, Path(path))


def _save(figure: Figure, path: Path) -> None:
    try:
        with atomic_write(path) as hidden:
            figure.savefig(hidden, format="png")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StemsteerError(
            f"the picture {path} cannot be written ({reason}); choose another place with --plot"
        ) from error


def _draw_whole(axes: Axes, field: StereoField, peaks: list[Peak]) -> None:
    level_db = _db(smooth(field.level))
    axes.fill_between(AZIMUTH_DEG, -RANGE_DB, level_db, color=ACCENT, alpha=0.22, linewidth=0)
    axes.plot(AZIMUTH_DEG, level_db, color=ACCENT, linewidth=1.4)
    for peak in peaks:
        target = peak.target
        height_db = float(level_db[round((target.azimuth_deg + 45) / STEP_DEG)])
        axes.plot(target.azimuth_deg, height_db, "o", color=FOREGROUND, markersize=4)
        axes.annotate(
            _degrees(target.azimuth_deg),
            (target.azimuth_deg, height_db),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=11,
            fontweight="bold",
            annotation_clip=False,
        )
    axes.set(xlim=(-46, 46), ylim=(-RANGE_DB, 7), ylabel="level, dB below the strongest")
    axes.set_yticks(np.arange(-30, 1, 10), ["30", "20", "10", "0"])
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)


def _draw_over_time(axes: Axes, field: StereoField, peaks: list[Peak]) -> None:
    half = STEP_DEG / 2
    axes.imshow(
        _db(smooth(_rows(field.over_time))),
        aspect="auto",
        cmap=_colours(),
        vmin=-RANGE_DB,
        vmax=0,
        extent=(AZIMUTH_DEG[0] - half, AZIMUTH_DEG[-1] + half, field.duration_s, 0),
        interpolation="bilinear",
    )
    for target in (peak.target for peak in peaks):
        edges_deg = [target.azimuth_deg + side * target.width_deg / 2 for side in (-1, 1)]
        for stretch in target.stretches_s:
            axes.vlines(edges_deg, *stretch, color=FOREGROUND, alpha=0.5, linewidth=0.9)
    names = {-45: "−45°\nhard left", 0: "0°\ncentre", 45: "+45°\nhard right"}
    axes.set_xticks(TICKS_DEG, [names.get(t, _degrees(t)) for t in TICKS_DEG])
    first, *_, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    axes.set(ylabel="time, s", xlim=(-46, 46))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _rows(over_time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum columns of a field to `MAX_ROWS` or fewer."""
    size = -(-len(over_time) // MAX_ROWS)
    return np.asarray(np.add.reduceat(over_time, np.arange(0, len(over_time), size), axis=0))


def _colours() -> LinearSegmentedColormap:
    """Return the colour map inferno, its black replaced by the background of the picture."""
    steps = mpl.colormaps["inferno"](np.linspace(0.12, 1, 7))
    return LinearSegmentedColormap.from_list("stage", [BACKGROUND, *steps])


def _db(level: NDArray[np.float64]) -> NDArray[np.float64]:
    loudest = max(float(level.max()), 1e-30)
    return np.asarray(10 * np.log10(np.maximum(level / loudest, 10 ** (-RANGE_DB / 10))))


def _degrees(angle_deg: float) -> str:
    """Return an angle in words, with a true minus sign, and no sign before zero."""
    return f"{angle_deg:+g}°".replace("-", "−") if angle_deg else "0°"


def _summary(field: StereoField, peaks: list[Peak]) -> str:
    directions = "1 direction stands" if len(peaks) == 1 else f"{len(peaks)} directions stand"
    return (
        f"{field.duration_s:.1f} s    {directions} out    "
        f"{field.diffuse:.0%} of the energy is diffuse, {field.out_of_phase:.0%} out of phase"
    )


def _short(title: str) -> str:
    return title if len(title) <= 60 else f"{title[:40]} … {title[-16:]}"
