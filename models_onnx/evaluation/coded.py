"""Scenes whose mixture has been through a codec, as most music that is at hand has been."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import soundfile

from models_onnx.data.stems import RATE_HZ
from models_onnx.evaluation.timbre_scenes import TimbreScene

CODECS = {
    "mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT",
            "compression_level": 0.8},
    "ogg": {"format": "OGG", "subtype": "VORBIS", "compression_level": 0.7},
}  # fmt: skip
"""What libsndfile is told: about 96 kbit/s of MP3, 100 to 120 kbit/s of Vorbis."""


def coded(scene: TimbreScene, codec: str) -> TimbreScene:
    """Return a scene with its mixture encoded and decoded; its true images stay as they are.

    Both codecs are decoded without delay, which libsndfile takes out of MP3.
    """
    file = io.BytesIO()
    soundfile.write(file, scene.mixture.T, RATE_HZ, **CODECS[codec])
    file.seek(0)
    audio, _ = soundfile.read(file, frames=scene.mixture.shape[1], dtype="float32", fill_value=0)
    return replace(scene, mixture=np.ascontiguousarray(audio.T))
