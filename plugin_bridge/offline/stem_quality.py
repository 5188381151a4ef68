"""Judge stems without a reference: what they say about themselves beside their mix.

The stems of a render are read from their files, in step with the mix. In every bin the share of a
stem in the mix is taken for the gain m of a Wiener filter. In the local Gaussian model (Duong,
Vincent & Gribonval, "Under-determined reverberant audio source separation using a full-rank spatial
covariance model", 2010) the variance of what such a filter leaves open is m (1 − m) times that of
the mix. So a stem that takes bins as a whole is sure, one that halves them is not::

    expected SDR = Σ m |x|² / Σ m (1 − m) |x|²,     m = |s|² / (|s|² + |x − s|²)

A network that was told what a sound is, and not where, is surer than it is right, by `SURER_DB`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.offline.frames import BLOCK_S, hann, overlapping, stereo
from plugin_bridge.offline.stokes import AZIMUTH_DEG, BEYOND, Stokes
from realtime.arrays import Audio, Spectra
from realtime.stft import analyse

WINDOW_S, HOP_S = 0.093, 0.0465
MARGIN_DEG = 4.0  # beside the opening, before it counts as leakage
EVERYWHERE_DEG = 80.0  # an opening from which on no direction was asked for
SILENT_DB, SOUNDING_DB = -60.0, -50.0  # against the mix: a whole stem, and a frame of one
DECIDED = 0.5  # share in the mix from which on a bin is the stem's
SURER_DB = 6.0
"""How much surer than right the mask of a stem is that was not taken from a direction: what it
expects on made songs, mixed as productions are, less what is true, in the mean of two models."""
TINY = 1e-20
GRADES = ((12.0, "clear"), (7.0, "good"), (3.0, "mixed"), (-math.inf, "doubtful"))
"""Expected SDR, dB, from which on a stem is called so."""


@dataclass(frozen=True)
class StemQuality:
    """What a stem's file says of itself; None where that cannot be said.

    Parameters
    ----------
    expected_sdr_db : signal to error that a Wiener filter of these gains expects, less `SURER_DB`
        where no direction was asked for or it moved.
    leakage_db : energy from outside of the opening, against the whole stem's.
    leakage_azimuth_deg : where most of it comes from.
    left_behind_db : energy that the mix has in the opening and the stem lacks, against all of it.
    level_difference_error_db : how far the level difference of the sides is off, against the mix
        in the bins that are the stem's.
    active : share of the time in which it sounds.
    """

    name: str
    path: str
    expected_sdr_db: float | None
    leakage_db: float | None
    leakage_azimuth_deg: float | None
    left_behind_db: float | None
    level_difference_error_db: float | None
    active: float
    verdict: str


@dataclass
class _Sums:
    """Energies of a stem, summed over the frames; by direction, and by channel."""

    opening: NDArray[np.bool_] | None
    by_direction: NDArray[np.float64] = field(default_factory=lambda: np.zeros(AZIMUTH_DEG.size))
    own: float = 0.0
    mixture: float = 0.0
    taken: float = 0.0
    doubt: float = 0.0
    within: float = 0.0
    lost: float = 0.0
    channels: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 2)))
    frames: list[NDArray[np.float32]] = field(default_factory=list)

    def add(
        self, mixture: Spectra, stem: Spectra, of_mixture: Stokes, where: NDArray[np.int64]
    ) -> None:
        """Add frames of a stem and its mix; `where` are the mix's indices of directions."""
        own, rest, whole = Stokes.of(stem), Stokes.of(mixture - stem), of_mixture.s0
        share = own.s0 / (own.s0 + rest.s0 + TINY)
        self.own += float(own.s0.sum())
        self.mixture += float(whole.sum())
        self.taken += float((share * whole).sum())
        self.doubt += float((share * (1 - share) * whole).sum())
        self.frames.append(own.s0.sum(1))
        mine = share > DECIDED
        if self.opening is not None:
            mine &= self.opening[where]
            inside = self.opening[where]
            self.within += float(of_mixture.directed[inside].sum())
            self.lost += float(rest.directed[inside].sum())
        for k, sound in enumerate((mixture, stem)):
            power = np.square(np.abs(sound), dtype=np.float64)
            self.channels[k] += [float(power[:, c][mine].sum()) for c in (0, 1)]
        index = own.indices()
        there = index != BEYOND
        weights = own.directed[there]
        self.by_direction += np.bincount(index[there], weights, minlength=AZIMUTH_DEG.size)


@dataclass(frozen=True)
class RenderQuality:
    """The stems of a render, and how far their sum is from the mix: RMS and peak."""

    null_db: float | None
    null_peak: float
    stems: tuple[StemQuality, ...]


