"""What makes timbres of sounds: `realtime.encoder.OnnxEncoder`, as far as this folder needs it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from realtime.arrays import Audio
from realtime.encoder import EncoderSpec


class Encoder(Protocol):
    """What makes a timbre of a sound."""

    spec: EncoderSpec

    def encode(self, audio: Audio) -> NDArray[np.float32]:
        """Return the unit vector (size,) of audio (channels, samples) at the encoder's rate."""


class SeparatedEncoder(Protocol):
    """What makes a timbre of a separated target."""

    spec: EncoderSpec

    def encode_separated(self, target: Audio, residual: Audio) -> NDArray[np.float32]:
        """Return the unit vector (size,) of where a target (channels, samples) is the louder."""
