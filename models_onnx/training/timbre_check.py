"""How well what is asked is answered: gains over the mixture, and levels of what is absent."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from models_onnx.data.classes import CLASSES
from models_onnx.training.losses import TINY, audible, stereo_si_sdr
from models_onnx.training.task import JUDGED_DB
from models_onnx.training.timbre_questions import KINDS, TimbreBatch

SHOWN = ("vocals", "drums", "bass", "guitar")
ALONE_DB = 15.0
"""SI-SDR of a mixture above which nothing is left to be separated from the target."""


class Judged(NamedTuple):
    """What estimates are worth, (B, K) each.

    SI-SDR of the estimates, dB, and how far it is above that of the mixture; the level of the
    estimates against the mixture, dB; and whether a target counts.
    """

    si_sdr_db: Tensor
    gain_db: Tensor
    level_db: Tensor
    counts: Tensor

    def means(self) -> tuple[float, float] | None:
        """Return the mean SI-SDR and the mean gain of the targets that count, dB; None of none."""
        if not self.counts.any():
            return None
        return self.si_sdr_db[self.counts].mean().item(), self.gain_db[self.counts].mean().item()


class Judge(Protocol):
    """A task that can be checked."""

    def judged(self, network: nn.Module, batch: TimbreBatch) -> Judged:
        """Judge what a network makes of a batch."""


def judged(
    estimates: Tensor, targets: Tensor, mixtures: Tensor, alone_db: float = math.inf
) -> Judged:
    """Judge signals (B, K, channels, samples).

    A target counts if it is audible; and if the SI-SDR of its mixture is below `alone_db`, since
    any answer but the mixture loses 40 dB and more for one that sounds alone.
    """
    after, before = stereo_si_sdr(estimates, targets), stereo_si_sdr(mixtures, targets)
    level = estimates.square().sum((-2, -1)) / (mixtures.square().sum((-2, -1)) + TINY)
    counts = audible(targets, mixtures, JUDGED_DB) & (before < alone_db)
    return Judged(after, after - before, 10 * torch.log10(level + TINY), counts)


def judged_spectra(estimates: Tensor, targets: Tensor, mixtures: Tensor) -> Judged:
    """Judge spectra (B, K, F, 2, bins), without targets that sound alone."""
    found, true, mixed = (
        torch.view_as_real(spectra).flatten(-4)[..., None, :]  # (B, K, 1, numbers)
        for spectra in (estimates, targets, mixtures)
    )
    return judged(found, true, mixed, alone_db=ALONE_DB)


@torch.no_grad()
def check(task: Judge, network: nn.Module, batches: Sequence[TimbreBatch]) -> dict[str, float]:
    """Return mean gains by kind of question and by class, and the median level of the absent, dB.

    Levels are those of the estimates against the mixture.
    """
    gains: dict[str, list[float]] = defaultdict(list)
    for batch in batches:
        for name, gain_db in _gains_db(batch, task.judged(network, batch)):
            gains[name].append(gain_db)
    means = {k: sum(v) / len(v) for k, v in gains.items()}
    if "absent" in gains:
        means["absent"] = torch.tensor(gains["absent"]).median().item()
    return {f"valid_{kind}": value for kind, value in sorted(means.items())}


def _gains_db(batch: TimbreBatch, found: Judged) -> Iterator[tuple[str, float]]:
    """Yield each gain, or the level where the class is absent, with what it counts for.

    That is the kind of its question, and for a name the class as well.
    """
    for s, q in torch.cartesian_prod(*map(torch.arange, found.counts.shape)).tolist():
        kind, asked = KINDS[int(batch.kinds[s, q])], CLASSES[int(batch.asked[s, q])]
        if kind == "absent":
            yield kind, found.level_db[s, q].item()
        elif found.counts[s, q]:
            gain_db = found.gain_db[s, q].item()
            yield kind, gain_db
            if kind == "name" and asked in SHOWN:
                yield asked, gain_db
