"""Systems 2 to 5 by `stemsteer render`: an example, a class, a picture; and what they cannot do."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from plugin_bridge.cli import app as cli
from plugin_bridge.model_choice import choose_model
from plugin_bridge.picture import recognise as pictures
from realtime.model import WEIGHTS
from tests.support.rendering import noise_song, render_song
from tests.support.unets import unet_file


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, gate in (("query", "none"), ("fewshot", "none"), ("label-encoder", "none"),
                       ("activity", "hold")):  # fmt: skip
        unet_file(folder, name, gate)
    return folder


@pytest.fixture
def song(models, tmp_path, monkeypatch):
    monkeypatch.setenv("STEMSTEER_MODELS", str(models))
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    tone = 0.1 * np.sin(2 * np.pi * 110 * np.arange(44_100) / 44_100)
    soundfile.write(tmp_path / "tone.wav", tone, 44_100)
    return noise_song(tmp_path)


def level(path):
    return float(np.sqrt(np.mean(soundfile.read(path)[0] ** 2)))


@pytest.mark.parametrize(
    "words",
    [
        ("--model", "query-unet", "--like", "song.wav@0-1"),
        ("--model", "fewshot-unet", "--like", "song.wav@0-1", "--unlike", "tone.wav"),
        ("--model", "label-unet", "--instrument", "flute"),
        ("--model", "activity-unet", "--instrument", "drums", "--tier", "live"),
    ],
)
def test_each_system_takes_a_sound_in_its_own_way(song, words):
    done = render_song(song, *words, "--out", "out")
    assert done.exit_code == 0, done.output
    target = next(path for path in (song.parent / "out").iterdir() if path.stem != "residual")
    assert 0 < level(target) < 0.15
    mix = soundfile.read(song)[0]
    both = sum(soundfile.read(path)[0] for path in (song.parent / "out").iterdir())
    np.testing.assert_allclose(both, mix, atol=1e-6)


def test_a_network_of_labels_is_told_which_others_play(song):
    folder, violin = song.parent, ("--model", "label-unet", "--instrument", "violin")
    for words, out in (((), "alone"), (("--instrument", "cello"), "both")):
        done = render_song(song, *violin, *words, "--out", out)
        assert done.exit_code == 0, done.output
    alone, both = (soundfile.read(folder / out / "violin.wav")[0] for out in ("alone", "both"))
    assert np.abs(alone - both).max() > 1e-4


def test_when_an_instrument_plays_is_said_of_its_stem(song, monkeypatch):
    monkeypatch.delenv("STEMSTEER_MODELS")  # the shipped network: one of chance hears no change
    words = ("--model", "activity-unet", "--instrument", "drums", "--instrument", "bass")
    done = render_song(song, *words, "--out", "out", "--json", "--report", "report.json")
    assert done.exit_code == 0, done.output
    *stems, residual = json.loads(done.stdout)["stems"]
    assert residual["activity"] is None
    reported = json.loads((song.parent / "report.json").read_text())["stems"]
    for stem, again in zip(stems, reported, strict=True):
        activity = stem["activity"]
        assert len(activity["values"]) == 20, "two seconds"
        assert all(0 <= value <= 1 for value in activity["values"])
        assert np.ptp(activity["values"]) > 0
        assert again["activity"] == activity
    other = render_song(song, "--model", "query-unet", "--instrument", "bass", "--json")
    assert [stem["activity"] for stem in json.loads(other.stdout)["stems"]] == [None, None]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--model", "label-unet", "--instrument", "drums"), "does not know drums"),
        (("--model", "label-unet", "--like", "song.wav@0-1"), "takes no timbre"),
        (("--model", "activity-unet", "--like", "song.wav@0-1"), "takes no timbre"),
        (("--model", "query-unet", "--azimuth", "-30"), "takes no direction"),
        (("--model", "query-unet", "--instrument", "drums", "--width", "9"), "takes no direction"),
        (("--model", "fewshot-unet", "--targets", "targets.json"), "takes no direction"),
        (("--model", "activity-unet", "--automation", "lanes.csv"), "takes no direction"),
        (
            ("--model", "query-unet", "--like", "song.wav@0-1", "--unlike", "tone.wav"),
            "takes no counter-example",
        ),
    ],
)
def test_what_a_system_cannot_do_is_said_in_a_line(song, words, reason):
    place = {"name": "left", "azimuth_deg": -30, "width_deg": 20}
    (song.parent / "targets.json").write_text(json.dumps([place]))
    (song.parent / "lanes.csv").write_text("seconds,drums.azimuth,drums.instrument\n0,-30,1\n")
    done = render_song(song, *words, "--out", "out")
    assert done.exit_code != 0
    assert reason in " ".join(done.output.split())
    assert not (song.parent / "out").exists()


def test_a_timbre_is_kept_for_a_model_that_hears_its_own_way(song):
    def timbres(*words):
        return CliRunner().invoke(cli.app, ["timbres", *words])

    assert timbres("add", "mine", "song.wav@0-1", "--model", "query-unet").exit_code == 0
    done = render_song(song, "--model", "query-unet", "--like", "mine", "--out", "out")
    assert done.exit_code == 0, done.output
    other = render_song(song, "--model", "fewshot-unet", "--like", "mine", "--out", "other")
    assert "timbres add mine FILE --force`, with the model as --model" in other.output
    refused = timbres("add", "none", "song.wav@0-1", "--model", "activity-unet")
    assert "model 'activity-unet' takes no timbre" in " ".join(refused.output.split())


def seeing(monkeypatch, **by_name):
    """Put a network of pictures in place that sees these probabilities in everything."""
    probabilities = np.zeros((1, 1000), np.float32)
    for name, value in by_name.items():
        probabilities[0, pictures.IMAGENET[name][0]] = value
    session = SimpleNamespace(run=lambda names, inputs: [probabilities])
    monkeypatch.setattr(pictures, "_network", lambda: (session, SimpleNamespace(size=224)))
    monkeypatch.setattr(pictures, "read_picture", lambda path, size: np.zeros(1))
    pictures.recognise.cache_clear()


def test_a_picture_names_the_instrument_and_says_how_sure_it_is(song, monkeypatch):
    seeing(monkeypatch, cello=0.8)
    done = render_song(song, "--picture", "player.png", "--model", "label-unet", "--out", "out")
    assert done.exit_code == 0, done.output
    assert {path.stem for path in (song.parent / "out").iterdir()} == {"cello", "residual"}
    said = " ".join(done.stderr.split())
    assert "player.png shows cello (80% sure); a double bass would be taken for that, too" in said


def test_a_picture_without_an_instrument_writes_nothing(song, monkeypatch):
    seeing(monkeypatch, cello=0.05)
    done = render_song(song, "--picture", "desk.png", "--out", "out")
    assert done.exit_code == 1
    assert "shows no instrument that is known: cello is the likeliest, with 5%" in done.output
    assert not (song.parent / "out").exists()


def test_steer_stays_the_model_for_names_and_examples(song):
    assert (WEIGHTS / "steer.onnx").is_file()
    for asked in ({"instruments": ["drums"]}, {"instruments": ["flute"]}, {"timbre": True}):
        assert choose_model(None, "live", **asked).spec.name == "steer"
