"""Draw the log of a training run as curves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from realtime.atomic import atomic_write

Reals = NDArray[np.floating]
SMOOTHED_STEPS = 50
TERMS = (("loss", "loss"), ("snr_db", "training, SNR"))
CHECKS = (("valid_db", "validation, SI-SDR"), ("valid_gain_db", "validation, above the mix"))


def read_log(log: Path) -> list[dict[str, float | None]]:
    """Read the lines of a log, the last of each step; one cut short by a crash is left out.

    A value that was not finite is None.
    """
    steps = {}
    for text in log.read_text().splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        steps[line["step"]] = line
    return [steps[step] for step in sorted(steps)]


def plot(log: Path, picture: Path) -> None:
    """Draw loss, SNR and validation over the steps into a PNG."""
    lines = read_log(log)
    if not lines:  # stopped before the first step
        return
    figure = Figure(figsize=(9, 6), layout="constrained")
    losses, decibels = figure.subplots(2, 1, sharex=True)
    steps = [line["step"] for line in lines]
    for axes, (key, label) in zip((losses, decibels), TERMS, strict=True):
        if key not in lines[0]:
            continue
        values = np.array([line[key] for line in lines], float)
        axes.plot(steps, values, alpha=0.2, color="C0")
        axes.plot(steps, _smoothed(values), color="C0", label=label)
    checked = [line for line in lines if "valid_db" in line]
    for key, label in CHECKS:
        found = np.array([line[key] for line in checked], float)
        decibels.plot([line["step"] for line in checked], found, "o-", label=label)
    losses.set_ylabel("loss")
    decibels.set_ylabel("dB")
    decibels.set_xlabel("step")
    decibels.legend()
    with atomic_write(picture) as part:
        figure.savefig(part, dpi=100, format="png")


def _smoothed(values: Reals) -> Reals:
    """Return the mean over up to SMOOTHED_STEPS values so far, of those that are finite."""
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(0, last - SMOOTHED_STEPS)
    number = counts[last] - counts[first]
    return np.where(number > 0, (sums[last] - sums[first]) / np.maximum(number, 1), np.nan)
