"""From a model's masks to the spectra of the targets, by what the targets are told."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Spectra
from realtime.conditions import BY_TIMBRE_ALONE, Conditions, kinds_of
from realtime.joint import JointFilter
from realtime.masks import apply_masks, are_gains, as_gains, masked_in_pieces
from realtime.selection import SourceSelection, from_anywhere, from_directions
from realtime.spec import ModelSpec, Tier
from realtime.stft import AT_ONCE
from realtime.turns import cuts_between

Piece = tuple[slice, slice, Spectra]
"""Some frames, some targets, and the spectra (frames, targets, 2, bins) of these."""


class TargetEstimates:
    """Apply masks to a mixture: to what is asked of a model's own sources, to what comes from the
    directions that a model with `runs` is not told, or as they are.

    Targets that are told timbres and no directions share one filter, if the model is `joint`.

    Parameters
    ----------
    tier : of the model, at the sample rate.
    targets : how many.
    selection : of the model's own sources; None: its masks are of the targets.
    """

    def __init__(
        self,
        spec: ModelSpec,
        tier: Tier,
        sample_rate: float,
        targets: int,
        selection: SourceSelection | None = None,
    ) -> None:
        self._targets, self._selection = targets, selection
        self._is_steered = spec.mask_axes == "steered"
        self._is_told_no_direction = tier.runs is not None
        self._joint = JointFilter(targets, tier.hop / sample_rate) if spec.joint else None

    def reset(self) -> None:
        """Forget the stream."""
        if self._joint:
            self._joint.reset()

    def of(
        self, masks: NDArray[np.float32], spectra: Spectra, conditions: Conditions
    ) -> Iterable[Piece]:
        """Return the targets' spectra, of each target frame by frame in order.

        Parameters
        ----------
        masks : (frames, targets or sources, axes, bins).
        spectra : (frames, 2, bins) of the mixture.
        conditions : (frames, targets, size) by name.
        """
        if self._selection:
            whole = self._selection.estimates(masks, spectra, conditions)
        elif self._is_told_no_direction and "direction" in conditions:
            whole = self._from_directions(masks, spectra, conditions)
        else:
            return self._masked(masks, spectra, conditions)
        return [(slice(0, len(spectra)), slice(0, self._targets), whole)]

    def _masked(
        self, masks: NDArray[np.float32], spectra: Spectra, conditions: Conditions
    ) -> Iterator[Piece]:
        """Apply the masks; targets by a timbre alone share one filter, others have their own."""
        azimuth_deg = conditions["direction"][..., 0] if self._is_steered else None
        joint = self._are_joint(masks, conditions)
        for first, last in itertools.pairwise([0, *cuts_between(joint), len(joint)]):
            part, shared = slice(first, last), joint[first]
            filters = masks[part]
            if self._joint and shared.any():
                gains = np.where(shared[:, None, None], as_gains(filters), np.float32(0))
                timbres = np.where(shared[:, None], conditions["timbre"][part], np.float32(0))
                joined = self._joint.filters(gains, spectra[part], timbres)
            ends = [*cuts_between(shared), len(shared)]
            for start, end in itertools.pairwise([0, *ends]):
                group = slice(start, end)
                where = None if azimuth_deg is None else azimuth_deg[part, group]
                own = filters[:, group]
                if shared[start]:
                    own, where = joined[:, group], None
                for when, some, estimates in masked_in_pieces(own, spectra[part], where, AT_ONCE):
                    frames = slice(first + when.start, first + when.stop)
                    yield frames, slice(start + some.start, min(start + some.stop, end)), estimates

    def _are_joint(self, masks: NDArray[np.float32], conditions: Conditions) -> NDArray[np.bool_]:
        """Return which targets (frames, targets) have gains by a timbre alone, to be joined."""
        if not self._joint:
            return np.zeros(masks.shape[:2], np.bool_)
        if not self._is_steered:
            return np.ones(masks.shape[:2], np.bool_)
        gains = are_gains(masks)
        return gains & (kinds_of(conditions) == BY_TIMBRE_ALONE) if gains.any() else gains

    def _from_directions(
        self, masks: NDArray[np.float32], spectra: Spectra, conditions: Conditions
    ) -> Spectra:
        """Take targets from their directions; where none has one, by one filter for all."""
        direction = conditions["direction"]
        if self._joint is None:
            return from_directions(masks, spectra, direction)
        anywhere = from_anywhere(direction)
        steered = ~anywhere
        estimates = np.empty((*masks.shape[:2], *spectra.shape[1:]), np.complex64)
        if anywhere.any():
            timbre = conditions["timbre"][anywhere]
            filters = self._joint.filters(masks[anywhere], spectra[anywhere], timbre)
            estimates[anywhere] = apply_masks(filters, spectra[anywhere], None)
        if steered.any():
            estimates[steered] = from_directions(
                masks[steered], spectra[steered], direction[steered]
            )
        return estimates
