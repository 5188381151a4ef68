"""The spatial image of a stem: what of it a separation keeps; audio is (2, samples).

Level and coherence of the two channels tell where a sound stands and how wide it is. SSR and SRR
split what is wrong with a stem into what is in another place and what is another sound
(Watcharasupat & Lerch, "Quantifying spatial audio quality impairment", ICASSP 2024). They are the
measures by which Namballa, Roginska & Fuentes ("Do music source separation models preserve spatial
information in binaural audio?", ISMIR 2025) found that separators of stereo music lose the image,
with differences of time between the ears, which amplitude panning does not have.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from realtime.spec import Tier
from realtime.stft import analyse, windows

Reals = NDArray[np.floating]
Doubles = NDArray[np.float64]
TINY = 1e-12
RATE_HZ = 44_100
QUIET_DB = -60.0  # frames and cells so far below the loudest are silence
TIER = Tier(window=2048, synthesis=2048, hop=1024)
CELL_FRAMES, CELL_BINS = 8, 8
ONE_SIDED_DB = 40.0
FRAME_S, FRAME_HOP_S = 2.0, 1.0
MAX_DELAY_S = 1e-3
"""Delays looked for between channels: 0.7 ms is the largest between the ears."""


def coherence_error(estimate: Reals, reference: Reals) -> float:
    """Return by how much the inter-channel coherence is wrong, 0 … 1: the width of the image.

    The coherence |E[L R*]| / √(E[|L|²] E[|R|²]) of cells of 8 frames × 8 bins, as in parametric
    stereo (Breebaart et al., 2005): 1 of a point or what is delayed, 0 of what is diffuse. The
    error is the mean of its absolute difference, weighted by the energy of the reference. Cells in
    which the reference is on one side alone have no coherence and are left out; NaN if all are.
    """
    own, weight, both = _coherence(reference)
    found, *_ = _coherence(estimate)
    weight = weight * (both & (weight > weight.max(initial=0.0) * 10 ** (QUIET_DB / 10)))
    total = float(weight.sum())
    return float((weight * np.abs(found - own)).sum() / total) if total > 0 else float("nan")


def _coherence(audio: Reals) -> tuple[Doubles, Doubles, NDArray[np.bool_]]:
    """Return of each cell the coherence, the energy, and whether both sides sound."""
    spectra = analyse(audio, windows(TIER)[0], TIER.hop)  # (frames, 2, bins)
    times, bands = spectra.shape[0] // CELL_FRAMES, spectra.shape[2] // CELL_BINS
    cut = spectra[: times * CELL_FRAMES, :, : bands * CELL_BINS]
    cells = cut.reshape(times, CELL_FRAMES, 2, bands, CELL_BINS).astype(np.complex128)
    left, right = cells[:, :, 0], cells[:, :, 1]
    ll, rr = (np.sum(np.square(np.abs(side)), axis=(1, 3)) for side in (left, right))
    lr = np.abs(np.sum(left * np.conj(right), axis=(1, 3)))
    both = np.minimum(ll, rr) > np.maximum(ll, rr) * 10 ** (-ONE_SIDED_DB / 10)
    return lr / (np.sqrt(ll * rr) + TINY), ll + rr, both


class Distortion(NamedTuple):
    """Signal to spatial and to residual distortion, dB; NaN of a silent reference."""

    ssr_db: float
    srr_db: float


def distortion(estimate: Reals, reference: Reals) -> Distortion:
    """Measure SSR and SRR of an estimate.

    In frames of 2 s, a second apart, each channel of the estimate is modelled as the sum of both
    channels of the reference s, each delayed and with a gain: s̃_c = Σ_d A_cd s_d[n − τ_cd], with
    the delays of the highest absolute cross-correlation and the gains of least squares. What s̃ is
    besides s is in another place, what the estimate ŝ is besides s̃ is another sound::

        SSR = 10 log10 ‖s‖² / ‖s̃ − s‖²,    SRR = 10 log10 ‖s̃‖² / ‖ŝ − s̃‖²

    with the energies of all frames in which the reference sounds. As published, a wrong level is a
    spatial distortion. Here delays are up to 1 ms, the estimates of a stream being in time.
    """
    length, hop = round(FRAME_S * RATE_HZ), round(FRAME_HOP_S * RATE_HZ)
    starts = range(0, max(1, reference.shape[1] - length + hop), hop)
    frames = [(reference[:, k : k + length], estimate[:, k : k + length]) for k in starts]
    energies = [float(np.sum(np.square(own, dtype=np.float64))) for own, _ in frames]
    floor = max(energies) * 10 ** (QUIET_DB / 10)
    found = [_energies(*f) for f, e in zip(frames, energies, strict=True) if e > floor]
    if not found:
        return Distortion(float("nan"), float("nan"))
    own, spatial, model, residual = np.sum(found, axis=0)
    return Distortion(_ratio_db(own, spatial), _ratio_db(model, residual))


def _energies(reference: Reals, estimate: Reals) -> tuple[float, float, float, float]:
    """Return the energies of s, s̃ − s, s̃ and ŝ − s̃ in one frame."""
    own, found = reference.astype(np.float64), estimate.astype(np.float64)
    model = np.stack([_projected(own, channel) for channel in found])
    parts = (own, model - own, model, found - model)
    energies = [float(np.sum(np.square(part))) for part in parts]
    return energies[0], energies[1], energies[2], energies[3]


def _projected(reference: Doubles, channel: Doubles) -> Doubles:
    """Return the least-squares sum of both channels of the reference, each at its best delay."""
    delayed = np.stack([_delayed(own, _delay(own, channel)) for own in reference], 1)
    # of a point both columns are one sound; of the solutions the shortest is taken
    gains = np.linalg.lstsq(delayed, channel, rcond=1e-6)[0]
    projected: Doubles = delayed @ gains
    return projected


def _delay(own: Doubles, channel: Doubles) -> int:
    """Return the delay of `own`, samples, that correlates best with `channel`; 0 if none does."""
    reach, n = round(MAX_DELAY_S * RATE_HZ), own.size

    def correlation(delay: int) -> float:
        late, early = max(0, delay), max(0, -delay)
        return abs(float(own[early : n - late] @ channel[late : n - early]))

    return max(sorted(range(-reach, reach + 1), key=abs), key=correlation)  # of equals the shortest


def _delayed(own: Doubles, delay: int) -> Doubles:
    out = np.zeros_like(own)
    if delay >= 0:
        out[delay:] = own[: own.size - delay]
    else:
        out[:delay] = own[-delay:]
    return out


def _ratio_db(above: float, below: float) -> float:
    return float(10 * np.log10((above + TINY) / (below + TINY * above + TINY)))
