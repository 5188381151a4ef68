"""Audio files as other programs write them, byte by byte."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from plugin_bridge.files.audio_reader import AudioReader

RATE_HZ = 44_100
SAMPLES = 20_000


def sound(seed: int = 0) -> NDArray[np.int16]:
    """Noise of 16 bits (samples, 2)."""
    return np.random.default_rng(seed).integers(-9000, 9000, (SAMPLES, 2)).astype(np.int16)


def encoded(container: str, subtype: str | None = None, seed: int = 0) -> bytes:
    """The noise as a file that libsndfile writes."""
    file = io.BytesIO()
    rate_hz = 48_000 if subtype == "OPUS" else RATE_HZ
    soundfile.write(file, sound(seed), rate_hz, format=container, subtype=subtype)
    return file.getvalue()


def wav(data_size: int | None = None, riff_size: int | None = None, behind: bytes = b"") -> bytes:
    """A WAV file whose header tells these sizes; None: the true ones."""
    data = sound().tobytes()
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, RATE_HZ, 4 * RATE_HZ, 4, 16)
    body += b"data" + struct.pack("<I", len(data) if data_size is None else data_size)
    whole = len(body) + len(data) + len(behind)
    size = whole if riff_size is None else riff_size
    return b"RIFF" + struct.pack("<I", size & 0xFFFF_FFFF) + body + data + behind


def aiff(frames: int | None = None, size: int | None = None) -> bytes:
    """An AIFF file whose header tells so many samples, and such a size of the sound."""
    data = sound().astype(">i2").tobytes()
    rate = b"\x40\x0e\xac\x44" + bytes(6)  # 44 100 as an 80-bit number
    common = struct.pack(">hIh", 2, SAMPLES if frames is None else frames, 16) + rate
    body = b"AIFFCOMM" + struct.pack(">I", len(common)) + common
    body += b"SSND" + struct.pack(">III", len(data) + 8 if size is None else size, 0, 0) + data
    return b"FORM" + struct.pack(">I", len(body)) + body


def au(size: int) -> bytes:
    """An AU file whose header tells that size of the sound."""
    head = struct.pack(">4s5I", b".snd", 24, size, 3, RATE_HZ, 2)
    return head + sound().astype(">i2").tobytes()


def flac(total: int | None = None) -> bytes:
    """A FLAC file whose header tells so many samples."""
    data = bytearray(encoded("FLAC", "PCM_16"))
    if total is not None:
        data[21] = data[21] & 0xF0 | total >> 32
        data[22:26] = (total & 0xFFFF_FFFF).to_bytes(4, "big")
    return bytes(data)


def flac_header() -> bytes:
    """The header of a FLAC file, which tells of sound that is not there."""
    data, position = flac(), 4
    while True:
        last, size = data[position] & 0x80, int.from_bytes(data[position + 1 : position + 4], "big")
        position += 4 + size
        if last:
            return data[:position]


def mp3(with_info: bool = False, seed: int = 0) -> bytes:
    """An MP3 file with the frame Info of its encoder, or without it."""
    data = encoded("MP3", seed=seed)
    at = data.find(b"Info") if b"Info" in data[:500] else data.find(b"Xing")
    start = at - 36  # the header of the frame that it is in
    assert data[start] == 0xFF
    if with_info:
        return data[start:]
    second = data.index(data[start : start + 2], at)
    return data[second:]


def id3(size: int) -> bytes:
    """A tag ID3v2 of so many bytes, as a cover has them."""
    sizes = bytes((size >> shift) & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + sizes + bytes(size)


def ape(size: int) -> bytes:
    """A tag APEv2 of so many bytes behind the sound."""
    item = struct.pack("<II", size, 2) + b"Cover Art (Front)\0" + bytes(size)

    def frame(flags: int) -> bytes:
        return b"APETAGEX" + struct.pack("<IIII", 2000, len(item) + 32, 1, flags) + bytes(8)

    return frame(0xA000_0000) + item + frame(0x8000_0000)


def read(path: Path, size: int = 7001) -> NDArray[np.float32]:
    """The samples of a file (channels, samples), read in blocks."""
    with AudioReader(path) as reader:
        blocks = list(reader.blocks(size))
        assert {block.shape[1] for block in blocks[:-1]} <= {size}
        assert sum(block.shape[1] for block in blocks) == reader.n_samples
    return np.concatenate(blocks, axis=1)
