"""Songs of noise in the memory of a device, and what is drawn of them."""

from __future__ import annotations

from functools import partial

import numpy as np

from models_onnx.data.sources import Source
from models_onnx.data.stems import RATE_HZ, Label
from models_onnx.training.casting import Casting
from models_onnx.training.device_scenes import DeviceScenes
from models_onnx.training.device_sounds import Sounds
from models_onnx.training.timbre_questions import Asking
from tests.support.timbres import read

SECONDS, CLIP_S = 0.5, 0.4
NOTHING = dict.fromkeys(("direction", "query", "both", "against", "family", "absent"), 0.0)
BAND = ("vocals", "drums", "bass", "guitar", "piano", "violin", "flute")
STEPS = 16


def stem(rng: np.random.Generator, seconds: float, level: float = 0.1) -> np.ndarray:
    """Noise as a stem (3, samples), direct and wide."""
    direct, side = level * rng.standard_normal((2, int(seconds * RATE_HZ)))
    return np.stack([direct, 0.3 * side, -0.3 * side]).astype(np.float32)


def source(made: np.ndarray, name: str, origin: str = "") -> Source:
    return Source(Label(name, "", "", origin), made.shape[1], partial(read, made))


def noises(*songs: tuple[str, ...], seconds: float = 4.0, kinds: tuple[int, ...] = ()) -> Sounds:
    """Songs of stems of these classes, all of them noise."""
    rng = np.random.default_rng(0)
    sounds = Sounds(sum(map(len, songs)) * int(seconds * RATE_HZ), "cpu")
    for k, names in enumerate(songs):
        made = [source(stem(rng, seconds), name) for name in names]
        assert sounds.add(made, kinds[k] if kinds else 0)
    return sounds


def casting(sounds: Sounds, scenes: int = 4, **chances: float) -> Casting:
    """Draw one kind of question alone; by name if no chance is given."""
    asking = Asking(**{**NOTHING, "clip_s": CLIP_S, **chances})  # type: ignore[arg-type]
    return Casting(sounds, [1.0], asking, scenes, 3, SECONDS, clips=scenes * 3 * 5)


def scenes_of(sounds: Sounds) -> DeviceScenes:
    return DeviceScenes(sounds, SECONDS, CLIP_S)


def three_songs() -> Sounds:
    """Three songs, the last of which has two guitars."""
    return noises(BAND, ("vocals", "choir", "drums", "horn"), ("guitar", "guitar", "bass"))
