"""Timbres: their arithmetic, and the library on disk."""

import json
import stat

import numpy as np
import pytest

from plugin_bridge.timbre import Timbre, TimbreLibrary, mean
from plugin_bridge.timbre.timbre_library import FORMAT, SUFFIX
from realtime.errors import StemsteerError


def timbre(*values, encoder="listen-1"):
    vector = np.array(values, np.float32)
    return Timbre(vector / np.linalg.norm(vector), encoder)


@pytest.fixture
def library(tmp_path):
    return TimbreLibrary(tmp_path / "timbres")


@pytest.mark.parametrize("vector", [[0, 0], [2, 0], [np.nan, 1], [np.inf, 0], [[1, 0]], []])
def test_a_vector_that_is_not_of_length_one_is_refused(vector):
    with pytest.raises(ValueError, match="length"):
        Timbre(np.array(vector, np.float32), "listen-1")


def test_a_timbre_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        timbre(1, 0).vector[0] = 3


def test_the_mean_lies_in_the_middle_and_says_how_far_apart_its_examples_are():
    middle = mean([timbre(1, 0), timbre(0, 1)])
    np.testing.assert_allclose(middle.vector, [0.5**0.5, 0.5**0.5], rtol=1e-6)
    assert middle.spread == pytest.approx(1 - 0.5**0.5)
    assert mean([timbre(1, 0)] * 3).spread == pytest.approx(0, abs=1e-6)


def test_examples_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="contradict"):
        mean([timbre(1, 0), timbre(-1, 0)])


def test_timbres_of_two_encoders_are_not_mixed():
    with pytest.raises(ValueError, match="listen-1, listen-2"):
        mean([timbre(1, 0), timbre(1, 0, encoder="listen-2")])


def test_what_is_saved_is_loaded_again_and_belongs_to_the_user_alone(library):
    saved = Timbre(timbre(3, -4, 1).vector, "listen-1", 0.25, ("a.wav@2-4",))
    path = library.save("my guitar", saved)
    found = library.load("my guitar")
    np.testing.assert_array_equal(found.vector, saved.vector)
    assert (found.encoder, found.spread, found.sources) == ("listen-1", 0.25, ("a.wav@2-4",))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert library.names() == ["my guitar"]


def test_a_name_that_is_taken_is_replaced_only_if_asked(library):
    library.save("a", timbre(1, 0))
    with pytest.raises(StemsteerError, match="--force"):
        library.save("a", timbre(0, 1))
    library.save("a", timbre(0, 1), replace=True)
    np.testing.assert_allclose(library.load("a").vector, [0, 1])


def test_a_broken_file_can_be_removed(library):
    library.folder.mkdir()
    (library.folder / f"a{SUFFIX}").write_text("broken")
    library.remove("a")
    assert library.names() == []


def test_a_timbre_that_is_removed_is_gone(library):
    library.save("a", timbre(1, 0))
    library.remove("a")
    assert library.names() == []
    with pytest.raises(StemsteerError, match="no timbre is called 'a'; there are none yet"):
        library.load("a")


@pytest.mark.parametrize(
    "name", ["../a", "", "a/b", ".hidden", "x" * 201, "日" * 80, "a\nb", "CON", "nul.a", "a ", "a."]
)
def test_a_name_that_does_not_do_for_a_file_is_refused(library, name):
    with pytest.raises(StemsteerError, match=r"name is .*, expected up to 200 bytes of letters"):
        library.save(name, timbre(1, 0))
    with pytest.raises(StemsteerError, match="no timbre is called"):
        library.load(name)


@pytest.mark.parametrize("replace", [False, True])
def test_a_name_that_is_another_one_to_some_systems_is_refused(library, replace):
    library.save("Solo", timbre(1, 0))
    with pytest.raises(StemsteerError, match="'Solo' already, which is 'solo' to some systems"):
        library.save("solo", timbre(0, 1), replace=replace)
    assert library.names() == ["Solo"]


GOOD = {"format": FORMAT, "encoder": "listen-1", "vector": [1.0, 0.0]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "no timbre"),
        ("[" * 100_000, "no timbre"),
        ("{}", "format"),
        (json.dumps({**GOOD, "encoder": 3}), "which encoder"),
        (json.dumps({**GOOD, "vector": "abc"}), "list of numbers"),
        (json.dumps({**GOOD, "vector": [True, 0]}), "list of numbers"),
        (json.dumps({**GOOD, "vector": [1.0] * 5000}), "list of numbers"),
        (json.dumps({**GOOD, "vector": [float("nan"), 1.0]}), "no number"),
        (json.dumps({**GOOD, "vector": [1e308, 1.0]}), "list of numbers"),
        (json.dumps({**GOOD, "vector": [3.0, 0.0]}), "length 1"),
        (json.dumps({**GOOD, "spread": -1}), "spread"),
        (json.dumps({**GOOD, "sources": [1]}), "sources"),
        (" " * 300_000 + json.dumps(GOOD), "longer than"),
    ],
)
def test_a_file_that_is_no_timbre_is_said_to_be_none(library, content, told):
    library.folder.mkdir()
    (library.folder / f"a{SUFFIX}").write_text(content)
    with pytest.raises(StemsteerError, match=told):
        library.load("a")


def test_the_users_library_lies_in_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("STEMSTEER_DATA", raising=False)
    assert TimbreLibrary().folder == tmp_path / "stemsteer" / "timbres"
