"""What is measured of a separation; decibels, on arrays (channels, samples) unless said.

SI-SDR is that of fast_bss_eval, SDR, ISR, SIR and SAR are those of museval (BSS Eval v4, Stöter,
Liutkus & Ito 2018); the rest are one-line definitions with their source.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import fast_bss_eval
import museval
import numpy as np
from numpy.typing import NDArray

from realtime.spec import Tier
from realtime.stft import analyse, windows

Reals = NDArray[np.floating]
Complexes = NDArray[np.complexfloating]
TINY = 1e-12
FRAME = 1024
LEVEL_DIFFERENCE_LIMIT_DB = 30.0
LEAKAGE = Tier(window=2048, synthesis=2048, hop=1024)
WORST_DB, PERFECT_DB = -30.0, 100.0
CELL = 8  # bins and frames of a cell in which leakage is fitted


def db(ratio: float) -> float:
    """Return the decibels of a ratio of energies."""
    return float(10 * np.log10(max(ratio, TINY)))


def si_sdr_db(estimate: Reals, reference: Reals) -> float:
    """Return the scale-invariant SDR (Le Roux et al., "SDR: half-baked or well done?", 2019), dB.

    One scale serves all channels. Between −30 dB, which a silent estimate has, so that it counts in
    a mean, and 100 dB. NaN for a silent reference.
    """
    if not np.any(reference):
        return float("nan")
    if not np.any(estimate):
        return WORST_DB
    found = float(
        fast_bss_eval.si_sdr(
            reference.reshape(1, -1).astype(np.float64),
            estimate.reshape(1, -1).astype(np.float64),
            clamp_db=PERFECT_DB,
        )[0]
    )
    return max(WORST_DB, found)


def sd_sdr_db(estimate: Reals, reference: Reals) -> float:
    """Return the scale-dependent SDR (the same paper): SI-SDR that also pays for a wrong level.

    No lower than −30 dB. NaN for a silent reference.
    """
    if not np.any(reference):
        return float("nan")
    scale = float(np.vdot(reference, estimate) / (np.vdot(reference, reference) + TINY))
    energy = float(np.sum(np.square(scale * reference, dtype=np.float64)))
    error = float(np.sum(np.square(estimate - reference, dtype=np.float64)))
    return max(WORST_DB, db(energy / (error + TINY)))


def bss_eval_db(estimates: Reals, references: Reals) -> dict[str, NDArray[np.float64]]:
    """Return SDR, ISR, SIR and SAR of all sources of a scene (sources, channels, samples), dB.

    One window over the whole length. Each value is an array (sources,), NaN where silent.
    """
    scores = museval.metrics.bss_eval(
        references.transpose(0, 2, 1).astype(np.float64),
        estimates.transpose(0, 2, 1).astype(np.float64),
        window=np.inf,
        hop=np.inf,
        compute_permutation=False,
    )
    names = ("SDR", "ISR", "SIR", "SAR")
    return {name: values[:, 0] for name, values in zip(names, scores[:4], strict=True)}


def frame_energy(audio: Reals, frame: int = FRAME) -> NDArray[np.float64]:
    """Return the energy of every whole frame over all channels, (frames,)."""
    whole = audio.shape[-1] // frame * frame
    frames = audio[..., :whole].reshape(-1, whole // frame, frame)
    return np.sum(np.square(frames, dtype=np.float64), axis=(0, 2))


def silence_db(estimate: Reals, reference: Reals, quiet_db: float = -60.0) -> float:
    """Return the predicted energy at silence (PES), that of the estimate where the reference rests.

    The mean over frames in dB, floor −80 dB (Schulze-Forster et al., "Weakly informed audio source
    separation", 2019). Silent is below `quiet_db` of the loudest frame. NaN if it never is.
    """
    wanted = frame_energy(reference)
    silent = wanted <= wanted.max(initial=0) * 10 ** (quiet_db / 10)
    if not silent.any():
        return float("nan")
    return float(np.mean(10 * np.log10(frame_energy(estimate)[silent] + 1e-8)))


def level_difference_db(audio: Reals) -> float:
    """Return the level of left over right, dB, limited to ±30 dB."""
    left, right = np.sum(np.square(audio, dtype=np.float64), axis=1)
    found = 10 * np.log10((left + TINY) / (right + TINY))
    return float(np.clip(found, -LEVEL_DIFFERENCE_LIMIT_DB, LEVEL_DIFFERENCE_LIMIT_DB))


def level_difference_error_db(estimate: Reals, reference: Reals) -> float:
    """Return how far the stereo image has moved: the absolute error of the level difference, dB."""
    return abs(level_difference_db(estimate) - level_difference_db(reference))


def activity_f1(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Return the F1 score of frames that sound; NaN if neither says that any does."""
    hits = int(np.sum(predicted & true))
    wrong = int(np.sum(predicted ^ true))
    return 2 * hits / (2 * hits + wrong) if hits or wrong else float("nan")


def leakage_db(remainder: Reals, target: Reals, rest: Reals) -> tuple[float, float]:
    """Return how much of the target and of the rest remains after removing the target.

    In cells of 8 bins × 8 frames the remainder is fitted as a · target + b · rest (complex
    spectra, both channels, real a and b). Unlike one projection over the whole length this counts
    leakage of changing sign and size.

    Returns
    -------
    The gains of the energy of a · target and of b · rest against that of target and rest, dB.
    """
    window = windows(LEAKAGE)[0]
    spectra = [_cells(analyse(x, window, LEAKAGE.hop)) for x in (remainder, target, rest)]
    r, t, o = spectra

    def inner(x: Complexes, y: Complexes) -> NDArray[np.float64]:
        return np.real(np.sum(x * np.conj(y), axis=(1, 3), dtype=np.complex128))

    # the normal equations of each cell, solved by Cramer's rule; the floor keeps a cell in which
    # target and rest are one sound, or silence, from having any solution it likes
    tt, oo, to, rt, ro = inner(t, t), inner(o, o), inner(t, o), inner(r, t), inner(r, o)
    floor = 1e-6 * (tt + oo) + TINY
    determinant = (tt + floor) * (oo + floor) - to**2
    a = (rt * (oo + floor) - ro * to) / determinant
    b = (ro * (tt + floor) - rt * to) / determinant
    return db((a**2 * tt).sum() / (tt.sum() + TINY)), db((b**2 * oo).sum() / (oo.sum() + TINY))


def _cells(spectra: Complexes) -> Complexes:
    """Cut (frames, channels, bins) into (time cells, frames · channels, bin cells, bins)."""
    frames, channels, bins = spectra.shape
    times, bands = frames // CELL, bins // CELL
    cut = spectra[: times * CELL, :, : bands * CELL]
    return cut.reshape(times, CELL * channels, bands, CELL)


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


FEWEST_GROUPS = 8


def interval(
    values: Reals,
    statistic: Callable[..., Reals] = np.mean,
    resamples: int = 2000,
    groups: Sequence[Hashable] | None = None,
) -> Interval:
    """Return a statistic of `values` with its percentile-bootstrap interval.

    What is not finite is left out. The draws are fixed: the same values give the same interval.

    Parameters
    ----------
    groups : of each value, as the song that it is of. Values of a group share its chances, so whole
        groups are drawn, if `FEWEST_GROUPS` of them have values: so few draws of two or three songs
        differ that their interval would say nothing. None, or fewer: values are drawn alone.
    """
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    of: Sequence[Hashable] = range(values.size) if groups is None else groups
    of = [group for group, is_value in zip(of, finite, strict=True) if is_value]
    values = values[finite]
    if values.size == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    centre = float(statistic(values))
    if np.ptp(values) == 0:
        return Interval(centre, centre, centre)
    if len(set(of)) < FEWEST_GROUPS:
        of = range(values.size)
    members: dict[Hashable, list[float]] = {}
    for group, value in zip(of, values.tolist(), strict=True):
        members.setdefault(group, []).append(value)
    parts = [np.array(own) for own in members.values()]
    draws = np.random.default_rng(0).integers(0, len(parts), (resamples, len(parts)))
    found = [statistic(np.concatenate([parts[k] for k in draw])) for draw in draws]
    low, high = np.percentile(found, (2.5, 97.5))
    return Interval(centre, float(low), float(high))


class OfSong(Protocol):
    """Something that is measured of a target in a song."""

    @property
    def song(self) -> Hashable:
        """Return what tells the song from others."""


def interval_over_songs(
    rows: Sequence[OfSong], name: str, statistic: Callable[..., Reals] = np.mean
) -> Interval:
    """Return a statistic of what is measured under a name, its interval that over songs."""
    values = np.array([getattr(row, name) for row in rows])
    return interval(values, statistic, groups=[row.song for row in rows])
