"""Audio files are read in pieces that fit together, whatever their format and rate."""

import numpy as np
import pytest
import soundfile

from models_onnx.data import audiofiles
from realtime.errors import StemsteerError
from tests.support.aac import write_aac


def chirp(seconds: float, rate_hz: int) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    left = 0.5 * np.sin(2 * np.pi * (200 * time_s + 300 * time_s**2))
    return np.stack([left, 0.3 * np.cos(2 * np.pi * 330 * time_s)]).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 22_050])
def test_pieces_of_a_wav_join_to_the_whole_at_any_rate(tmp_path, rate_hz):
    soundfile.write(tmp_path / "a.wav", chirp(2.0, rate_hz).T, rate_hz, subtype="FLOAT")
    whole = audiofiles.read(tmp_path / "a.wav")
    assert whole.shape == (2, audiofiles.length(tmp_path / "a.wav")) == (2, 88_200)
    pieces = [audiofiles.read(tmp_path / "a.wav", s, 7001) for s in range(0, 88_200, 7001)]
    np.testing.assert_allclose(np.concatenate(pieces, 1)[:, :88_200], whole, atol=1e-5)
    middle = slice(2000, 86_000)
    np.testing.assert_allclose(whole[:, middle], chirp(2.0, 44_100)[:, middle], atol=3e-3)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_pieces_of_an_aac_stream_stand_at_their_place(tmp_path, rate_hz):
    one = chirp(3.0, rate_hz)
    write_aac(tmp_path / "a.mp4", [one, one[::-1]], rate_hz)
    expected = chirp(3.0, 44_100)
    for start in (0, 10, 30_001, 88_199):
        for stream, order in ((0, 1), (1, -1)):
            piece = audiofiles.read(tmp_path / "a.mp4", start, 20_000, stream=stream)
            error = piece - expected[::order][:, start : start + 20_000]
            assert np.sqrt((error[:, 2048:] ** 2).mean()) < 0.02
    assert abs(audiofiles.length(tmp_path / "a.mp4") - 132_300) < 4096


def test_a_mono_file_fills_both_channels_and_after_the_end_come_zeros(tmp_path):
    soundfile.write(tmp_path / "m.flac", chirp(0.1, 44_100)[0], 44_100)
    audio = audiofiles.read(tmp_path / "m.flac", 4000, 1000)
    assert np.array_equal(audio[0], audio[1])
    assert audio[:, :410].any()
    assert not audio[:, 410:].any()


def test_files_that_are_not_stems_are_explained(tmp_path):
    soundfile.write(tmp_path / "3.wav", np.zeros((100, 3)), 44_100)
    soundfile.write(tmp_path / "0.wav", np.zeros((0, 1)), 44_100)
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "text.mp4").write_text("not audio")
    write_aac(tmp_path / "one.mp4", [chirp(0.5, 44_100)])
    for name, message in (
        ("3.wav", "3 channels"),
        ("0.wav", "empty"),
        ("text.wav", "expected a WAV"),
        ("text.mp4", "expected AAC"),
        ("missing.wav", "cannot read"),
    ):
        with pytest.raises(StemsteerError, match=message):
            audiofiles.read(tmp_path / name, 0, 10)
    with pytest.raises(StemsteerError, match="stream 2 is wanted"):
        audiofiles.read(tmp_path / "one.mp4", 0, 10, stream=2)


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    sound = chirp(0.1, 44_100)
    sound[1, 2000] = np.nan
    soundfile.write(tmp_path / "nan.wav", sound.T, 44_100, subtype="FLOAT")
    audiofiles.read(tmp_path / "nan.wav", 0, 1000)
    with pytest.raises(StemsteerError, match=r"nan\.wav has samples that are no numbers"):
        audiofiles.read(tmp_path / "nan.wav")
