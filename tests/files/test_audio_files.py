"""Audio files: what is read is checked, what is written is exact."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from plugin_bridge.files.audio_reader import AudioReader
from plugin_bridge.files.audio_writer import AudioWriter, SampleFormat, format_like
from plugin_bridge.files.decoders import LibsndfileDecoder
from realtime.errors import StemsteerError
from tests.support.engine_sandbox import need

RATE_HZ = 44_100


def noise(samples=RATE_HZ, channels=2, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)


def read(path, size=10_000):
    with AudioReader(path) as reader:
        return np.concatenate(list(reader.blocks(size)), axis=1)


def cut(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


@pytest.mark.parametrize(
    ("name", "subtype", "as_wav"),
    [
        ("a.wav", "PCM_U8", "PCM_U8"),
        ("a.wav", "PCM_16", "PCM_16"),
        ("a.wav", "PCM_24", "PCM_24"),
        ("a.wav", "PCM_32", "PCM_32"),
        ("a.wav", "FLOAT", "FLOAT"),
        ("a.wav", "DOUBLE", "DOUBLE"),
        ("a.wav", "ULAW", "PCM_16"),
        ("a.flac", "PCM_24", "PCM_24"),
        ("a.aiff", "PCM_S8", "PCM_U8"),
        ("a.aiff", "PCM_16", "PCM_16"),
        ("a.caf", "PCM_24", "PCM_24"),
        ("a.ogg", "VORBIS", "FLOAT"),
        ("a.mp3", "MPEG_LAYER_III", "FLOAT"),
    ],
)
def test_every_format_is_read_to_its_end_and_written_in_its_own_depth(
    tmp_path, name, subtype, as_wav
):
    soundfile.write(tmp_path / name, noise(), RATE_HZ, subtype=subtype)
    with AudioReader(tmp_path / name) as reader:
        assert (reader.sample_rate, reader.channels, reader.n_samples) == (RATE_HZ, 2, RATE_HZ)
        assert sum(block.shape[1] for block in reader.blocks(1000)) == RATE_HZ
        assert format_like(reader, "wav").subtype == as_wav
        kept = format_like(reader)
    assert kept.container == ("flac" if name.endswith("flac") else "wav")


@pytest.mark.parametrize("begun", [False, True])
def test_a_reader_that_is_closed_says_so(tmp_path, capfd, begun):
    soundfile.write(tmp_path / "a.flac", noise(), RATE_HZ)
    reader = AudioReader(tmp_path / "a.flac")
    blocks = reader.blocks(1000)
    if begun:
        next(blocks)
    reader.close()
    with pytest.raises(StemsteerError, match=r"the reader of .*a\.flac is closed"):
        next(blocks)
    assert capfd.readouterr().err == ""


def test_flac_takes_24_bits_of_what_it_cannot_hold(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(), RATE_HZ, subtype="FLOAT")
    with AudioReader(tmp_path / "a.wav") as reader:
        assert format_like(reader, "flac") == SampleFormat("flac", "PCM_24")


def test_any_block_size_reads_the_same_samples(tmp_path):
    soundfile.write(tmp_path / "a.flac", noise(9001), RATE_HZ)
    whole = read(tmp_path / "a.flac", 9001)
    for size in (7, 441, 8193, 9000, 20_000):
        assert np.array_equal(read(tmp_path / "a.flac", size), whole)


KINDS = {
    "a.wav": "PCM_24", "b.wav": "FLOAT", "c.wav": "IMA_ADPCM", "a.flac": "PCM_16",
    "a.aiff": "PCM_16", "a.caf": "ALAC_16", "a.mp3": "MPEG_LAYER_III", "a.ogg": "VORBIS",
}  # fmt: skip


@pytest.fixture
def sizes_read(monkeypatch):
    """How many samples libsndfile is asked for, one time after the other."""
    sizes, read_on = [], LibsndfileDecoder.read

    def counted(decoder, size, dtype):
        sizes.append(size)
        return read_on(decoder, size, dtype)

    monkeypatch.setattr(LibsndfileDecoder, "read", counted)
    return sizes


@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_read_from_any_sample_on(tmp_path, name):
    soundfile.write(tmp_path / name, noise(2 * RATE_HZ, seed=1), RATE_HZ, subtype=KINDS[name])
    whole = read(tmp_path / name)
    with AudioReader(tmp_path / name) as reader:
        for start in (0, 1, 1000, 44_444, whole.shape[1] - 700, whole.shape[1] - 1):
            blocks = list(reader.blocks(5000, start=start))
            assert {block.shape[1] for block in blocks[:-1]} <= {5000}
            rest = np.concatenate(blocks, axis=1)
            np.testing.assert_allclose(rest, whole[:, start:], rtol=0, atol=1e-7)
        for start in (whole.shape[1], whole.shape[1] + 100_000):
            assert list(reader.blocks(5000, start=start)) == []


@pytest.mark.parametrize("name", ["a.wav", "b.wav", "a.flac", "a.aiff", "a.mp3"])
def test_what_is_before_the_start_is_not_read_where_the_format_tells_the_place(
    tmp_path, name, sizes_read
):
    soundfile.write(tmp_path / name, noise(10 * RATE_HZ), RATE_HZ, subtype=KINDS[name])
    with AudioReader(tmp_path / name) as reader:
        assert next(reader.blocks(512, start=9 * RATE_HZ)).shape == (2, 512)
    assert sizes_read == [512]


def test_what_is_before_the_start_is_read_in_large_blocks_for_as_long_as_it_is_wanted(
    tmp_path, sizes_read
):
    soundfile.write(tmp_path / "a.ogg", noise(10 * RATE_HZ), RATE_HZ)
    with AudioReader(tmp_path / "a.ogg") as reader:
        next(reader.blocks(512, start=9 * RATE_HZ))
        assert len(sizes_read) == 8
        sizes_read.clear()
        assert not list(reader.blocks(512, start=9 * RATE_HZ, wanted=lambda: len(sizes_read) < 3))
        assert len(sizes_read) == 3


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("container", ["wav", "flac"])
def test_integers_are_written_as_they_were_read(tmp_path, container, subtype):
    if container == "flac" and subtype == "PCM_U8":
        subtype = "PCM_S8"
    samples = SampleFormat(container, subtype)
    scale = 2 ** (samples.bits - 1)
    steps = np.array([[-scale, -1, 0, 1, scale - 1], [5, -7, scale // 2, 3, 2]])
    writer = AudioWriter(tmp_path / "a", RATE_HZ, 2, samples, 5)
    assert np.array_equal(writer.write(steps / scale) * scale, steps)
    writer.close()
    assert writer.clipped == 0
    stored, _ = soundfile.read(tmp_path / "a", dtype="int32", always_2d=True)
    assert np.array_equal(stored.T >> (32 - samples.bits), steps)


def test_integers_clip_at_full_scale_and_say_how_often(tmp_path):
    writer = AudioWriter(tmp_path / "a", RATE_HZ, 1, SampleFormat("wav", "PCM_16"), 4)
    written = writer.write(np.array([[1.5, 0.5, -1.0, -2.0]]))
    writer.close()
    assert written.tolist() == [[1 - 2**-15, 0.5, -1.0, -1.0]]
    assert (writer.clipped, writer.peak) == (2, 2.0)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32"])
def test_single_precision_is_written_as_double_precision_is(tmp_path, subtype):
    loud = (0.7 * np.random.default_rng(0).standard_normal((2, 5000))).astype(np.float32)
    stored = []
    for path, block in ((tmp_path / "a", loud), (tmp_path / "b", loud.astype(np.float64))):
        writer = AudioWriter(path, RATE_HZ, 2, SampleFormat("wav", subtype), 5000)
        standing = writer.write(block)
        writer.close()
        steps = np.rint(block.astype(np.float64) * 2.0 ** (writer.sample_format.bits - 1))
        most = 2 ** (writer.sample_format.bits - 1)
        assert writer.clipped == np.count_nonzero((steps < -most) | (steps > most - 1)) > 100
        stored.append((soundfile.read(path, dtype="int32")[0], standing))
    assert np.array_equal(stored[0][0], stored[1][0])
    assert np.array_equal(stored[0][1], stored[1][1])
    assert np.array_equal(stored[0][1].T, stored[0][0] / 2.0**31)


def test_floating_point_keeps_what_is_beyond_full_scale(tmp_path):
    writer = AudioWriter(tmp_path / "a", RATE_HZ, 1, SampleFormat("wav", "FLOAT"), 2)
    writer.write(np.array([[1.5, -8.0]]))
    writer.close()
    assert writer.clipped == 0
    assert soundfile.read(tmp_path / "a")[0].tolist() == [1.5, -8.0]


def test_a_wav_file_beyond_four_gigabytes_becomes_rf64(tmp_path):
    samples = SampleFormat("wav", "FLOAT")
    for frames, magic in ((2**29, b"RF64"), (2**28, b"RIFF")):
        writer = AudioWriter(tmp_path / str(frames), RATE_HZ, 2, samples, frames)
        writer.write(np.zeros((2, 10), np.float32))
        writer.close()
        assert writer.path.read_bytes()[:4] == magic


@pytest.mark.parametrize(
    ("container", "subtype", "words"),
    [("mp3", "PCM_16", "wav, flac"), ("wav", "VORBIS", "PCM_24"), ("flac", "FLOAT", "PCM_24")],
)
def test_an_unknown_sample_format_is_refused_by_naming_the_known(container, subtype, words):
    with pytest.raises(ValueError, match=words):
        SampleFormat(container, subtype)


def test_a_missing_an_empty_and_a_foreign_file_and_a_folder_are_refused(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("All work and no play makes Jack a dull boy.\n" * 100)
    (tmp_path / "bytes.raw").write_bytes(bytes(range(256)) * 64)
    for name, words in [
        ("missing.wav", "does not exist"),
        ("empty.wav", "is empty"),
        ("text.wav", "is not audio .* ffmpeg"),
        ("bytes.raw", "is not audio"),
        (".", "is not a file"),
    ]:
        with pytest.raises(StemsteerError, match=words):
            AudioReader(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["a.wav", "a.flac", "a.aiff", "a.w64", "a.au", "a.ogg", "a.mp3", "a.caf"]
)
def test_a_truncated_file_is_refused(tmp_path, name):
    soundfile.write(tmp_path / name, noise(5 * RATE_HZ), RATE_HZ)
    cut(tmp_path / name, 0.6)
    with pytest.raises(StemsteerError, match=r"breaks off after|not audio"):
        read(tmp_path / name)


def test_an_mp3_of_variable_bit_rate_that_does_not_tell_its_length_is_read_whole(tmp_path):
    need("ffmpeg")
    song = np.concatenate([noise(20 * RATE_HZ), 0 * noise(40 * RATE_HZ)])[:, [0, 0]]
    soundfile.write(tmp_path / "a.wav", song, RATE_HZ)
    options = ["-q:a", "4", "-write_xing", "0"]
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", *options, tmp_path / "a.mp3"]
    subprocess.run(command, check=True)
    assert read(tmp_path / "a.mp3").shape[1] >= 60 * RATE_HZ


def test_a_file_without_samples_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(0), RATE_HZ)
    with pytest.raises(StemsteerError, match="holds no samples"):
        AudioReader(tmp_path / "a.wav")


def test_more_than_two_channels_are_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(channels=6), RATE_HZ)
    with pytest.raises(StemsteerError, match="has 6 channels, expected stereo"):
        AudioReader(tmp_path / "a.wav")


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 384_000])
def test_rates_out_of_range_are_refused(tmp_path, rate_hz):
    soundfile.write(tmp_path / "a.wav", noise(), rate_hz)
    with pytest.raises(StemsteerError, match=f"{rate_hz} Hz, expected 32000 to 192000"):
        AudioReader(tmp_path / "a.wav")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_sound_are_refused_by_their_place(tmp_path, bad):
    samples = noise()
    samples[30_000, 1] = bad
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    with pytest.raises(StemsteerError, match=r"sample 30000 \(0\.680 s\)"):
        read(tmp_path / "a.wav")


def test_denormal_samples_are_sound(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full((100, 2), 1e-40), RATE_HZ, subtype="FLOAT")
    assert read(tmp_path / "a.wav").shape == (2, 100)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
@pytest.mark.parametrize("container", ["wav", "flac"])
def test_a_file_that_cannot_grow_is_said_so(tmp_path, container):
    program = (
        "import resource, numpy as np\nfrom pathlib import Path\n"
        "from plugin_bridge.files.audio_writer import AudioWriter, SampleFormat\n"
        "from realtime.errors import StemsteerError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        f"samples = SampleFormat({container!r}, 'PCM_16')\n"
        f"writer = AudioWriter(Path({str(tmp_path / 'a')!r}), 44100, 2, samples, 200_000)\n"
        "noise = np.random.default_rng(0).uniform(-1, 1, (2, 20_000))\n"
        "try:\n    for _ in range(10): writer.write(noise)\n    writer.close()\n"
        "except StemsteerError as error: print(error)\n"
        "writer.discard()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "the disk may be full" in done.stdout, done.stderr
    assert not (tmp_path / "a").exists()
