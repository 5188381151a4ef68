"""From a model's masks to the spectra of its targets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Spectra

MAX_GAIN = 16.0
"""What a target may be louder than the mixture in a bin: 24 dB. `steer-studio` nulls a neighbour
4.8° away, for which it takes up to 22 dB of what is across the target."""
_STEERED_AXES = 4
_TOP_BAND = 16  # bins whose mean mask serves the bins above the model's band
_TO_CHANNELS = np.array(  # what 1, cos 2θ and sin 2θ are multiplied by: (3, 16)
    [
        [1, 0, 0, 1, 0, 1, -1, 0, 0, -1, 1, 0, 1, 0, 0, 1],
        [1, 0, 0, -1, 0, 1, 1, 0, 0, 1, 1, 0, -1, 0, 0, 1],
        [0, -1, -1, 0, 1, 0, 0, -1, 1, 0, 0, -1, 0, 1, 1, 0],
    ],
    np.float32,
) / np.float32(2)


def to_bins(masks: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """Fit masks (..., seen) to a spectrum of `bins`: those above the band take its top's mask."""
    seen = masks.shape[-1]
    if seen >= bins:
        return masks[..., :bins]
    fitted = np.empty((*masks.shape[:-1], bins), np.float32)
    fitted[..., :seen] = masks
    top = masks[..., -_TOP_BAND:]
    fitted[..., seen:] = top.sum(-1, keepdims=True) / np.float32(top.shape[-1])
    return fitted


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
    if are_plain(masks):
        return masks, True
    steered = masks.shape[-2] == _STEERED_AXES
    wide = masks.astype(np.float64)  # 1e30 squared is beyond float32
    gain = np.sqrt(np.square(wide).sum(-2, keepdims=True)) if steered else np.abs(wide)
    scale = MAX_GAIN / np.maximum(gain, MAX_GAIN)
    return (wide * scale).astype(np.float32), bool((gain <= MAX_GAIN).all())


def checked_masks(masks: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """Return masks (..., axes, bins) that can be applied, and whether the model's are returned.

    Masks with a number that is not finite are replaced by dry ones, and others are bounded by
    `bounded_masks`.
    """
    if are_plain(masks):
        return masks, True
    if not np.isfinite(masks).all():
        return dry_masks(masks.shape), False
    return bounded_masks(masks)


def are_plain(masks: NDArray[np.float32]) -> bool:
    """Return whether masks (..., axes, bins) are finite, and no gain exceeds `MAX_GAIN`.

    False may also be a filter in a direction whose gain does not: that takes longer to tell.
    """
    peak = max(float(masks.max(initial=0)), -float(masks.min(initial=0)))  # NaN if there is one
    steered = masks.shape[-2] == _STEERED_AXES
    return peak <= (MAX_GAIN / 2 if steered else MAX_GAIN)  # four times (8)² is 16²


def are_gains(masks: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return whether each mask is a gain of the mixture or of its sides: (frames, targets).

    A filter in a direction is, where it is the same gain in every direction.
    """
    if masks.shape[2] != _STEERED_AXES:
        return np.ones(masks.shape[:2], np.bool_)
    return np.logical_not(masks[:, :, 1:3].any((2, 3)))


def as_gains(masks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return masks that are gains as (frames, targets, 1 or 2, bins), of the mixture or its sides.

    See `are_gains`.
    """
    return masks if masks.shape[2] != _STEERED_AXES else masks[:, :, :1]


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
    whole = masked_in_pieces(masks, spectra, azimuth_deg, masks.shape[0] * masks.shape[1])
    ((_, _, targets),) = whole
    return targets


def masked_in_pieces(
    masks: NDArray[np.float32], spectra: Spectra, azimuth_deg: NDArray[np.float32] | None, most: int
) -> Iterator[tuple[slice, slice, Spectra]]:
    """Yield some frames and some targets at a time, with what `apply_masks` makes of them.

    At most `most` pairs of spectra, so that they stay in the cache; of each target the frames come
    in order, and any cut gives the same bits. What is the same for all targets is made once. Real
    numbers times real and imaginary parts take a fraction of the time of complex products.
    """
    matrices = None if azimuth_deg is None else _channel_matrices(azimuth_deg)
    frames, targets = masks.shape[:2]
    long = min(frames, most)
    some = max(1, most // long)
    for first, target in itertools.product(range(0, frames, long), range(0, targets, some)):
        when, group = slice(first, min(first + long, frames)), slice(target, target + some)
        own, mixture = masks[when, group], spectra[when, None]
        out = np.empty((*own.shape[:2], *spectra.shape[1:]), np.complex64)
        filters = own if matrices is None else np.matmul(matrices[when, group], own)
        _filter(filters, mixture.real, out.real)
        _filter(filters, mixture.imag, out.imag)
        yield when, group, out


def _channel_matrices(azimuth_deg: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what makes of (tt, tn, nt, nn) a filter of left and right: (frames, targets, 4, 4).

    In the basis u, v the filter [[tt, tn], [nt, nn]] is one of [T N] = Rᵀ [L R]; of left and right
    it is R [[tt, tn], [nt, nn]] Rᵀ, whose entries (left to left, right to left, left to right,
    right to right) are linear in (tt, tn, nt, nn), with the coefficients cos² θ, sin² θ and
    cos θ sin θ: by the double-angle formulas, with 1, cos 2θ and sin 2θ.
    """
    twice = (azimuth_deg + np.float32(45)) * np.float32(np.pi / 90)
    products = np.ones((*twice.shape, 3), np.float32)
    np.cos(twice, out=products[..., 1])
    np.sin(twice, out=products[..., 2])
    matrices: NDArray[np.float32] = products @ _TO_CHANNELS
    return matrices.reshape(*twice.shape, _STEERED_AXES, _STEERED_AXES)


def _filter(
    filters: NDArray[np.float32], part: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Put real filters of a real (or imaginary) part (frames, 1, 2, bins) of a mixture into `out`.

    Parameters
    ----------
    filters : (frames, targets, axes, bins) of the mixture, of the channels, or of axes = 4 left to
        left, right to left, left to right and right to right.
    out : (frames, targets, 2, bins).
    """
    if filters.shape[2] != _STEERED_AXES:
        np.multiply(filters, part, out=out)
        return
    frames, targets, _, bins = filters.shape
    shares = filters.reshape(frames, targets, 2, 2, bins) * part[:, :, None]  # to side, from side
    np.add(shares[:, :, :, 0], shares[:, :, :, 1], out=out)
