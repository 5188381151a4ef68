"""Which model is taken: the best one here that can do what is asked."""

import onnx
import pytest
import soundfile
from typer.testing import CliRunner

from plugin_bridge import model_choice
from plugin_bridge.cli.app import app
from plugin_bridge.model_choice import choose_model
from realtime.errors import StemsteerError
from tests.support import signals
from tests.support.models import LIVE, source_model, timbre_model

VOICE_AND_DRUMS = {"vocals": (1.0, 0.0), "drums": (0.0, 1.0)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Models of the test alone: those that are shipped know instruments, too."""
    monkeypatch.setenv("STEMSTEER_MODELS", str(tmp_path))
    monkeypatch.setattr("realtime.model.WEIGHTS", tmp_path / "shipped")
    return tmp_path


def test_the_model_that_was_measured_best_on_the_instrument_is_taken(folder):
    source_model(folder / "quick.onnx", {"vocals": 0.5}, gains_db={"live": {"vocals": 4.0}})
    source_model(folder / "good.onnx", {"vocals": 0.5}, gains_db={"live": {"vocals": 9.0}})
    timbre_model(folder / "other.onnx", VOICE_AND_DRUMS, gains_db={"live": {"vocals": 5.0}})
    assert choose_model(None, "live", ["vocals"]).spec.name == "good"
    assert choose_model(None, "live", ["vocals", "drums"]).spec.name == "other"


def test_a_model_that_was_not_measured_is_chosen_after_those_that_were(folder):
    source_model(folder / "new.onnx", {"vocals": 0.5, "drums": 0.5})
    assert choose_model(None, "live", ["vocals"]).spec.name == "new"
    weak = {"live": {"vocals": -3.0}}
    timbre_model(folder / "weak.onnx", VOICE_AND_DRUMS, gains_db=weak)
    assert choose_model(None, "live", ["vocals"]).spec.name == "weak"
    assert choose_model(None, "live", ["vocals", "drums"]).spec.name == "weak"
    assert choose_model(None, "live", sources=True).spec.name == "new"
    two = {"live": {"vocals": -4.0, "drums": -4.0}}
    timbre_model(folder / "both.onnx", VOICE_AND_DRUMS, gains_db=two)
    assert choose_model(None, "live", ["vocals", "drums"]).spec.name == "both"


def test_render_says_where_no_model_gains_anything_on_an_instrument(folder):
    soundfile.write(folder / "song.wav", signals.noise(2, 4000).T, 44_100)
    gains = {"live": {"vocals": -3.0, "drums": 2.0}}
    timbre_model(folder / "weak.onnx", VOICE_AND_DRUMS, gains_db=gains)
    render = ["render", str(folder / "song.wav"), "--tier", "live", "--out", str(folder / "out")]
    words = ["--instrument", "vocals", "--instrument", "drums", "--force"]
    done = CliRunner().invoke(app, [*render, *words])
    assert done.exit_code == 0, done.stderr
    assert "stemsteer: vocals: no installed model gains anything over the mix" in done.stderr
    done = CliRunner().invoke(app, [*render, *words, "--model", "weak"])
    assert "no installed" not in done.stderr
    gains = {"live": {"vocals": 3.0}}
    source_model(folder / "good.onnx", {"vocals": 0.5}, gains_db=gains)
    done = CliRunner().invoke(app, [*render, "--instrument", "vocals", "--force"])
    assert done.exit_code == 0, done.stderr
    assert "no installed" not in done.stderr


def test_no_model_is_loaded_but_the_one_that_is_taken(folder, monkeypatch):
    loaded = loads(monkeypatch)
    for name, gain_db in (("better", 6.0), ("best", 9.0), ("good", 4.0)):
        gains = {"live": {"vocals": gain_db}}
        source_model(folder / f"{name}.onnx", {"vocals": 0.5}, gains_db=gains)
    assert choose_model(None, "live", ["vocals"]).spec.name == "best"
    assert loaded == [folder / "best.onnx"]


def test_a_model_that_cannot_be_used_is_passed_over(folder):
    source_model(folder / "good.onnx", {"vocals": 0.5}, gains_db={"live": {"vocals": 4.0}})
    source_model(folder / "best.onnx", {"vocals": 0.5}, gains_db={"live": {"vocals": 9.0}})
    damage(folder / "best.onnx")
    assert choose_model(None, "live", ["vocals"]).spec.name == "good"
    damage(folder / "good.onnx")
    with pytest.raises(StemsteerError, match=r"best\.onnx is not a model that can be loaded"):
        choose_model(None, "live", ["vocals"])


def damage(path):
    """Leave a model its spec and take its graph."""
    model = onnx.load(path)
    model.graph.ClearField("node")
    onnx.save(model, path)


def test_a_file_that_is_called_as_a_tier_and_lacks_it_hides_no_preferred_model(folder, monkeypatch):
    for name in ("steer", "panorama"):
        source_model(folder / f"{name}.onnx", {"vocals": 0.5})
    source_model(folder / "steer-live.onnx", {"vocals": 0.5}, tiers={"studio": LIVE})
    loaded = loads(monkeypatch)
    assert choose_model(None, "live").spec.name == "steer"
    assert choose_model("steer", "offline", sources=True).spec.name == "steer"
    source_model(folder / "steer.onnx", {"vocals": 0.5}, tiers={"studio": LIVE})
    with pytest.raises(ValueError, match="does not know drums"):
        choose_model(str(folder / "panorama.onnx"), "live", ["drums"])
    assert choose_model(None, "live").spec.name == "panorama"
    assert [path.name for path in loaded] == ["steer.onnx", "steer.onnx", *["panorama.onnx"] * 2]


def loads(monkeypatch):
    """Return the list of the files that are loaded from now on."""
    loaded, load = [], model_choice.load_model
    monkeypatch.setattr(model_choice, "load_model", lambda path: loaded.append(path) or load(path))
    return loaded


def test_only_a_model_of_timbres_is_taken_for_an_example(folder):
    source_model(folder / "good.onnx", {"vocals": 0.5}, gains_db={"live": {"vocals": 9.0}})
    timbre_model(folder / "other.onnx", VOICE_AND_DRUMS)
    assert choose_model(None, "live", timbre=True).spec.name == "other"


def test_for_an_example_that_model_is_taken_that_gains_most_in_the_mean(folder):
    timbre_model(folder / "other.onnx", VOICE_AND_DRUMS, gains_db={"live": {"vocals": 5.0}})
    gains = {"live": {"vocals": 9.0, "drums": 0.0}}
    timbre_model(folder / "uneven.onnx", VOICE_AND_DRUMS, gains_db=gains)
    assert choose_model(None, "live", timbre=True).spec.name == "other"
    assert choose_model(None, "live", ["vocals"], timbre=True).spec.name == "uneven"


def test_beside_a_counter_example_a_model_is_taken_that_takes_one(folder):
    timbre_model(folder / "able.onnx", VOICE_AND_DRUMS)
    gains = {"live": {"vocals": 9.0}}
    two = {"direction": 2, "timbre": 2}
    timbre_model(folder / "good.onnx", VOICE_AND_DRUMS, gains_db=gains, conditions=two)
    assert choose_model(None, "live", timbre=True).spec.name == "good"
    assert choose_model(None, "live", timbre=True, against=True).spec.name == "able"
    with pytest.raises(ValueError, match="takes no counter-example"):
        choose_model("good", "live", timbre=True, against=True)


def test_beside_a_direction_or_lanes_of_timbre_a_model_is_taken_that_hears_both(folder):
    good = {"gains_db": {"live": {"vocals": 9.0}}}
    timbre_model(folder / "alone.onnx", VOICE_AND_DRUMS, **good)
    assert choose_model(None, "live", ["vocals"], direction=True).spec.name == "alone"
    timbre_model(folder / "both.onnx", VOICE_AND_DRUMS, mask_axes="steered")
    assert choose_model(None, "live", ["vocals"]).spec.name == "alone"
    assert choose_model(None, "live", ["vocals"], direction=True).spec.name == "both"
    assert choose_model(None, "live", ["vocals"], moving=True).spec.name == "both"


def test_an_instrument_that_nothing_knows_names_what_is_known_and_how_to_install_more(folder):
    source_model(folder / "good.onnx", {"vocals": 0.5})
    with pytest.raises(StemsteerError, match=r"knows accordion .* known are .*models add"):
        choose_model(None, "live", ["accordion"])


def test_a_named_model_that_does_not_know_the_instrument_says_what_it_knows(folder):
    source_model(folder / "good.onnx", {"vocals": 0.5})
    with pytest.raises(ValueError, match="'good' does not know drums; it knows vocals"):
        choose_model("good", "live", ["vocals", "drums"])
    with pytest.raises(ValueError, match="takes no timbre"):
        choose_model("good", "live", timbre=True)


def test_of_a_name_the_file_for_all_tiers_is_taken_where_that_for_the_tier_cannot_do_it(folder):
    source_model(folder / "voice-studio.onnx", {"bass": 0.5})
    timbre_model(folder / "voice.onnx", VOICE_AND_DRUMS)
    assert choose_model("voice", "offline").spec.name == "voice-studio"
    assert choose_model("voice", "offline", ["bass"]).spec.name == "voice-studio"
    assert choose_model("voice", "offline", ["vocals"], direction=True).spec.name == "voice"
    assert choose_model("voice", "offline", timbre=True, against=True).spec.name == "voice"
    with pytest.raises(ValueError, match="'voice' does not know bass; it knows"):
        choose_model("voice", "offline", ["bass", "drums"])
    source_model(folder / "voice.onnx", {"drums": 0.5}, tiers={"live": LIVE})
    with pytest.raises(ValueError, match="'voice-studio' does not know drums; it knows bass"):
        choose_model("voice", "offline", ["drums"])
