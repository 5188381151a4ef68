"""Files whose headers do not tell what is in them: whole ones are read whole, cut ones refused."""

from __future__ import annotations

import struct
import subprocess

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from plugin_bridge.files.audio_reader import AudioReader
from realtime.errors import StemsteerError
from tests.support.audio_files import (
    RATE_HZ,
    SAMPLES,
    aiff,
    ape,
    au,
    encoded,
    flac,
    flac_header,
    id3,
    mp3,
    read,
    sound,
    wav,
)
from tests.support.engine_sandbox import need

UNKNOWN = [0, 0x7F00_0000, 0x7FFF_F000, 0x7FFF_FF00, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]
UNKNOWN += [0xFFFF_FFFF - 36, 0xFFFF_FFFC, 0x7FFF_FFDC]
EXPECTED = sound().T / np.float32(2**15)
LIST = b"LIST" + struct.pack("<I", 20) + b"INFOISFT" + struct.pack("<I", 8) + b"program\0"


@pytest.mark.parametrize("size", UNKNOWN, ids=hex)
@pytest.mark.parametrize("riff_size", [None, 0, 0xFFFF_FFFF, 36])
def test_a_wav_from_a_pipe_is_read_to_its_end(tmp_path, size, riff_size):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(size, size + 36 if riff_size is None else riff_size))
    assert np.array_equal(read(path), EXPECTED)


@pytest.mark.parametrize("size", [None, 0xFFFF_FFFF])
def test_what_follows_the_sound_of_a_wav_is_not_sound(tmp_path, size):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(size, behind=LIST))
    assert np.array_equal(read(path), EXPECTED)
    path.write_bytes(wav(behind=LIST) + b"TAG" + bytes(125))
    assert np.array_equal(read(path), EXPECTED)


def test_an_empty_wav_with_chunks_behind_is_empty(tmp_path):
    data = wav(0, behind=LIST)
    path = tmp_path / "a.wav"
    path.write_bytes(data[:44] + LIST)
    with pytest.raises(StemsteerError, match="holds no samples"):
        AudioReader(path)


@pytest.mark.parametrize("size", [0, 2**64 - 1, 2**32 - 1])
def test_a_wav_with_64_bit_sizes_from_a_pipe_is_read_to_its_end(tmp_path, size):
    data = wav(0xFFFF_FFFF)
    wide = b"ds64" + struct.pack("<IQQQI", 28, size, size, 0, 0)
    path = tmp_path / "a.wav"
    for kind in (b"RF64", b"BW64"):
        path.write_bytes(kind + b"\xff\xff\xff\xffWAVE" + wide + data[12:])
        assert np.array_equal(read(path), EXPECTED)


@pytest.mark.parametrize("container", ["W64", "CAF", "RF64"])
@pytest.mark.parametrize("size", [0, 2**63 - 1, 2**64 - 1])
def test_other_containers_from_pipes_are_read_to_their_end(tmp_path, container, size):
    data = bytearray(encoded(container, "PCM_16"))
    if container == "RF64":
        order, at = "<", data.index(b"ds64") + 16
    elif container == "W64":
        order, at = "<", data.index(b"data\xf3") + 16
    else:
        order, at = ">", data.index(b"data") + 4
    data[at : at + 8] = struct.pack(f"{order}Q", size)
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    assert np.array_equal(read(path), EXPECTED)


