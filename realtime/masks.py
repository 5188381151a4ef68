"""From a model's masks to the spectra of its targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from realtime.stft import Spectra

_TOP_BAND = 16  # bins whose mean mask serves the bins above the model's band


def to_bins(masks: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """Fit masks (..., seen) to a spectrum of `bins`: those above the band take its top's mask."""
    seen = masks.shape[-1]
    if seen >= bins:
        return masks[..., :bins]
    top = masks[..., -_TOP_BAND:].mean(-1, keepdims=True)
    return np.concatenate([masks, np.repeat(top, bins - seen, axis=-1)], axis=-1)


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
