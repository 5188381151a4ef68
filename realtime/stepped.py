"""Masks of a model that steps frame by frame: what it sees, what it gives, and what is wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Spectra
from realtime.conditions import Conditions
from realtime.masks import checked_masks
from realtime.model import Model, ModelStream
from realtime.turns import TakingTurns
from realtime.two_answers import TwoAnswers

TWO_ANSWER_TIER = "offline"
"""Where there is time for two answers; see `TwoAnswers`."""


class SteppedMasks:
    """Give every frame of a stream the masks of a model that remembers what it has seen.

    Parameters
    ----------
    tier : the name of one of the model's tiers.
    targets : of the model's stream, how many.
    hop_s : seconds from a frame to the next.

    Attributes
    ----------
    faults : how often masks or activity were not finite or out of range.
    activity : (frames, targets) of the frames of the last step, 0 to 1; None if the model gives
        none.
    """

    def __init__(self, model: Model, tier: str, targets: int, hop_s: float) -> None:
        self._bins = model.spec.bins
        self._stream = _begun(model, tier, targets, hop_s)
        self.faults = 0
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._stream.reset()
        self.activity: NDArray[np.float32] | None = None

    def step(self, spectra: Spectra, conditions: Conditions) -> NDArray[np.float32]:
        """Return the masks (frames, targets, axes, bins seen) of spectra (frames, 2, bins).

        Raises what the model raises.
        """
        outputs = self._stream.step(self._seen(spectra), conditions)
        if "activity" in outputs:
            self.activity = self._checked_activity(outputs["activity"])
        return self._checked_masks(outputs["masks"])

    def _seen(self, spectra: Spectra) -> NDArray[np.float32]:
        """Return the bins that the model sees, as real numbers (frames, 2, bins, 2)."""
        frames, channels, bins = spectra.shape
        real = spectra.view(np.float32).reshape(frames, channels, bins, 2)
        wanted = self._bins or bins
        if wanted <= bins:
            return real[:, :, :wanted]
        return np.pad(real, ((0, 0), (0, 0), (0, wanted - bins), (0, 0)))

    def _checked_masks(self, masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return masks that can be applied; count a fault where the model gave others.

        A model that gives numbers that are not finite is started anew.
        """
        checked, are_valid = checked_masks(masks)
        if not are_valid:
            self.faults += 1
            if not np.isfinite(masks).all():
                self._stream.reset()
        return checked

    def _checked_activity(self, activity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return activity from 0 to 1; count a fault where the model gave other numbers."""
        if activity.min(initial=0) >= 0 and activity.max(initial=0) <= 1:
            return activity  # of NaN neither is true
        self.faults += 1
        return np.nan_to_num(activity).clip(0, 1)


def _begun(model: Model, tier: str, targets: int, hop_s: float) -> ModelStream:
    """Begin as many streams of a model as its tier needs, behind one."""
    turns = model.spec.tiers[tier].turns

    def stream() -> ModelStream:
        whole = model.stream(targets)
        if not model.spec.two_answers or tier != TWO_ANSWER_TIER:
            return whole
        return TwoAnswers(whole, model.stream(targets), targets, turns * hop_s)

    return stream() if turns == 1 else TakingTurns([stream() for _ in range(turns)])
