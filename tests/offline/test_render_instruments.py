"""`stemsteer render` by what a sound is: names, examples, all of a model's sources."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from plugin_bridge.cli.sounds import Sound
from plugin_bridge.cli.target_notes import tell_of_names
from realtime.model import WEIGHTS
from tests.support.commands import stemsteer
from tests.support.models import source_model, timbre_model

SHARES = {"vocals": 0.5, "drums": 0.25}
CLASSES = {"vocals": (1.0, 0.0), "drums": (0.0, 1.0)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMSTEER_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "shipped").mkdir()
    for name in ("panorama.onnx", "steer-studio.onnx"):  # those that know no instruments
        (tmp_path / "shipped" / name).symlink_to(WEIGHTS / name)
    monkeypatch.setattr("realtime.model.WEIGHTS", tmp_path / "shipped")
    source_model(tmp_path / "models" / "halves.onnx", SHARES)
    return tmp_path


def stems(folder):
    return {path.stem: soundfile.read(path, dtype="int16")[0] for path in folder.iterdir()}


def rendered(song, *words):
    done = stemsteer("render", song, *words, "--out", "out", "--force")
    assert done.exit_code == 0, done.output
    return stems(song.parent / "out")


def near(found, expected):
    np.testing.assert_allclose(found[4000:-4000], expected[4000:-4000], atol=2)


def test_an_instrument_and_the_rest_are_files_that_sum_to_the_mix(folder, song):
    mix = soundfile.read(song, dtype="int16")[0]
    found = rendered(song, "--instrument", "vocals")
    assert set(found) == {"vocals", "residual"}
    near(found["vocals"], mix * 0.5)
    np.testing.assert_array_equal(found["vocals"] + found["residual"], mix)


def test_several_instruments_have_a_file_each_named_by_the_word_or_as_told(folder, song):
    mix = soundfile.read(song, dtype="int16")[0]
    found = rendered(song, "--instrument", "singer", "--instrument", "beat=drums")
    assert set(found) == {"singer", "beat", "residual"}
    near(found["beat"], mix * 0.25)


def test_an_instrument_from_a_direction_leaves_what_stands_elsewhere(folder, song):
    found = rendered(song, "--instrument", "vocals", "--azimuth", "-30", "--width", "10")
    left = rendered(song, "--azimuth", "-30", "--width", "10", "--model", "panorama")
    level = np.abs(found["vocals"][4000:-4000].astype(float)).mean()
    assert level == pytest.approx(
        0.5 * np.abs(left["target"][4000:-4000].astype(float)).mean(), rel=0.05
    )


def test_the_direction_of_one_target_narrows_no_other(folder, song):
    mix = soundfile.read(song, dtype="int16")[0]
    found = rendered(
        song, "--instrument", "drums", "--instrument", "solo=vocals", "--azimuth", "solo=-30"
    )
    near(found["drums"], mix * 0.25)


@pytest.mark.parametrize("words", [("--instrument", "vocals"), ("--all", "--model", "halves")])
def test_a_lane_of_azimuth_alone_has_the_default_width(folder, song, words):
    (folder / "l.csv").write_text("seconds,vocals.azimuth\n0,-40\n")
    option = rendered(song, "--instrument", "vocals", "--azimuth", "-40")["vocals"]
    done = stemsteer("render", song, *words, "--automation", "l.csv", "--out", "led", "--json")
    stem = json.loads(done.stdout)["stems"][0]
    assert (stem["azimuth_deg"], stem["width_deg"]) == (-40, 20)
    np.testing.assert_array_equal(stems(folder / "led")[stem["name"]], option)


@pytest.mark.parametrize(
    ("values", "words", "is_told"),
    [
        ("vocals.azimuth\n0,-40\n", ("--width", "90"), True),
        ("vocals.azimuth,vocals.width\n0,-40,90\n1,0,90\n", (), True),
        ("vocals.azimuth,vocals.width\n0,-40,90\n1,0,40\n", (), False),
        ("vocals.azimuth,vocals.width\n0,0,90\n", (), False),  # as a take has them
        ("vocals.azimuth\n0,-40\n", (), False),
    ],
)
def test_a_lane_of_azimuth_beside_the_widest_width_is_told(folder, song, values, words, is_told):
    (folder / "l.csv").write_text(f"seconds,{values}")
    options = ("--instrument", "vocals", *words, "--automation", "l.csv", "--model", "halves")
    done = stemsteer("render", song, *options, "--out", "out")
    assert done.exit_code == 0, done.output
    assert ("so the lane of its azimuth moves nothing" in done.stderr) == is_told


def test_instrumental_is_the_mix_without_the_singer(folder, song):
    mix = soundfile.read(song, dtype="int16")[0]
    found = rendered(song, "--instrument", "instrumental")
    assert set(found) == {"residual"}
    near(found["residual"], mix * 0.5)
    done = stemsteer("render", song, "--instrument", "instrumental", "--out", "karaoke")
    assert done.stderr == "stemsteer: karaoke/residual.wav is the song without vocals\n"


def test_all_sources_of_a_model_have_a_file_each(folder, song):
    assert set(rendered(song, "--all")) == {"vocals", "drums", "residual"}


def test_several_instruments_under_one_name_are_one_stem(folder, song):
    mix = soundfile.read(song, dtype="int16")[0]
    found = rendered(song, "--instrument", "duo=vocals", "--instrument", "duo=drums")
    assert set(found) == {"duo", "residual"}
    near(found["duo"], mix * 0.75)


def test_of_a_family_the_named_model_takes_what_it_knows_and_says_so(folder, song):
    source_model(folder / "models" / "wind.onnx", {"flute": 0.5, "oboe": 0.25})
    mix = soundfile.read(song, dtype="int16")[0]
    words = ("--instrument", "woodwinds", "--model", "wind", "--out", "out")
    done = stemsteer("render", song, *words)
    assert done.exit_code == 0, done.output
    near(stems(folder / "out")["woodwinds"], mix * 0.75)
    said = (
        "of 'woodwinds' model 'wind' does not know clarinet, bassoon, saxophone, reed: flute, oboe"
    )
    assert said in done.stderr
    for part in ("reed", "keyboards"):
        refused = stemsteer("render", song, "--instrument", part, "--model", "wind", "--out", "no")
        assert "does not know" in refused.stderr


def test_sources_that_are_in_no_table_are_taken_as_they_are(folder, song):
    source_model(folder / "models" / "mine.onnx", {"lead synth": 0.5, "drums": 0.25})
    mix = soundfile.read(song, dtype="int16")[0]
    every = rendered(song, "--all", "--model", "mine")
    assert set(every) == {"lead synth", "drums", "residual"}
    near(every["lead synth"], mix * 0.5)
    shown = stemsteer("models", "show", "mine").stdout
    assert "drums, lead synth" in shown
    words = ("--model", "mine", "--instrument", "lead=lead synth", "--instrument", "drums")
    named = stemsteer("render", song, *words, "--out", "named")
    assert named.exit_code == 0, named.output
    near(stems(folder / "named")["lead"], mix * 0.5)
    refused = stemsteer("render", song, "--model", "mine", "--instrument", "lead snth")
    assert "the model has lead synth, too" in " ".join(refused.stderr.replace("│", " ").split())


def test_the_kick_takes_the_drums_and_says_so(folder, song):
    done = stemsteer("render", song, "--instrument", "kick", "--out", "out")
    assert done.exit_code == 0
    assert "'kick' is part of the drums" in done.stderr


def test_words_with_spaces_are_told_as_a_shell_takes_them(folder, song):
    words = ("render", song, "--instrument", "bass drum", "--out", "out")
    for more, told in (
        ("drums", "as --azimuth drums=DEG"),
        ("hi hat", "as --azimuth 'hi hat=DEG'"),
        ("bass drum", "give each its name, as 'lead=bass drum'"),
    ):
        done = stemsteer(*words, "--instrument", more)
        assert done.exit_code == 2
        assert told in " ".join(done.stderr.replace("│", " ").split())


def test_two_words_for_one_sound_are_refused_unless_they_are_told_apart(folder, song):
    words = ("render", song, "--instrument", "kick", "--instrument", "snare", "--out", "out")
    done = stemsteer(*words)
    assert done.exit_code == 2
    assert "kick and snare are both the drums" in " ".join(done.stderr.replace("│", " ").split())
    assert not (folder / "out").exists()
    (folder / "l.csv").write_text("seconds,snare.azimuth\n0,-30\n2,30\n")
    assert stemsteer(*words, "--automation", "l.csv").exit_code == 0
    assert stemsteer(*words, "--azimuth", "kick=-30", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--azimuth", "vocal=10"), "if vocals is meant, give --azimuth vocals=DEG"),
        (("--azimuth", "drms=10"), "if drums is meant, give --azimuth drums=DEG"),
        (("--azimuth", "piano=10"), "is taken, beside vocals, drums\n"),
        (("--azimuth", "vocals=10"), ""),
    ],
)
def test_a_direction_by_another_name_than_the_sounds_is_told(folder, song, words, told):
    options = ("--instrument", "vocals", "--instrument", "drums", *words, "--model", "halves")
    done = stemsteer("render", song, *options, "--out", "out")
    assert done.exit_code == 0, done.output
    assert told in done.stderr
    assert ("is the name of a direction alone" in done.stderr) == bool(told)


def test_a_direction_by_another_name_than_what_is_heard_is_told(folder, song, monkeypatch):
    heard = [SimpleNamespace(instrument="vocals")]
    monkeypatch.setattr("plugin_bridge.cli.render.can_hear", lambda: True)
    monkeypatch.setattr("plugin_bridge.cli.hearing.heard_in", lambda path: heard)
    done = stemsteer("render", song, "--all", "--azimuth", "vocal=10", "--out", "out")
    assert "if vocals is meant, give --azimuth vocals=DEG" in done.stderr


def test_a_direction_beside_an_example_without_a_name_is_told(capsys):
    tell_of_names(["guitar"], {"": Sound(like=("a.wav",))})
    assert "guitar is the name of a direction alone" in capsys.readouterr().err
    tell_of_names(["target"], {"": Sound(like=("a.wav",))})
    tell_of_names(["guitar"], {})
    assert capsys.readouterr().err == ""


def test_targets_of_a_file_say_what_they_are(folder, song):
    entries = [
        {"name": "lead", "instrument": "vocals"},
        {"name": "both", "instrument": ["vocals", "drums"], "strength": 0.5},
    ]
    (folder / "t.json").write_text(json.dumps(entries))
    mix = soundfile.read(song, dtype="int16")[0]
    found = rendered(song, "--targets", "t.json")
    near(found["lead"], mix * 0.5)
    near(found["both"], mix * 0.375)


def test_lanes_of_instruments_cross_over(folder, song):
    (folder / "l.csv").write_text("seconds,a.instrument,a.width\n0,vocals,90\n2,drums,90\n")
    mix = soundfile.read(song, dtype="int16")[0].astype(float)
    found = rendered(song, "--automation", "l.csv")["a"]
    rate = 44_100
    near(found[: int(1.9 * rate)], mix[: int(1.9 * rate)] * 0.5)
    np.testing.assert_allclose(
        found[int(2.1 * rate) : -4000], mix[int(2.1 * rate) : -4000] * 0.25, atol=2
    )


def test_a_number_of_a_lane_that_names_no_instrument_plays_as_any(folder, song):
    found = []
    for number in (50, 0):
        (folder / "l.csv").write_text(f"seconds,a.instrument\n0,vocals\n2,{number}\n")
        found.append(rendered(song, "--automation", "l.csv", "--model", "halves")["a"])
    np.testing.assert_array_equal(*found)


def test_an_example_gives_the_timbre_of_the_model(folder, song, monkeypatch):
    timbre_model(folder / "models" / "listener.onnx", CLASSES)
    heard = []

    class Encoder:
        class spec:  # noqa: N801 -- stands for an attribute
            encoder, sample_rate, size = "listen", 44_100, 2

        def encode(self, audio):
            heard.append(audio.shape[1])
            return np.array([1, 0], np.float32)

    monkeypatch.setattr("realtime.encoder.load_encoder", lambda name, beside=None: Encoder())
    mix = soundfile.read(song, dtype="int16")[0]
    found = rendered(song, "--like", f"{song}@1-2", "--like", f"{song}@3-4.5")
    assert heard == [44_100, 66_150]
    assert np.abs(found["target"][4000:-4000]).max() <= 2, "a timbre (1, 0) is silence here"
    np.testing.assert_array_equal(found["target"] + found["residual"], mix)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--instrument", "vocls"), "did you mean vocals"),
        (("--instrument", "guitar=-30"), "-30 is a direction: give it by --azimuth"),
        (("--instrument", "accordion"), "no installed model knows accordion"),
        (("--instrument", "vocals", "--model", "panorama"), "'panorama' does not know vocals"),
        (("--instrument", "vocals", "--instrument", "vocals"), "asked for twice"),
        (("--instrument", "drums", "--instrument", "karaoke"), "--instrument vocals writes both"),
        (("--unlike", "song.wav@1-2"), "give --like or --instrument too"),
        (("--like", "song.wav@1-2"), "no installed model knows timbres"),
        (("--instrument", "vocals", "--strength", "2"), "strength is 2"),
        (("--azimuth", "0", "--strength", "0.5"), "give --instrument or --like too"),
        (("--instrument", "vocals", "--morph", "0.5"), "give --instrument and --like"),
        (("--instrument", "residual=vocals"), "is the name of what is left of the mix"),
        (("--targets", "t.json", "--azimuth", "0"), "t.json says what to take and where"),
        (("--all", "--model", "panorama"), "has no sources of its own"),
        (("--all", "--instrument", "drums"), "leave --instrument, --like and --picture out"),
        ((), "say what: --instrument WORD"),
    ],
)
def test_what_cannot_be_taken_is_said_and_leaves_nothing(folder, song, words, told):
    done = stemsteer("render", "song.wav", *words, "--out", "out")
    assert done.exit_code != 0
    plain = " ".join(done.stderr.replace("│", " ").split())
    assert told in plain
    assert not (folder / "out").exists()


def test_all_sources_of_no_model_are_refused_with_what_has_some(folder, song):
    (folder / "models" / "halves.onnx").unlink()
    done = stemsteer("live", "--input-file", "song.wav", "--all", "--no-osc")
    assert done.exit_code != 0
    plain = " ".join(done.stderr.split())
    assert "no installed model has several sources of its own in the tier 'live'" in plain
    assert "leave --all out and name what to take by --instrument, or make one by" in plain
    assert "known are" not in plain
