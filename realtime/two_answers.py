"""A timbre in a direction, answered twice: by all that is told, and by the timbre alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from realtime.conditions import WIDTH_DEG, Conditions, Outputs
from realtime.turns import cuts_between, in_parts

if TYPE_CHECKING:
    from realtime.model import ModelStream

_BY_MORE, _BY_BOTH, _BY_TIMBRE = range(3)  # what answers a frame


class TwoAnswers:
    """A stream in which a timbre in a direction, or against another timbre, is answered twice.

    A network that hears where sounds are and one that hears what they are err in other places, so
    the mean of their masks is better than either. With the share s and the timbre t of a target::

        masks = (1 − w) · masks by all that is told + w · masks by t alone,    w = s · min(|t|, 1)

    Frames in which only directions are told, or only timbres, are answered once.

    Parameters
    ----------
    whole, alone : streams of one model that takes a direction and a timbre.
    share : of the answer by the timbre alone, 0 to 1.
    """

    def __init__(self, whole: ModelStream, alone: ModelStream, share: float) -> None:
        self._whole, self._alone, self._share = whole, alone, np.float32(share)
        self._last = _BY_BOTH  # what answered the last frame

    def step(self, spectrum: NDArray[np.float32], conditions: Conditions) -> Outputs:
        """See `ModelStream.step`."""
        kinds = _kinds(conditions)
        if cuts := cuts_between(kinds):
            return in_parts(self.step, spectrum, conditions, cuts)
        before, self._last = self._last, int(kinds[0])
        if self._last == _BY_MORE:
            if before != _BY_MORE:
                self._alone.reset()
            return self._whole.step(spectrum, conditions)
        if self._last == _BY_TIMBRE:
            if before != _BY_TIMBRE:
                self._whole.reset()
            return self._alone.step(spectrum, conditions)
        return self._mean(spectrum, conditions)

    def reset(self) -> None:
        """Set every state to its start."""
        self._whole.reset()
        self._alone.reset()

    def _mean(self, spectrum: NDArray[np.float32], conditions: Conditions) -> Outputs:
        timbre = conditions["timbre"]
        anywhere = np.zeros((*timbre.shape[:2], 2), np.float32)
        anywhere[..., 1] = WIDTH_DEG[1]
        found = dict(self._whole.step(spectrum, conditions))
        other = self._alone.step(spectrum, {"direction": anywhere, "timbre": timbre})
        length = np.sqrt(np.square(timbre).sum(-1))
        weight = self._share * np.minimum(length, np.float32(1))
        for name, array in found.items():
            own = weight.reshape(*weight.shape, *[1] * (array.ndim - 2))
            found[name] = array + own * (other[name] - array)
        return found


def _kinds(conditions: Conditions) -> NDArray[np.int8]:
    """Return what answers each frame, all targets of it alike."""
    direction = conditions["direction"]
    nothing = np.zeros((*direction.shape[:2], 1), np.float32)
    timbre, against = (
        np.any(conditions.get(name, nothing), axis=(1, 2)) for name in ("timbre", "against")
    )
    anywhere = (direction[..., 1] >= WIDTH_DEG[1]).all(1)
    alone = timbre & anywhere & ~against
    kinds: NDArray[np.int8] = timbre.astype(np.int8) + alone
    return kinds
