"""Draw the log of a training run as curves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from realtime.atomic import atomic_write

SMOOTHED_STEPS = 50
CHECKS = (("valid_db", "validation, SI-SDR"), ("valid_gain_db", "validation, above the mix"))


def read_log(log: Path) -> list[dict[str, float]]:
    """Read the lines of a log, the last of each step; one cut short by a crash is left out."""
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
    for axes, key, label in [(losses, "loss", "loss"), (decibels, "snr_db", "training, SNR")]:
        if key not in lines[0]:
            continue
        values = [line[key] for line in lines]
        axes.plot(steps, values, alpha=0.2, color="C0")
        axes.plot(steps, _smoothed(values), color="C0", label=label)
    checked = [line for line in lines if "valid_db" in line]
    for key, label in [
        ("valid_db", "validation, SI-SDR"),
        ("valid_gain_db", "validation, above the mix"),
    ]:
        decibels.plot([c["step"] for c in checked], [c[key] for c in checked], "o-", label=label)
    losses.set_ylabel("loss")
    decibels.set_ylabel("dB")
    decibels.set_xlabel("step")
    decibels.legend()
    with atomic_write(picture) as part:
        figure.savefig(part, dpi=100, format="png")


def _smoothed(values: list[float]) -> list[float]:
    """Return the mean over up to SMOOTHED_STEPS values so far."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(0, last - SMOOTHED_STEPS)
    return ((sums[last] - sums[first]) / (last - first)).tolist()
