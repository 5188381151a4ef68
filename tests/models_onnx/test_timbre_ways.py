"""Ways of asking for a timbre: what is asked of a song, and asked again of what was heard."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models_onnx.evaluation.timbre_scenes import TimbreScene, real_songs
from models_onnx.evaluation.timbre_ways import Question, again, questions, ways_off
from realtime.encoder import LONGEST_S
from realtime.model import load_model
from tests.support.timbre_songs import Deaf
from tests.support.timbres import RATE_HZ


def test_a_class_without_a_name_in_the_model_is_asked_for_in_other_ways(
    songs: Path, model: Path
) -> None:
    scene = real_songs(songs)[0]
    strange = replace(scene, classes=("theremin", *scene.classes[1:]))
    found = questions(load_model(model), None, strange, ["direction", "name"])
    assert [q.way for q in found if q.index == 0] == ["direction"]
    assert [q.way for q in found if q.index == 1] == ["direction", "name"]


def test_what_was_separated_is_heard_and_asked_for_again() -> None:
    class Ear:
        def encode(self, clip: np.ndarray) -> np.ndarray:
            if not clip.any():
                raise ValueError("silent")
            heard.append(clip)
            return np.array([1.0, 0.0], np.float32)

        def encode_separated(self, target: np.ndarray, residual: np.ndarray) -> np.ndarray:
            assert np.allclose(target + residual, 0.75)
            return self.encode(target)

    heard: list[np.ndarray] = []
    nothing = np.zeros(2, np.float32)
    asked = [
        Question("direction", 0, "bass", (10.0, 20.0), nothing, nothing),
        Question("direction", 1, "drums", (0.0, 20.0), nothing, nothing),
        Question("query", 0, "bass", (0.0, 90.0), nothing, nothing),
    ]
    estimates = np.zeros((3, 2, 4 * RATE_HZ), np.float32)
    estimates[0, :, 2 * RATE_HZ :] = 0.5
    estimates[2] = 0.1
    images = np.zeros((2, 2, 4 * RATE_HZ), np.float32)
    images[0, :, int(1.5 * RATE_HZ) : int(3.5 * RATE_HZ)] = 0.2
    mixture = np.full((2, 4 * RATE_HZ), 0.75, np.float32)
    scene = TimbreScene("s", mixture, ("bass", "drums"), images, lambda name, number: None)
    more = again(Ear(), scene, asked, estimates, ("direction", "learned", "iterative"))
    assert [(q.way, q.index, q.direction) for q in more] == [
        ("learned", 0, (0.0, 90.0)),
        ("iterative", 0, (0.0, 90.0)),
    ]
    expected = estimates[0, :, int(1.5 * RATE_HZ) : int(3.5 * RATE_HZ)]
    assert np.array_equal(heard[0], expected), "the two seconds in which the source is loudest"
    assert heard[1].shape == (2, 4 * RATE_HZ)


def test_of_a_long_song_the_loudest_stretch_is_heard_and_silence_is_not_asked_for(
    songs: Path, model: Path
) -> None:
    class Ear:
        def encode(self, clip: np.ndarray) -> np.ndarray:
            if not clip.any() or clip.shape[1] > LONGEST_S * RATE_HZ:
                raise ValueError("silent, or too long")
            return np.full(8, 8**-0.5, np.float32)

    late = np.zeros((2, 2, 64 * RATE_HZ), np.float32)
    late[:, :, 40 * RATE_HZ :] = np.random.default_rng(0).normal(0, 0.1, late[..., :1].shape)
    scene = TimbreScene("s", late.sum(0), ("bass", "drums"), late, lambda *_: 0 * late[0])
    asked = questions(load_model(model), Ear(), scene, ["true", "query"])
    assert [(q.way, q.index) for q in asked] == [("true", 0), ("true", 1)]
    once = [replace(question, way="query") for question in asked]
    more = again(Ear(), scene, once, late, ["iterative"])
    assert [q.index for q in more] == [0, 1]


def test_directions_that_are_off_are_ways_of_their_own(songs: Path, model: Path) -> None:
    loaded, scene = load_model(model), real_songs(songs)[0]
    off = ways_off([4.0])
    assert list(off) == ["direction, 4° off", "both, 4° off"]

    ways = ["direction", "both", *off]
    asked = questions(loaded, Deaf(), scene, ways, off)
    by_way = {way: [q for q in asked if q.way == way] for way in ways}
    for way, (called, off_deg) in off.items():
        for right, wrong in zip(by_way[called], by_way[way], strict=True):
            assert abs(wrong.direction[0] - right.direction[0]) == pytest.approx(off_deg)
            assert wrong.direction[1] == right.direction[1]
            assert np.array_equal(wrong.timbre, right.timbre)
    sides = {q.direction[0] > 0 for q in by_way["direction, 4° off"]}
    assert sides == {True, False}, "all stand in the middle: to the left and to the right in turn"