@pytest.mark.parametrize("size", UNKNOWN, ids=hex)
@pytest.mark.parametrize("frames", [None, 0, 0x7F00_0000 // 4, 0xFFFF_FFFF])
def test_an_aiff_from_a_pipe_is_read_to_its_end(tmp_path, size, frames):
    path = tmp_path / "a.aiff"
    path.write_bytes(aiff(frames, size))
    assert np.array_equal(read(path), EXPECTED)


@pytest.mark.parametrize("size", UNKNOWN, ids=hex)
def test_an_au_from_a_pipe_is_read_to_its_end(tmp_path, size):
    path = tmp_path / "a.au"
    path.write_bytes(au(size))
    assert np.array_equal(read(path), EXPECTED)


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path):
    path = tmp_path / "a.flac"
    for data in (flac(0), id3(70_000) + flac(0) + b"TAG" + bytes(125), id3(3) + flac()):
        path.write_bytes(data)
        with AudioReader(path) as reader:
            assert reader.n_samples == SAMPLES
        assert np.array_equal(read(path), EXPECTED)


@pytest.mark.parametrize("total", [None, 0])
@pytest.mark.parametrize("junk", [bytes(99), b"\xff" * 99, np.random.default_rng(1).bytes(5000)])
def test_what_follows_the_last_frame_of_a_flac_is_not_sound(tmp_path, junk, total):
    (tmp_path / "a.flac").write_bytes(flac(total) + junk)
    assert np.array_equal(read(tmp_path / "a.flac"), EXPECTED)


def test_a_flac_that_is_damaged_in_the_middle_breaks_off_there(tmp_path):
    data = bytearray(flac())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    (tmp_path / "a.flac").write_bytes(data)
    with AudioReader(tmp_path / "a.flac") as reader, pytest.raises(StemsteerError) as told:
        list(reader.blocks(SAMPLES))
    seconds = float(str(told.value).split("breaks off after ")[1].split()[0])
    assert seconds == pytest.approx(SAMPLES / 2 / RATE_HZ, abs=2 * 4096 / RATE_HZ)


def test_flac_in_ogg_is_read(tmp_path):
    need("ffmpeg")
    soundfile.write(tmp_path / "a.wav", sound(), RATE_HZ)
    command = ["ffmpeg", "-v", "error", "-i", "a.wav", "-c:a", "flac", "a.oga"]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert np.array_equal(read(tmp_path / "a.oga"), EXPECTED)
    whole = (tmp_path / "a.oga").read_bytes()
    (tmp_path / "a.oga").write_bytes(whole[:-3000])
    with pytest.raises(StemsteerError, match=r"breaks off after .*its last page is cut"):
        AudioReader(tmp_path / "a.oga")


@pytest.mark.parametrize(
    "data",
    [mp3(), id3(60_000) + mp3(), mp3() + ape(60_000), mp3() + b"TAG" + bytes(125), mp3()[500:]],
    ids=["plain", "cover in front", "cover behind", "ID3v1", "from the middle of a frame"],
)
def test_an_mp3_that_does_not_tell_its_length_is_as_long_as_ffmpeg_says(tmp_path, data):
    need("ffmpeg")
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "f32le", "-"]
    done = subprocess.run(command, check=True, capture_output=True)
    expected = np.frombuffer(done.stdout, np.float32).reshape(-1, 2).T
    found = read(path)
    assert found.shape == expected.shape
    assert np.abs(found - expected)[:, 2000:].max() < 1e-3


def test_an_mp3_with_the_frame_of_its_encoder_has_the_length_of_what_was_encoded(tmp_path):
    (tmp_path / "a.mp3").write_bytes(mp3(with_info=True))
    assert read(tmp_path / "a.mp3").shape == (2, SAMPLES)


JOINED = {
    "wav": wav(),
    "wav of unknown length": wav(0xFFFF_FFFF),
    "aiff": aiff(),
    "aiff of unknown length": aiff(0, 0x7F00_0000),
    "au": au(4 * SAMPLES),
    "flac": flac(),
    "flac of unknown length": flac(0),
    "flac with tags": id3(5000) + flac() + b"TAG" + bytes(125),
    "vorbis": encoded("OGG", "VORBIS"),
    "opus": encoded("OGG", "OPUS"),
    "mp3": mp3(with_info=True),
    "mp3 with tags": id3(5000) + mp3(with_info=True) + b"TAG" + bytes(125),
}


@pytest.mark.parametrize("data", JOINED.values(), ids=JOINED)
def test_files_joined_by_cat_are_read_one_behind_the_other(tmp_path, data):
    path = tmp_path / "a"
    path.write_bytes(data)
    once = read(path)
    assert once.shape == (2, SAMPLES)
    path.write_bytes(3 * data)
    thrice = np.concatenate([once] * 3, axis=1)
    assert np.array_equal(read(path, 20_001), thrice)
    with AudioReader(path) as reader:
        for start in (700, SAMPLES, 2 * SAMPLES + 700):
            rest = np.concatenate(list(reader.blocks(3000, start=start)), axis=1)
            np.testing.assert_allclose(rest, thrice[:, start:], rtol=0, atol=1e-7)


