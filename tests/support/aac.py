"""MP4 files with streams of AAC, as MUSDB18 has them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_aac(path: Path, streams: list[np.ndarray], rate_hz: int = 44_100) -> None:
    """Write sounds (2, samples) as the audio streams of one file."""
    with av.open(str(path), "w", format="mp4") as container:
        encoders = [container.add_stream("aac", rate=rate_hz, layout="stereo") for _ in streams]
        for encoder, audio in zip(encoders, streams, strict=True):
            encoder.bit_rate = 256_000
            for start in range(0, audio.shape[1], 1024):
                piece = np.ascontiguousarray(audio[:, start : start + 1024])
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = rate_hz, start
                frame.time_base = Fraction(1, rate_hz)
                container.mux(encoder.encode(frame))
            container.mux(encoder.encode(None))
