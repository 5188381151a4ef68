"""Learn a timbre from what a target sounds like while it is pointed at by its direction."""

from __future__ import annotations

import math

import numpy as np

from plugin_bridge.control.timbre_requests import Heard
from plugin_bridge.files.clip import resampled
from plugin_bridge.timbre.encoders import SeparatedEncoder
from plugin_bridge.timbre.vector import Timbre

QUIET_DB = -60.0
"""RMS of the target below which there is nothing to learn from."""


def learned_timbre(heard: Heard, encoder: SeparatedEncoder) -> Timbre:
    """Return the timbre of what was heard of a target.

    Raises
    ------
    ValueError if the target was hardly heard, or the sound is too short.
    """
    level_db = 10 * math.log10(float(np.mean(np.square(heard.target))) + 1e-12)
    if level_db < QUIET_DB:
        raise ValueError(
            f"it sounded at {level_db:.0f} dB, too quiet to learn from: let it play, and ask again"
        )
    rates = round(heard.sample_rate), encoder.spec.sample_rate
    sounds = (resampled(sound, *rates) for sound in (heard.target, heard.residual))
    vector = encoder.encode_separated(*sounds)
    seconds = heard.target.shape[1] / heard.sample_rate
    return Timbre(vector, encoder.spec.encoder, sources=(f"learned in {seconds:.2g} s",))
