"""One filter for all targets by timbre: each is taken with regard to the others and to where it is.

A network that is told a timbre gives a mask of each target by itself, one for both sides or one for
each. Two masks may claim a bin both, and neither knows where its source stands. Here the masks are
what the targets claim, where they stand is learned from what they claimed, and a Wiener filter of
both (Duong, Vincent & Gribonval, IEEE TASLP 18(7), 2010, with magnitudes for powers, since a mask
is a ratio of magnitudes) gives each target its own.
"""

from __future__ import annotations

import numpy as np

from realtime.arrays import Floats, Spectra
from realtime.fading_sum import FadingSum
from realtime.stft import powers

SPREAD = 0.01
"""Of what is known of a place, how much is anywhere: a null is never deeper than that."""
_TINY = 1e-12


class JointFilter:
    """Filters of targets that are told timbres, in the order of the frames of a stream.

    With the masks m_k of the targets, the 2 × 2 covariances C_k of what each has claimed in the
    last two seconds (a `FadingSum`), brought to a trace of two, and r = max(0, 1 − Σ_k w_jk m_k),
    what none claims::

        filter of j = m_j C_j (Σ_k w_jk m_k C_k + r C_r)⁻¹

    w_jj = 1, and w_jk = |t_k| (1 − max(0, cos(t_j, t_k))²) of the timbres t: a target that is told
    little claims little of the others, and the same timbre twice gives the same target twice. Where
    all stand in one place and the masks add up to one, the filter of a target is its mask.

    Parameters
    ----------
    targets : how many.
    hop_s : seconds from a frame to the next.
    """

    def __init__(self, targets: int, hop_s: float) -> None:
        self._moments = FadingSum((2, targets, 3), hop_s)  # of targets and of the rest of each

    def reset(self) -> None:
        """Forget where targets and the rest of each have been."""
        self._moments.reset()

    def filters(self, masks: Floats, spectra: Spectra, timbres: Floats) -> Floats:
        """Return filters (frames, targets, 4, bins) of left and right.

        Parameters
        ----------
        masks : (frames, targets, axes, bins), of the mixture (axes = 1) or of left and right (2).
        spectra : (frames, 2, bins) of the mixture.
        timbres : (frames, targets, size); longer than one counts as one.

        Returns
        -------
        Left to left, right to left, left to right and right to right, as `apply_masks` takes them
        without a direction.
        """
        frames, targets = masks.shape[:2]
        claims = np.maximum(masks, np.float32(0))
        weights = competition(timbres)
        taken = (weights @ claims.reshape(frames, targets, -1)).reshape(claims.shape)
        rest = np.maximum(np.float32(1) - taken, np.float32(0))
        covariances = self._covariances(_of_both_sides(claims), _of_both_sides(rest), spectra)
        own = _weighted(claims, covariances[:, 0])
        total = (weights @ own.reshape(frames, targets, -1)).reshape(own.shape)
        total += _weighted(rest, covariances[:, 1])
        return _ratios(own, total)

    def _covariances(self, claims: Floats, rest: Floats, spectra: Spectra) -> Floats:
        """Return what is known at each frame of the covariances (frames, 2, targets, 3) of what
        targets claim (frames, targets, bins), and of what is the rest for each.
        """
        power = powers(spectra)
        left, right = spectra[:, 0], spectra[:, 1]
        across = left.real * right.real + left.imag * right.imag
        level = np.sqrt(power.sum(1, keepdims=True) + np.float32(_TINY))
        moments = np.concatenate([power, across[:, None]], 1) / level
        new = (1 - self._moments.keep) * (np.concatenate([claims, rest], 1) @ moments.mT)
        covariances = self._moments.add(new.reshape(len(new), 2, -1, 3))
        covariances[..., :2] += np.float32(_TINY)  # of what was never claimed: anywhere
        half = covariances[..., :2].sum(-1, keepdims=True) * np.float32(0.5)
        covariances *= np.float32(1 - SPREAD) / half
        covariances[..., :2] += np.float32(SPREAD)
        return covariances


def competition(timbres: Floats) -> Floats:
    """Return how much of what target k claims counts for target j: (frames, j, k), ones for j = k.

    Parameters
    ----------
    timbres : (frames, targets, size).
    """
    if timbres.shape[1] == 1:
        return np.ones((len(timbres), 1, 1), np.float32)
    length = np.sqrt(np.square(timbres).sum(-1, keepdims=True))
    unit = timbres / np.maximum(length, np.float32(_TINY))
    alike = np.maximum(unit @ unit.mT, np.float32(0))
    strength = np.minimum(length, np.float32(1)).mT
    weights: Floats = strength * (np.float32(1) - np.minimum(np.square(alike), np.float32(1)))
    own = np.arange(timbres.shape[1])
    weights[:, own, own] = 1
    return weights


def _of_both_sides(claims: Floats) -> Floats:
    """Return what is claimed of both sides in the mean, of claims (frames, targets, axes, bins)."""
    return claims[:, :, 0] if claims.shape[2] == 1 else claims.mean(2)


def _weighted(claims: Floats, covariances: Floats) -> Floats:
    """Return left, right and across (frames, targets, 3, bins) of claims (frames, targets, axes,
    bins) with these covariances (frames, targets, 3).
    """
    left, right = claims[:, :, 0], claims[:, :, -1]
    both = left if claims.shape[2] == 1 else np.sqrt(left * right)
    return np.stack([left, right, both], 2) * covariances[..., None]


def _ratios(own: Floats, total: Floats) -> Floats:
    """Return own times the inverse of total, covariances (frames, targets, 3, bins) both."""
    left, right, across = own[:, :, 0], own[:, :, 1], own[:, :, 2]
    all_left, all_right, all_across = total[:, :, 0], total[:, :, 1], total[:, :, 2]
    size = all_left * all_right - np.square(all_across)
    found = np.stack(
        [
            left * all_right - across * all_across,
            across * all_left - left * all_across,
            across * all_right - right * all_across,
            right * all_left - across * all_across,
        ],
        axis=2,
    )
    found /= np.maximum(size, np.float32(_TINY))[:, :, None]
    return found
