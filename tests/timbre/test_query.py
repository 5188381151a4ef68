"""Timbres out of examples, and how good an example is."""

import numpy as np
import pytest
import soundfile

from plugin_bridge.files.clip import Clip, resampled
from plugin_bridge.timbre import Timbre, TimbreLibrary
from plugin_bridge.timbre.query import TIED, check_example, timbre_of
from realtime.encoder import EncoderSpec
from realtime.errors import StemsteerError
from tests.support.signals import noise, tone

RATE = 44_100
CLASSES = {"low": (1.0, 0.0), "high": (0.0, 1.0)}


class PitchEncoder:
    """A timbre of two numbers: how much of the sound lies below 1 kHz, and above."""

    spec = EncoderSpec("pitch-1", 2)

    def encode(self, audio):
        power = np.abs(np.fft.rfft(audio.mean(0))) ** 2
        if power.sum() < 1e-6:
            raise ValueError("the clip is silent: choose a stretch in which the sound is heard")
        edge = int(1000 * audio.shape[1] / RATE)
        vector = np.sqrt(np.array([power[:edge].sum(), power[edge:].sum()], np.float32))
        return vector / np.linalg.norm(vector)


ENCODER = PitchEncoder()


@pytest.fixture
def library(tmp_path):
    return TimbreLibrary(tmp_path / "library")


@pytest.fixture
def clips(tmp_path):
    """A file with a low tone for 3 s, 2 s of silence, and a high tone for 3 s."""
    low, high = tone(200, 3 * RATE), tone(5000, 3 * RATE)
    sound = np.concatenate([low, np.zeros(2 * RATE, np.float32), high])
    path = tmp_path / "a@b.wav"
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    return path


def test_a_stretch_of_a_file_is_read_at_another_rate(clips):
    clip = Clip.parse(f"{clips}@5-7.5")
    assert (clip.path, clip.start_s, clip.end_s) == (clips, 5, 7.5)
    audio = clip.read(32_000, 30)
    assert audio.shape == (1, 80_000)
    spectrum = np.abs(np.fft.rfft(audio[0]))
    assert spectrum.argmax() / 2.5 == pytest.approx(5000, abs=1)
    assert Clip.parse(str(clips)) == Clip(clips), "a name with @ is a name"


def test_of_a_long_file_only_the_stretch_is_read(tmp_path):
    sound = noise(1, 10 * RATE)
    sound[:, :100] = np.nan  # which nobody could read
    soundfile.write(tmp_path / "long.wav", sound.T, RATE, subtype="FLOAT")
    audio = Clip.parse(f"{tmp_path / 'long.wav'}@7-9").read(RATE, 30)
    np.testing.assert_array_equal(audio, sound[:, 7 * RATE : 9 * RATE])


@pytest.mark.parametrize("to_hz", [22_050, 44_100, 48_000, 96_000])
def test_resampling_keeps_length_pitch_and_level(to_hz):
    audio = np.stack([tone(440, RATE), tone(3000, RATE)])
    out = resampled(audio, RATE, to_hz)
    assert abs(out.shape[1] - to_hz) <= 1
    assert np.abs(np.fft.rfft(out)).argmax(1).tolist() == [440, 3000]
    np.testing.assert_allclose(out.std(1), audio.std(1), rtol=2e-3)


@pytest.mark.parametrize(
    ("stretch", "told"),
    [("@7-9", "ends at 8.00 s"), ("", "say which stretch"), ("@1-5.5", "at most 4")],
)
def test_a_stretch_that_is_not_there_or_too_long_is_said(clips, stretch, told):
    with pytest.raises(StemsteerError, match=told):
        Clip.parse(f"{clips}{stretch}").read(RATE, 4)


def test_a_stretch_that_ends_before_it_begins_is_refused(clips):
    with pytest.raises(ValueError, match="is empty"):
        Clip.parse(f"{clips}@3-3")


@pytest.mark.parametrize("stretch", ["1", "1-", "1-2s", ""])
def test_what_is_no_stretch_of_a_file_that_is_there_is_refused(clips, stretch):
    with pytest.raises(ValueError, match=f"'{stretch}' is no stretch of .*expected FILE@START-END"):
        Clip.parse(f"{clips}@{stretch}")


def test_examples_give_the_timbre_in_their_middle(clips, library):
    low = timbre_of([f"{clips}@0-2"], ENCODER, library)
    np.testing.assert_allclose(low.vector, [1, 0], atol=0.05)
    both = timbre_of([f"{clips}@0-2", f"{clips}@5-7"], ENCODER, library)
    np.testing.assert_allclose(both.vector, [0.5**0.5, 0.5**0.5], atol=0.05)
    assert both.spread == pytest.approx(0.29, abs=0.03)
    assert both.sources == (f"{clips}@0-2", f"{clips}@5-7")


def test_a_name_of_the_library_is_an_example_too(library):
    library.save("mine", Timbre(np.array([0, 1], np.float32), "pitch-1"))
    np.testing.assert_array_equal(timbre_of(["mine"], ENCODER, library).vector, [0, 1])


def test_a_timbre_of_another_encoder_says_how_to_make_it_anew(library):
    library.save("my organ", Timbre(np.array([0, 1], np.float32), "other"))
    with pytest.raises(StemsteerError, match="`stemsteer timbres add 'my organ' FILE --force`"):
        timbre_of(["my organ"], ENCODER, library)


def test_silence_and_files_that_are_none_are_no_examples(clips, library, tmp_path):
    with pytest.raises(StemsteerError, match="silent"):
        timbre_of([f"{clips}@3.5-4.5"], ENCODER, library)
    (tmp_path / "text.wav").write_text("no sound")
    for name in (str(tmp_path / "text.wav"), "missing.wav"):
        with pytest.raises(StemsteerError, match=r"text|missing"):
            timbre_of([name], ENCODER, library)


def test_a_good_example_has_no_problems_and_names_what_it_is_like(clips):
    report = check_example(f"{clips}@0-2.5", ENCODER, CLASSES)
    assert report.problems == ()
    assert report.nearest[0][0] == "low"
    assert report.sure > 0.8
    assert report.seconds == 2.5


@pytest.mark.parametrize(
    ("stretch", "told"),
    [("@0-0.5", "0.50 s long"), ("@2.6-5", "is silent"), ("@1-8", "several sounds")],
)
def test_what_is_wrong_with_an_example_is_said_in_words(clips, stretch, told):
    report = check_example(f"{clips}{stretch}", ENCODER, CLASSES)
    assert any(told in problem for problem in report.problems), report


def test_an_example_that_is_like_two_classes_is_said_to_be(clips):
    both = CLASSES | {"other": CLASSES["low"]}
    report = check_example(f"{clips}@0-2.5", ENCODER, both)
    assert report.sure < TIED
    assert any("is as likely as" in problem for problem in report.problems)


def test_a_quiet_example_is_said_to_be_quiet(tmp_path):
    soundfile.write(tmp_path / "q.wav", noise(1, 2 * RATE, level=0.004)[0], RATE, subtype="FLOAT")
    report = check_example(str(tmp_path / "q.wav"), ENCODER, CLASSES)
    assert any("quiet" in problem for problem in report.problems)
