"""Timbres of the targets of a live session: what was asked, what they are, sound to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.control.target_timbres import TargetTimbres
from plugin_bridge.control.timbre_requests import (
    RequestQueue,
    Slot,
    SoundCapture,
    TimbreChange,
    heard,
)


class LiveTimbres:
    """The timbres of targets that are separated in this process.

    Parameters
    ----------
    targets : names, in the order of the separator.
    encoder : of the model; empty if it takes no timbre.
    words : by target, what the timbres at the start are made of; see `ControlSurface.timbres`.
    """

    def __init__(
        self,
        targets: Sequence[str],
        sample_rate: float = 44_100.0,
        encoder: str = "",
        words: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._targets, self._rate_hz = tuple(targets), sample_rate
        self._words = {
            name: {"encoder": encoder, **(words or {}).get(name, {})} for name in targets
        }
        self._captures = [SoundCapture() for _ in targets]
        self._requests = RequestQueue()
        self.conditions = TargetTimbres(0)
        """What the model is told; whoever makes its conditions puts them here."""
        self.changes: Mapping[tuple[str, Slot], TimbreChange] = {}
        """The last change of each timbre since the start, by target and slot."""

    @property
    def requests(self) -> RequestQueue:
        """Return what was asked, with what has been heard until now."""
        for name, capture in zip(self._targets, self._captures, strict=True):
            if (rows := capture.take()) is not None:
                self._requests.put(heard(name, rows, self._rate_hz))
        return self._requests

    def words(self, target: str) -> Mapping[str, str]:
        """See `ControlSurface.timbres`."""
        return self._words.get(target, {})

    def change(self, change: TimbreChange) -> None:
        """See `ControlSurface.change_timbre`."""
        self.conditions.set(self._targets.index(change.instance), change.slot, change.vector)
        self._words[change.instance] = {
            **self._words[change.instance],
            change.slot: change.words,
        }
        self.changes = {
            **self.changes,
            (change.instance, change.slot): change,
        }  # whole, for a reader

    def listen(self, target: str, seconds: float) -> None:
        """See `ControlSurface.listen`."""
        capture = self._captures[self._targets.index(target)]
        if seconds:
            capture.begin(np.zeros((round(seconds * self._rate_hz), 4), np.float32))
        else:
            capture.end()

    def put(self, stems: NDArray[np.float32]) -> None:
        """Take the newest stems (targets + 1, 2, n); called by the thread that separates."""
        for index, capture in enumerate(self._captures):
            if capture.is_asked:
                capture.put(stems[index], stems.sum(0) - stems[index])
