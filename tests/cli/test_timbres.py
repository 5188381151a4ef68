"""`stemsteer timbres`: the library of sounds from the command line."""

import json

import numpy as np
import pytest
import soundfile

from plugin_bridge.timbre import Timbre, TimbreLibrary
from tests.support.commands import stemsteer
from tests.support.models import timbre_model
from tests.support.signals import tone


class Encoder:
    """Hears how loud a sound is: (1, 0) for loud, (0, 1) for soft."""

    class spec:  # noqa: N801 -- stands for an attribute
        encoder, sample_rate, size = "listen", 44_100, 2

    def encode(self, audio):
        return np.array([1, 0] if audio.std() > 0.1 else [0, 1], np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMSTEER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("STEMSTEER_MODELS", str(tmp_path))
    load = lambda name="listen", beside=None: Encoder()  # noqa: E731
    monkeypatch.setattr("realtime.encoder.load_encoder", load)
    monkeypatch.chdir(tmp_path)
    timbre_model(tmp_path / "listener.onnx", {"vocals": (1.0, 0.0), "drums": (0.0, 1.0)})
    soundfile.write("loud.wav", tone(300, 4 * 44_100, level=0.5), 44_100)
    return tmp_path


def timbres(*words):
    done = stemsteer("timbres", *words)
    return done.exit_code, done.output


def test_a_timbre_is_added_listed_shown_and_removed():
    assert timbres("list")[1].startswith("no timbres yet")
    code, out = timbres("add", "my voice", "loud.wav@1-3")
    assert code == 0
    assert out.strip().endswith("my voice.timbre.json")
    assert json.loads(timbres("list", "--json")[1]) == ["my voice"]
    assert "loud.wav@1-3" in timbres("list")[1]
    shown = json.loads(timbres("show", "my voice", "--json")[1])
    assert shown["nearest"][0] == ["vocals", 1.0]
    assert "vocals (1.00)" in timbres("show", "my voice")[1]
    assert timbres("remove", "my voice")[0] == 0
    assert TimbreLibrary().names() == []


def test_a_name_that_is_taken_needs_force():
    TimbreLibrary().save("a", Timbre(np.array([0, 1], np.float32), "listen"))
    code, out = timbres("add", "a", "loud.wav")
    assert code == 1
    assert "--force" in out
    assert timbres("add", "a", "loud.wav", "--force")[0] == 0


def test_check_tells_what_an_example_is_worth():
    code, out = timbres("check", "loud.wav@0-2.5")
    assert code == 0
    assert "a good example" in out
    assert "like vocals (1.00)" in out
    told = json.loads(timbres("check", "loud.wav@0-0.4", "--json")[1])
    assert told["seconds"] == 0.4
    assert told["problems"]


@pytest.mark.parametrize("words", [("show", "x"), ("remove", "x"), ("check", "x.wav")])
def test_what_is_not_there_is_said_in_a_line(words):
    code, out = timbres(*words)
    assert code == 1
    assert len(out.strip().splitlines()) == 1
    assert "x" in out


def test_a_broken_file_ends_no_list_and_what_it_says_does_not_steer_the_terminal(folder):
    timbres("add", "good", "loud.wav@1-3")
    library = folder / "data" / "timbres"
    content = json.loads((library / "good.timbre.json").read_text())
    content["sources"] = ["\x1b[31mred"]
    (library / "good.timbre.json").write_text(json.dumps(content))
    (library / "broken.timbre.json").write_text("{")
    (library / "huge.timbre.json").write_text(json.dumps({**content, "vector": [10**400]}))
    code, out = timbres("list")
    assert code == 0
    told = " ".join(out.split())  # folded where the path is long
    assert "is no timbre" in told
    assert "too large a number" in told
    assert "\x1b" not in out
    assert "red" in out
    assert "\x1b" not in timbres("show", "good")[1]