def test_joined_files_of_different_rates_are_refused(tmp_path):
    other = wav().replace(struct.pack("<I", RATE_HZ), struct.pack("<I", 48_000))
    (tmp_path / "a.wav").write_bytes(wav() + other)
    with pytest.raises(StemsteerError, match="2 files in one, the first of 44100 Hz"):
        AudioReader(tmp_path / "a.wav")


def cut(data: bytes, less: int = 5000) -> bytes:
    return data[:-less]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (cut(wav()), r"breaks off after 0.425 s \(its header tells of 0.454 s\)"),
        (cut(aiff()), r"breaks off after 0.425 s \(its header tells of more"),
        (cut(au(4 * SAMPLES)), r"breaks off after 0.425 s \(its header tells of 0.454 s\)"),
        (cut(encoded("W64", "PCM_16")), r"breaks off after 0.425 s \(its header tells of 0.454"),
        (cut(encoded("CAF", "PCM_16")), r"breaks off after 0.425 s \(its header tells of 80004"),
        (cut(flac(0)), r"breaks off after 0.\d+ s \(its last frame is cut"),
        (cut(flac()), r"breaks off after 0.\d+ s \((its header tells of 0.454 s|its last frame)"),
        (flac_header(), r"breaks off after 0.000 s \(no frame of sound follows"),
        (cut(mp3(), 100), r"breaks off after 0.\d+ s \(its last frame is cut"),
        (cut(mp3(with_info=True)), r"breaks off after 0.\d+ s \(its header tells of"),
        (cut(encoded("OGG", "VORBIS")), r"breaks off after 0.\d+ s \(its last page is cut"),
        (wav() + cut(wav()), r"breaks off after 0.879 s \(its header tells of 0.454 s"),
    ],
    ids=["wav", "aiff", "au", "w64", "caf", "flac", "flac-long", "flac-none", "mp3", "mp3-info",
         "ogg", "joined"],
)  # fmt: skip
def test_a_file_that_was_cut_is_refused_with_the_reason(tmp_path, data, words):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(StemsteerError, match=words):
        AudioReader(tmp_path / "a")


@pytest.mark.parametrize("bits", [1, 12, 15, 20])
def test_a_flac_of_odd_bits_ends_in_a_line(tmp_path, bits):
    data = bytearray(flac())
    data[20] = data[20] & 0xFE | (bits - 1) >> 4
    data[21] = data[21] & 0x0F | ((bits - 1) & 15) << 4
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(StemsteerError, match=r"is not audio that can be read here|breaks off"):
        read(tmp_path / "a.flac")


def test_samples_of_32_bits_are_read_exactly(tmp_path):
    samples = np.random.default_rng(0).integers(-(2**31), 2**31, (1000, 2)).astype(np.int32)
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="PCM_32")
    with AudioReader(tmp_path / "a.wav") as reader:
        found = np.concatenate(list(reader.blocks(300, "float64")), axis=1)
    assert np.array_equal(found * 2.0**31, samples.T)


@pytest.mark.parametrize(
    ("bext_bytes", "first"), [(602, 158_760_000), (346, 158_760_000), (345, 0)]
)
def test_the_place_of_a_broadcast_wav_is_told_after_a_render(tmp_path, bext_bytes, first):
    tone = np.full((4410, 2), 0.25)
    soundfile.write(tmp_path / "tone.wav", tone, 44_100, subtype="PCM_24")
    plain = (tmp_path / "tone.wav").read_bytes()
    chunk = (bytes(338) + struct.pack("<Q", 158_760_000) + bytes(256))[:bext_bytes]
    chunk = b"bext" + struct.pack("<I", bext_bytes) + chunk + bytes(bext_bytes % 2)
    whole = struct.pack("<I", len(plain) + len(chunk) - 8)
    (tmp_path / "tone.wav").write_bytes(plain[:4] + whole + plain[8:12] + chunk + plain[12:])
    with AudioReader(tmp_path / "tone.wav") as source:
        assert source.time_reference == first
        assert source.n_samples == 4410
    command = ["render", str(tmp_path / "tone.wav"), "--azimuth", "0", "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(cli.app, command)
    told = "tone.wav belongs at sample 158760000 (01:00:00.000), which its stems do not keep"
    assert (told in done.stderr) == (first > 0)
