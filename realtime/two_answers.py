"""A timbre in a direction, answered twice: by all that is told, and by the timbre alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Floats
from realtime.conditions import (
    BY_TIMBRE,
    BY_TIMBRE_ALONE,
    WIDTH_DEG,
    Conditions,
    Outputs,
    kinds_of,
)
from realtime.fading_sum import FadingSum
from realtime.masks import apply_masks
from realtime.spec import MASK_AXES
from realtime.stft import powers
from realtime.turns import cuts_between, in_parts

if TYPE_CHECKING:
    from realtime.model import ModelStream

_TINY = np.float32(1e-12)


class TwoAnswers:
    """A stream in which a timbre in a direction, or against another timbre, is answered twice.

    A network that hears where sounds are and one that hears what they are err in other places, so
    a mean of their masks is better than either, with more of the answer that is surer. With the
    timbre t of a target, and the doubts d of the answer by all that is told and e of that by t::

        masks = (1 − w) · masks by all that is told + w · masks by t alone
        w = d / (d + e) · min(|t|, 1)
        d = Σ g (1 − g) |x|² / Σ g² |x|²    over bins and the last two seconds (a `FadingSum`)

    of the mixture x and the gains g of the answer. The mask of a bin in which one sound dominates
    is near 0 or 1. Targets that are told only a direction, or only a timbre, are answered once.

    Parameters
    ----------
    whole, alone : streams of one model that takes a direction and a timbre.
    targets : of these streams.
    hop_s : seconds from a frame to the next.
    """

    def __init__(self, whole: ModelStream, alone: ModelStream, targets: int, hop_s: float) -> None:
        self._whole, self._alone = self._streams = whole, alone
        self._asked = (True, True)  # whether the last frame asked for the answer of each
        # of each answer the two sums of its doubt
        self._doubt_sums = FadingSum((2, 2, targets), hop_s)
        self.reset()

    def step(self, spectrum: Floats, conditions: Conditions) -> Outputs:
        """See `ModelStream.step`."""
        kinds = kinds_of(conditions)
        if cuts := cuts_between(kinds):
            return in_parts(self.step, spectrum, conditions, cuts)
        alone, twice = kinds[0] == BY_TIMBRE_ALONE, kinds[0] == BY_TIMBRE
        asked = not alone.all(), bool((alone | twice).any())
        before, self._asked = self._asked, asked
        for stream, was_asked, is_asked in zip(self._streams, before, asked, strict=True):
            if is_asked and not was_asked:
                stream.reset()
        if asked == (True, False):
            return self._whole.step(spectrum, conditions)
        if asked == (False, True):
            return self._alone.step(spectrum, conditions)
        return self._both(spectrum, conditions, alone, twice)

    def reset(self) -> None:
        """Set every state to its start."""
        self._whole.reset()
        self._alone.reset()
        self._asked = (True, True)
        self._doubt_sums.reset()

    def _both(
        self,
        spectrum: Floats,
        conditions: Conditions,
        alone: NDArray[np.bool_],
        twice: NDArray[np.bool_],
    ) -> Outputs:
        """Ask both; of targets (targets,) that are told a timbre alone, or none, one answer counts.

        Only what was answered twice is remembered of a doubt.
        """
        timbre, direction = conditions["timbre"], conditions["direction"]
        anywhere = np.zeros_like(direction)
        anywhere[..., 1] = WIDTH_DEG[1]
        told = {**conditions, "timbre": np.where(alone[:, None], np.float32(0), timbre)}
        found = dict(self._whole.step(spectrum, told))
        other = self._alone.step(spectrum, {"direction": anywhere, "timbre": timbre})
        new = self._new_doubts(spectrum, [found["masks"], other["masks"]], direction[..., 0])
        doubts = _share_of_first(self._doubt_sums.add(new * twice))
        length = np.sqrt(np.square(timbre).sum(-1))
        weight = np.where(alone, np.float32(1), np.minimum(length, np.float32(1)) * doubts * twice)
        for name, array in found.items():
            own = weight.reshape(*weight.shape, *[1] * (array.ndim - 2))
            found[name] = array + own * (other[name] - array)
        return found

    def _new_doubts(self, spectrum: Floats, answers: list[Floats], azimuth_deg: Floats) -> Floats:
        """Return what a frame adds to the two sums of each answer's doubt: (frames, 2, 2, targets).

        Parameters
        ----------
        answers : masks (frames, targets, axes, bins) of each.
        azimuth_deg : (frames, targets).
        """
        spectra = np.ascontiguousarray(spectrum).view(np.complex64)[..., 0]
        mixture = powers(spectra).sum(-2)[:, None]
        new = np.empty((len(spectrum), 2, 2, azimuth_deg.shape[1]), np.float32)
        for k, masks in enumerate(answers):
            steered = masks.shape[2] == MASK_AXES["steered"]
            targets = apply_masks(masks, spectra, azimuth_deg if steered else None)
            taken = np.minimum(powers(targets).sum(-2), mixture)
            new[:, k, 0] = (np.sqrt(taken * mixture) - taken).sum(-1)
            new[:, k, 1] = taken.sum(-1)
        return new


def _share_of_first(sums: Floats) -> Floats:
    """Return the share of the first answer in the doubts of both, (frames, targets)."""
    doubts = (sums[:, :, 0] + _TINY) / (sums[:, :, 1] + _TINY)
    share: Floats = doubts[:, 0] / doubts.sum(1)
    return share