def judge_stems(
    mixture: Path,
    targets: Sequence[tuple[str, Path, float | None, float | None]],
    residual: Path,
) -> RenderQuality:
    """Read the files of a render, and judge its targets.

    Parameters
    ----------
    targets : name, file, azimuth and width of each; None where it moves.
    residual : file of what is in no target.
    """
    sums = [_Sums(_opening(azimuth, width)) for _, _, azimuth, width in targets]
    error, peak, power = 0.0, 0.0, 0.0
    with ExitStack() as stack:
        paths = [mixture, *(path for _, path, *_ in targets), residual]
        readers = [stack.enter_context(AudioReader(path)) for path in paths]
        rate_hz = readers[0].sample_rate
        window, hop = 2 * round(WINDOW_S * rate_hz / 2), round(HOP_S * rate_hz)
        null: list[float] = []
        for signal in overlapping(_together(readers, null), 2 * len(paths), window, hop):
            spectra = analyse(signal, hann(window), hop)
            whole = Stokes.of(spectra[:, :2])
            where = whole.indices()
            for k, one in enumerate(sums, 1):
                one.add(spectra[:, :2], spectra[:, 2 * k : 2 * k + 2], whole, where)
    for squares, highest, loudness in zip(null[::3], null[1::3], null[2::3], strict=True):
        error, peak, power = error + squares, max(peak, highest), power + loudness
    stems = tuple(_quality(*t[:2], one) for t, one in zip(targets, sums, strict=True))
    return RenderQuality(_db(error, power), peak, stems)


def _together(readers: Sequence[AudioReader], null: list[float]) -> Iterator[Audio]:
    """Yield blocks of the mix, the targets and the residual, all channels; note their null.

    The null is taken of samples that are exact, what is yielded is float32.
    """
    size = round(BLOCK_S * readers[0].sample_rate)
    for blocks in zip(*(reader.blocks(size, reader.dtype) for reader in readers), strict=True):
        difference = blocks[0].astype(np.float64) - np.sum(blocks[1:], axis=0, dtype=np.float64)
        loudness = np.square(blocks[0], dtype=np.float64).sum()
        null += [np.square(difference).sum(), np.abs(difference).max(), loudness]
        yield np.concatenate([stereo(block) for block in blocks]).astype(np.float32, copy=False)


def _opening(azimuth_deg: float | None, width_deg: float | None) -> NDArray[np.bool_] | None:
    """Return which directions belong to a target, `BEYOND` last; None for one from anywhere."""
    if azimuth_deg is None or width_deg is None or width_deg >= EVERYWHERE_DEG:
        return None
    inside = np.abs(AZIMUTH_DEG - azimuth_deg) <= width_deg / 2 + MARGIN_DEG
    return np.append(inside, False)


def _quality(name: str, path: Path, sums: _Sums) -> StemQuality:
    silent = sums.own < sums.mixture * 10 ** (SILENT_DB / 10) or sums.own <= 0
    frames = np.concatenate(sums.frames)
    mean = sums.mixture / max(1, frames.size)
    active = float(np.mean(frames > mean * 10 ** (SOUNDING_DB / 10))) if sums.mixture else 0.0
    expected_db = None if silent else _db(sums.taken, sums.doubt)
    if expected_db is not None and sums.opening is None:
        expected_db -= SURER_DB
    leakage_db = leakage_deg = left_db = None
    if sums.opening is not None and not silent:
        outside = np.where(sums.opening[:-1], 0.0, sums.by_direction)
        leakage_db = _db(float(outside.sum()), float(sums.by_direction.sum()))
        leakage_deg = float(AZIMUTH_DEG[np.argmax(np.convolve(outside, np.ones(5), "same"))])
        left_db = _db(sums.lost, sums.within)
    (mix_left, mix_right), (left, right) = sums.channels
    off_db = None
    if min(sums.channels.min(), 1) > 0 and not silent:
        off_db = abs(10 * math.log10(left / right) - 10 * math.log10(mix_left / mix_right))
    grades = [_rounded(n) for n in (expected_db, leakage_db, leakage_deg, left_db)]
    return StemQuality(
        name,
        str(path),
        grades[0],
        grades[1],
        grades[2],
        grades[3],
        level_difference_error_db=_rounded(off_db, 2),
        active=round(active, 3),
        verdict=_verdict(silent, *grades),
    )


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)


def _verdict(
    silent: bool,
    expected_db: float | None,
    leakage_db: float | None,
    leakage_deg: float | None,
    left_db: float | None,
) -> str:
    """Say in words how sure a stem is."""
    if silent:
        return "silent: nothing of it was found"
    if expected_db is None:
        return "clear: it takes whole bins alone"
    words = [next(word for least, word in GRADES if expected_db >= least)]
    if leakage_db is not None and leakage_db > -12:
        words.append(
            f"{10 ** (leakage_db / 10):.0%} comes from elsewhere, mostly {leakage_deg:+g}°"
        )
    if left_db is not None and left_db > -6:
        words.append(f"{10 ** (left_db / 10):.0%} of what is in its direction stayed in the rest")
    return "; ".join(words)


def _db(above: float, below: float) -> float | None:
    """Return the decibels of a ratio of energies, None where there is none."""
    return 10 * math.log10(above / below) if above > 0 and below > 0 else None
