"""What is in scenes that a device mixes, and what is asked of them, as numbers alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models_onnx.data.classes import CLASSES
from models_onnx.data.variation import POINTS_HZ

NONE = -1


@dataclass
class Cast:
    """What is drawn of scenes S with at most M sources, of Q questions each; see `Casting`.

    stem (S, M), `NONE` where there is none; start in samples, speed; gain, azimuth_deg, wet,
    mirrored; tone_db (S, M, points); rooms (S, 4): seconds, pole, silence before it in seconds,
    loudness (0 for none); sends (S, M); squeeze (S, 4): compressor's seconds, threshold above the
    mean in dB, slope, and the limiter's ceiling below the peak in dB (0 for none);
    meant (S, Q, M); direction (S, Q, 2); kinds, asked (S, Q).
    clip_* : of clips C; leak (C, 2): scene and level in dB. positive, negative (S, Q, C + classes).
    noise : seed of the rooms' noise.
    """

    stem: NDArray[np.int64]
    start: NDArray[np.int64]
    speed: NDArray[np.float64]
    gain: NDArray[np.float32]
    azimuth_deg: NDArray[np.float32]
    wet: NDArray[np.float32]
    mirrored: NDArray[np.float32]
    tone_db: NDArray[np.float32]
    rooms: NDArray[np.float32]
    sends: NDArray[np.float32]
    squeeze: NDArray[np.float32]
    meant: NDArray[np.float32]
    direction: NDArray[np.float32]
    kinds: NDArray[np.int64]
    asked: NDArray[np.int64]
    clip_stem: NDArray[np.int64]
    clip_start: NDArray[np.int64]
    clip_azimuth_deg: NDArray[np.float32]
    clip_wet: NDArray[np.float32]
    clip_tone_db: NDArray[np.float32]
    clip_leak: NDArray[np.float32]
    positive: NDArray[np.float32]
    negative: NDArray[np.float32]
    noise: int


def empty_cast(scenes: int, sources: int, questions: int, clips: int, noise: int) -> Cast:
    """Return a cast of silent scenes of which nothing is asked."""
    of_source, points = (scenes, sources), len(POINTS_HZ)
    told = (scenes, questions, clips + len(CLASSES))

    def zeros(*shape: int) -> NDArray[np.float32]:
        return np.zeros(shape, np.float32)

    return Cast(
        stem=np.full(of_source, NONE),
        start=np.zeros(of_source, np.int64),
        speed=np.ones(of_source),
        gain=zeros(*of_source),
        azimuth_deg=zeros(*of_source),
        wet=zeros(*of_source),
        mirrored=zeros(*of_source),
        tone_db=zeros(*of_source, points),
        rooms=zeros(scenes, 4),
        sends=zeros(*of_source),
        squeeze=zeros(scenes, 4),
        meant=zeros(scenes, questions, sources),
        direction=zeros(scenes, questions, 2),
        kinds=np.zeros((scenes, questions), np.int64),
        asked=np.full((scenes, questions), NONE),
        clip_stem=np.full(clips, NONE),
        clip_start=np.zeros(clips, np.int64),
        clip_azimuth_deg=zeros(clips),
        clip_wet=zeros(clips),
        clip_tone_db=zeros(clips, points),
        clip_leak=zeros(clips, 2),
        positive=zeros(*told),
        negative=zeros(*told),
        noise=noise,
    )
