"""From a model's masks to the spectra of its targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from realtime.stft import Spectra

MAX_GAIN = 10.0  # 20 dB: what a target may be louder than the mixture in a bin
_STEERED_AXES = 4
_TOP_BAND = 16  # bins whose mean mask serves the bins above the model's band


def to_bins(masks: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """Fit masks (..., seen) to a spectrum of `bins`: those above the band take its top's mask."""
    seen = masks.shape[-1]
    if seen >= bins:
        return masks[..., :bins]
    top = masks[..., -_TOP_BAND:].mean(-1, keepdims=True)
    return np.concatenate([masks, np.repeat(top, bins - seen, axis=-1)], axis=-1)


def dry_masks(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the masks (..., axes, bins) that leave the mixture as it is.

    A filter in a direction (tt, tn, nt, nn) does so with tt = nn = 1 and tn = nt = 0.
    """
    masks = np.ones(shape, np.float32)
    if shape[-2] == _STEERED_AXES:
        masks[..., 1:3, :] = 0
    return masks


def bounded_masks(masks: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """Return masks (..., axes, bins) of a gain of at most `MAX_GAIN`, and whether they all were.

    The gain of a filter in a direction is the norm of its matrix, and the root of the sum of its
    squares is never less. Masks that are not finite are an error of the caller.
    """
    steered = masks.shape[-2] == _STEERED_AXES
    if _peak(masks) <= (MAX_GAIN / 2 if steered else MAX_GAIN):  # four times (5)² is 10²
        return masks, True
    wide = masks.astype(np.float64)  # 1e30 squared is beyond float32
    gain = np.sqrt(np.square(wide).sum(-2, keepdims=True)) if steered else np.abs(wide)
    scale = MAX_GAIN / np.maximum(gain, MAX_GAIN)
    return (wide * scale).astype(np.float32), bool((gain <= MAX_GAIN).all())


def _peak(masks: NDArray[np.float32]) -> float:
    return max(float(masks.max(initial=0)), -float(masks.min(initial=0)))


def apply_masks(
    masks: NDArray[np.float32], spectra: Spectra, azimuth_deg: NDArray[np.float32] | None
) -> Spectra:
    """Apply masks (frames, targets, axes, bins) to spectra (frames, 2, bins).

    Parameters
    ----------
    azimuth_deg : (frames, targets) for a filter in a direction (axes = 4: tt, tn, nt, nn); None
        for masks of the channels (axes = 2) or of the mixture (axes = 1).

    Returns
    -------
    Spectra (frames, targets, 2, bins). In a direction, with u = (cos θ, sin θ), θ = azimuth + 45°,
    v = (−sin θ, cos θ), T = u·x and N = v·x of the mixture x, the target is
    (tt T + tn N) u + (nt T + nn N) v. A point at u has nt = nn = 0; the mixture has tt = nn = 1.
    """
    mixture = spectra[:, None]
    if azimuth_deg is None:
        return mixture * masks
    theta = np.deg2rad(azimuth_deg + np.float32(45))[..., None]
    cos, sin = np.cos(theta), np.sin(theta)
    left, right = mixture[:, :, 0], mixture[:, :, 1]
    along, across = left * cos + right * sin, right * cos - left * sin
    along, across = (
        masks[:, :, 0] * along + masks[:, :, 1] * across,
        masks[:, :, 2] * along + masks[:, :, 3] * across,
    )
    out = np.empty((*masks.shape[:2], 2, spectra.shape[-1]), np.complex64)
    np.subtract(cos * along, sin * across, out=out[:, :, 0])
    np.add(sin * along, cos * across, out=out[:, :, 1])
    return out
