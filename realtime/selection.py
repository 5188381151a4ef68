"""Targets made of a model's own sources: which of them, and from which direction.

A model that knows sources by name (voice, drums …) gives a mask of each. A target of the user is a
weighted sum of them, taken from a direction or from anywhere, so a target may change from one
source to another while the stream goes on. All of it happens in the same spectra, so an instrument
from a direction is no later than the instrument alone. A direction beside a timbre, of a model that
is told timbres and no directions, is met here as well, behind the graph.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Spectra
from realtime.conditions import WIDTH_DEG, Conditions
from realtime.masks import apply_masks
from realtime.spec import ModelSpec

SOURCES, DIRECTION = "sources", "direction"
POINT_DEG = 40.0
"""Up to this width a target is a point; beyond it keeps more and more of its own width."""
FREE_DEG = 80.0
"""From this width on the direction counts less, and at the widest not at all."""
_TINY = 1e-20


class SourceSelection:
    """Filters of targets from the masks of a model's sources.

    Equation: with the masks m_s of the sources, the weights w_s of a target, the filter D of its
    direction and the identity I::

        filter = D (Σ_s w_s m_s + (1 − Σ_s w_s) I)

    so a target without any source is everything that comes from its direction.

    Parameters
    ----------
    sources : how many the model has.
    """

    def __init__(self, sources: int) -> None:
        self._sources = sources

    @classmethod
    def of(cls, spec: ModelSpec) -> SourceSelection:
        """Return the selection from the sources of a model; ValueError if it has none."""
        if not spec.targets or spec.conditions:
            raise ValueError(
                f"model {spec.name!r} has no sources of its own to select from: leave select out"
            )
        return cls(len(spec.targets))

    @property
    def conditions(self) -> dict[str, int]:
        """Return the sizes of the conditions that tell each target its sources and direction."""
        return {SOURCES: self._sources, DIRECTION: 2}

    def estimates(
        self, masks: NDArray[np.float32], spectra: Spectra, conditions: Conditions
    ) -> Spectra:
        """Return the spectra of the targets (frames, targets, 2, bins).

        Frames whose targets come from anywhere need no filter: it would be the masks again.

        Parameters
        ----------
        masks : (frames, sources, axes, bins).
        spectra : (frames, 2, bins) of the mixture.
        conditions : ``sources`` (frames, targets, sources), 0 to 1 and at most 1 in all;
            ``direction`` (frames, targets, 2).
        """
        weights, direction = conditions[SOURCES], conditions[DIRECTION]
        rest = np.maximum(0, 1 - weights.sum(-1))[..., None, None]
        chosen = np.einsum("fts,fsab->ftab", weights, masks) + rest
        return from_directions(chosen, spectra, direction)

    def activity(
        self, activity: NDArray[np.float32] | None, conditions: Conditions
    ) -> NDArray[np.float32] | None:
        """Return how surely each target sounds (frames, targets), of that of the sources.

        A target is as active as the most active of its sources; without a source it is not told.
        """
        if activity is None:
            return None
        loudest: NDArray[np.float32] = (conditions[SOURCES] * activity[:, None]).max(-1)
        return loudest


def from_directions(
    masks: NDArray[np.float32], spectra: Spectra, direction: NDArray[np.float32]
) -> Spectra:
    """Return what masks leave, of it what comes from a direction: (frames, targets, 2, bins).

    Parameters
    ----------
    masks : (frames, targets, axes, bins) of the mixture (axes = 1) or of left and right (2).
    spectra : (frames, 2, bins) of the mixture.
    direction : (frames, targets, 2); where it is the widest for all targets there is no filter.
    """
    anywhere = from_anywhere(direction)
    if anywhere.all():
        return apply_masks(masks, spectra, None)
    estimates = apply_masks(_filters(masks, spectra, direction), spectra, direction[..., 0])
    if anywhere.any():
        estimates[anywhere] = apply_masks(masks[anywhere], spectra[anywhere], None)
    return estimates


def from_anywhere(direction: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the frames in which no target has a direction, of (frames, targets, 2)."""
    widths = direction[..., 1]
    return np.asarray(widths.min(axis=1) >= WIDTH_DEG[1])


def _filters(
    masks: NDArray[np.float32], spectra: Spectra, direction: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the filters (frames, targets, 4, bins) in the direction of each target."""
    theta = np.deg2rad(direction[..., :1] + np.float32(45))
    along, across = _direction_masks(spectra, theta, direction[..., 1:])
    left, right = masks[:, :, 0], masks[:, :, -1]
    return _turned(left, right, along, across, theta)


def _direction_masks(
    spectra: Spectra, theta: NDArray[np.float32], width_deg: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the masks along and across a direction, (frames, targets, bins) each.

    Along: exp(−ln 2 · (|N| / (|T| tan(width / 2)))²) of T = u·x and N = v·x, one half at the edge
    of the opening, as in `panorama`. Both go to 1 as the width goes to its widest.
    """
    cos, sin = np.cos(theta), np.sin(theta)
    left, right = spectra[:, None, 0], spectra[:, None, 1]
    target, other = left * cos + right * sin, right * cos - left * sin
    opening = np.tan(np.deg2rad(width_deg) / 2) ** 2
    power = target.real**2 + target.imag**2
    mask = np.exp(-np.log(2) * (other.real**2 + other.imag**2) / (power * opening + _TINY))
    widest = WIDTH_DEG[1]
    spread = np.clip((width_deg - POINT_DEG) / (widest - POINT_DEG), 0, 1)
    free = np.clip((width_deg - FREE_DEG) / (widest - FREE_DEG), 0, 1)
    along = mask + free * (1 - mask)
    across = mask * spread * (1 - free) + free
    return along.astype(np.float32), across.astype(np.float32)


def _turned(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    along: NDArray[np.float32],
    across: NDArray[np.float32],
    theta: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the filter (tt, tn, nt, nn): masks of left and right, then along and across.

    In the basis of the direction, diag(l, r) is ((l c² + r s²), (r − l) c s; the same, (l s² +
    r c²)) with c = cos θ, s = sin θ.
    """
    cos, sin = np.cos(theta), np.sin(theta)
    mixed = (right - left) * cos * sin
    return np.stack(
        [
            along * (left * cos**2 + right * sin**2),
            along * mixed,
            across * mixed,
            across * (left * sin**2 + right * cos**2),
        ],
        axis=2,
    ).astype(np.float32)
