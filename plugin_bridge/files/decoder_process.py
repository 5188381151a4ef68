"""The process of `ProcessDecoder`: a file by pedalboard, as one line of JSON and then samples."""

from __future__ import annotations

import json
import os
import re
import sys

import numpy as np

BLOCK = 1 << 16  # samples at once


def main(path: str) -> None:
    """Write a line of JSON and float32 samples, channels interleaved, to standard output."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else is to be written among the samples
    from pedalboard.io import ReadableAudioFile

    with ReadableAudioFile(path) as file:
        bits = re.fullmatch(r"int(\d+)", file.file_dtype)
        header = {
            "sample_rate": round(file.samplerate),
            "channels": file.num_channels,
            "n_samples": file.frames,
            "subtype": f"PCM_{bits[1]}" if bits else "FLOAT",
        }
        out.write(json.dumps(header).encode() + b"\n")
        # pedalboard makes k / 32767 of an integer sample k of 16 bits, where k / 32768 is meant
        steps = 2.0 ** (int(bits[1]) - 1) if bits and int(bits[1]) < 32 else 0.0
        scale = np.float64(1 - 1 / steps if steps else 1)
        while (samples := file.read(BLOCK)).shape[1]:
            out.write((samples.T * scale).astype(np.float32).tobytes())
    out.flush()


if __name__ == "__main__":
    main(sys.argv[1])
