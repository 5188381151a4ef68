"""Timbres of tracks: the encoder that comes along, two timbres, and a model that hears them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.engine.shared.kept_timbres import KeptTimbres
from realtime.encoder import load_encoder
from tests.support.models import timbre_model

ENCODER = load_encoder()
FIRST, SECOND = np.eye(2, ENCODER.spec.size, dtype=np.float32)


def drums_model(folder: Path) -> Path:
    """The target is the mixture, less the square of the first number of its timbre."""
    drums = tuple(SECOND.tolist())
    return timbre_model(folder / "t.onnx", {"drums": drums}, encoder=ENCODER.spec.encoder)


def kept(vector: NDArray[np.float32] = FIRST, encoder: str = ENCODER.spec.encoder) -> str:
    """The text in which a plugin keeps a timbre that was learned."""
    return KeptTimbres().changed(encoder, "like", vector, "mine").to_text()
