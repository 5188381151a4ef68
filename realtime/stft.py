"""Short-time Fourier transform with a short synthesis window: pure functions over frames.

The latency of an analysis and synthesis chain is that of the *synthesis* window. A long analysis
window that ends steeply keeps the frequency resolution (Mauler & Martin, "A low delay, variable
resolution, perfect reconstruction spectral analysis-synthesis system for speech enhancement",
EUSIPCO 2007; Wood & Rouat, "Unsupervised low latency speech enhancement with RT-GCC-NMF", 2019).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Audio, Spectra
from realtime.spec import Tier

MAX_FRAMES = 24  # at once, at most: what a call touches stays in the cache
AT_ONCE = 8  # pairs of spectra that are transformed at once, for the same reason


def windows(tier: Tier) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make the analysis window (window,) and the synthesis window (synthesis,) of a tier.

    Their product over the last `synthesis` samples is a Hann window scaled to overlap-add to one
    at the tier's hop. The analysis window rises as a sine over all but its last synthesis / 2
    samples, and falls as a cosine over these; with synthesis == window both are square roots of
    Hann windows.
    """
    size, short = tier.window, tier.synthesis
    fall = short // 2
    rise = size - fall
    n = np.arange(rise)
    analysis = np.concatenate(
        [np.sin(np.pi * n / (2 * rise)), np.cos(np.pi * np.arange(fall) / short)]
    )
    product = (1 - np.cos(2 * np.pi * np.arange(short) / short)) / 2 * (2 * tier.hop / short)
    tail = analysis[size - short :]
    synthesis = np.divide(product, tail, out=np.zeros(short), where=tail > 0)
    return analysis.astype(np.float32), synthesis.astype(np.float32)


def analyse(signal: Audio, window: NDArray[np.float32], hop: int) -> Spectra:
    """Transform every whole frame of `signal` (channels, window + (frames − 1) · hop).

    Returns spectra (frames, channels, window / 2 + 1).
    """
    frames = _frames_of(signal, window.size, hop)
    if len(frames) == 1:
        return np.fft.rfft(frames * window).astype(np.complex64, copy=False)
    spectra = np.empty((*frames.shape[:2], window.size // 2 + 1), np.complex64)
    for first in range(0, len(frames), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        spectra[part] = _transformed(frames[part] * window)
    return spectra


def analyse_roughly(signal: Audio, window: NDArray[np.float32], hop: int) -> Spectra:
    """Transform as `analyse` does in single precision, in half of the time.

    For what a network looks at: an error of 1e-7 of the loudest bin.
    """
    scaled = window * np.float32(window.size)
    frames = _frames_of(signal, window.size, hop) * scaled
    return np.fft.rfft(frames, norm="forward").astype(np.complex64, copy=False)


def powers(spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the squared magnitudes of spectra of any shape."""
    found: NDArray[np.float32] = np.square(spectra.real) + np.square(spectra.imag)
    return found


def _frames_of(signal: Audio, size: int, hop: int) -> Audio:
    """Return the frames (frames, channels, size) of a signal (channels, samples), not copied."""
    signal = np.ascontiguousarray(signal, np.float32)
    row, sample = signal.strides
    shape = ((signal.shape[1] - size) // hop + 1, signal.shape[0], size)
    # overlapping views; numpy's own sliding_window_view takes longer than the transform
    frames: Audio = np.ndarray(shape, np.float32, signal, 0, (hop * sample, row, sample))
    return frames


def _transformed(frames: Audio) -> NDArray[np.complex128]:
    """Transform frames (..., window) in double precision, as numpy does without a norm, too.

    It converts number by number then, since its factor of one is an integer, and of several frames
    that takes half as long again. With ``norm="forward"`` it divides by the size. In single
    precision it would be twice as quick: a null of `steer` hears the difference, 80 dB below the
    target.
    """
    size = frames.shape[-1]
    return np.fft.rfft(np.multiply(frames, size, dtype=np.float64), norm="forward")


def synthesise(spectra: Spectra, window: NDArray[np.float32], hop: int, carry: Audio) -> Audio:
    """Overlap-add the frames (frames, channels, bins) behind what `carry` holds of earlier ones.

    Parameters
    ----------
    carry : (channels, synthesis − hop), the unfinished samples; updated in place.

    Returns
    -------
    Finished samples (channels, frames · hop). The sums run from the oldest frame to the newest,
    however the frames are cut into calls, so any partition gives the same bits.
    """
    frames, channels, bins = spectra.shape
    short = window.size
    slots = short // hop
    tails: Audio = np.fft.irfft(spectra, 2 * (bins - 1))[..., -short:].astype(
        np.float32, copy=False
    )
    pieces = (tails * window).reshape(frames, channels, slots, hop)
    out = np.zeros((channels, frames + slots - 1, hop), np.float32)
    out[:, : slots - 1] = carry.reshape(channels, slots - 1, hop)
    for slot in reversed(range(slots)):
        out[:, slot : slot + frames] += pieces[:, :, slot].swapaxes(0, 1)
    carry[:] = out[:, frames:].reshape(channels, -1)
    return out[:, :frames].reshape(channels, -1)
