"""Wiener passes: stems made to agree with a model of the mixture, offline.

The local Gaussian model (Duong, Vincent & Gribonval, "Under-determined reverberant audio source
separation using a full-rank spatial covariance model", 2010), refined by expectation and
maximisation as in Nugraha, Liutkus & Vincent, "Multichannel audio source separation with deep
neural networks", 2016. Of each stem a power v in every frame and bin, and of each bin a covariance
R of the channels, constant over a stretch of sound::

    v = |y|² / 2,    R = Σ y yᴴ / Σ v  over frames,    y ← v R (Σ over stems of v R)⁻¹ x

A pass takes what is wrong in place or level out of a stem, and costs some of its sound.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Audio, Spectra
from realtime.spec import Tier, rate_factor
from realtime.stft import analyse, synthesise, windows

TIER = Tier(window=4096, synthesis=4096, hop=1024)
STRETCH_S = 10.0
"""Covariances are taken over so long a stretch; stretches overlap by half and are cross-faded."""
MAX_MAGNITUDE = 10.0
"""Spectra are scaled to this before the passes, as in norbert: the regularisation is absolute."""
Stems = NDArray[np.float32]  # (stems, channels, samples)


def wiener_filtered(
    pairs: Iterator[tuple[Audio, Stems]], passes: int, sample_rate: float
) -> Iterator[tuple[Audio, Stems]]:
    """Yield pairs of mixture (2, n) and stems (stems, 2, n) after `passes`, as many samples in all.

    The last stem is what is left: the mixture minus the others, so the stems sum to it.
    """
    tier = TIER.scaled(rate_factor(sample_rate, 44_100))
    step = round(STRETCH_S / 2 * sample_rate)
    rise = ((np.arange(step) + 0.5) / step).astype(np.float32)
    queue: Stems | None = None  # the mixture, then the stems
    exact: Audio | None = None  # the mixture in its own dtype
    tail: Stems | None = None
    for mixture, stems in pairs:
        exact = mixture if exact is None else np.concatenate([exact, mixture], axis=1)
        block = np.concatenate([mixture[None].astype(np.float32, copy=False), stems])
        queue = block if queue is None else np.concatenate([queue, block], axis=2)
        while queue.shape[2] > 2 * step:
            done = _stretch(queue[:, :, : 2 * step], passes, tier, rise, tail)
            tail = done[:, :, step:] * (1 - rise)
            yield _pair(exact[:, :step], done[:, :, :step])
            queue, exact = queue[:, :, step:], exact[:, step:]
    if queue is not None and exact is not None and queue.shape[2]:
        yield _pair(exact, _stretch(queue, passes, tier, rise, tail))


def _stretch(
    queue: Stems, passes: int, tier: Tier, rise: NDArray[np.float32], tail: Stems | None
) -> Stems:
    """Return the stems of one stretch, faded in over the end of the one before."""
    done = filtered(queue[0], queue[1:], passes, tier)
    if tail is not None:
        done[:, :, : rise.size] *= rise
        done[:, :, : rise.size] += tail[:, :, : done.shape[2]]
    return done


def _pair(mixture: Audio, stems: Stems) -> tuple[Audio, Stems]:
    stems[-1] = mixture - stems[:-1].sum(0)
    return mixture, stems


def filtered(mixture: Audio, stems: Stems, passes: int, tier: Tier = TIER) -> Stems:
    """Return the stems (stems, 2, n) of a mixture (2, n) after `passes` over all of it."""
    analysis, synthesis = windows(tier)
    samples, late = mixture.shape[1], tier.window - tier.hop
    margin = ((0, 0), (late, tier.window))
    x = analyse(np.pad(mixture, margin), analysis, tier.hop)
    y = np.stack([analyse(np.pad(stem, margin), analysis, tier.hop) for stem in stems])
    y = em_filter(y, x, passes)
    out = np.empty_like(stems)
    for k, spectra in enumerate(y):
        carry = np.zeros((2, late), np.float32)
        out[k] = synthesise(spectra, synthesis, tier.hop, carry)[:, late : late + samples]
    return out


def em_filter(stems: Spectra, mixture: Spectra, passes: int) -> Spectra:
    """Return spectra of stems (stems, frames, 2, bins) after passes of the EM algorithm.

    Equals ``norbert.expectation_maximization`` of the mixture (frames, 2, bins), scaled as
    ``norbert.wiener`` does, for two channels.
    """
    loud = max(1.0, float(np.abs(mixture).max(initial=0)) / MAX_MAGNITUDE)
    x, y = mixture / np.float32(loud), stems / np.float32(loud)
    eps = float(np.finfo(np.float32).eps)
    for _ in range(passes):
        power = np.mean(y.real**2 + y.imag**2, axis=2)  # (stems, frames, bins)
        weight = power.sum(1) + eps
        ll, rr = ((y[:, :, c].real ** 2 + y[:, :, c].imag ** 2).sum(1) / weight for c in (0, 1))
        lr = (y[:, :, 0] * y[:, :, 1].conj()).sum(1) / weight
        floor = np.float32(np.sqrt(eps))
        a = np.einsum("sfb,sb->fb", power, ll) + floor  # the mixture's covariance
        d = np.einsum("sfb,sb->fb", power, rr) + floor
        b = np.einsum("sfb,sb->fb", power, lr)
        # it is no less than this, but for rounding, where one source is loud and from one place
        least = floor * (a + d) - floor**2
        determinant = np.maximum(a * d - (b.real**2 + b.imag**2), least)
        left = (d * x[:, 0] - b * x[:, 1]) / determinant  # its inverse times x
        right = (a * x[:, 1] - b.conj() * x[:, 0]) / determinant
        y[:, :, 0] = power * (ll[:, None] * left + lr[:, None] * right)
        y[:, :, 1] = power * (lr[:, None].conj() * left + rr[:, None] * right)
    result: Spectra = (y * np.float32(loud)).astype(np.complex64, copy=False)
    return result
