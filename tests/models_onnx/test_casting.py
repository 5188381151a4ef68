"""What is drawn of scenes that a device mixes, and what is asked of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from models_onnx.data.classes import CLASSES, FAMILIES
from models_onnx.data.stems import RATE_HZ
from models_onnx.data.variation import FASTEST
from models_onnx.training.casting import Casting
from models_onnx.training.casts import NONE, Cast
from models_onnx.training.device_sounds import BLOCK, FULL_SCALE, Sounds, stored
from models_onnx.training.timbre_questions import ALIKE, FREE, KINDS, Asking
from tests.support.noises import (
    BAND,
    CLIP_S,
    NOTHING,
    SECONDS,
    casting,
    noises,
    source,
    stem,
    three_songs,
)


@pytest.fixture(scope="module")
def band() -> Sounds:
    return three_songs()


@dataclass(frozen=True)
class Asked:
    """One question of a cast: of what, what is meant, and what is told."""

    kind: str
    name: str
    names: list[str]
    azimuth_deg: np.ndarray
    meant: list[bool]
    direction: tuple[float, float]
    told: list[str]
    clips: list[int]
    denied: list[str]
    denied_clips: list[int]

    @property
    def inside(self) -> list[bool]:
        """Whether each source stands in the opening that is asked for."""
        away = np.abs(self.azimuth_deg - self.direction[0])
        return list(away <= self.direction[1] / 2)


def questions(drawn: Casting, casts: int = 8) -> Iterator[tuple[Cast, int, Asked]]:
    """Give questions of several casts, each beside its cast and the number of its scene."""
    for cast in (drawn.draw(7, step) for step in range(casts)):
        for scene, question in np.ndindex(cast.kinds.shape):
            at = scene, question
            there = cast.stem[scene] != NONE
            told, denied = (
                np.flatnonzero(rows[at]).tolist() for rows in (cast.positive, cast.negative)
            )
            count = len(cast.clip_stem)
            assert set(cast.meant[at]) <= {0.0, 1.0}
            assert not cast.meant[at][~there].any()
            number = int(cast.asked[at])
            yield (
                cast,
                scene,
                Asked(
                    KINDS[cast.kinds[at]],
                    CLASSES[number] if number >= 0 else "",
                    [drawn.sounds.classes[k] for k in cast.stem[scene][there]],
                    cast.azimuth_deg[scene][there],
                    list(cast.meant[at][there] > 0),
                    (float(cast.direction[at][0]), float(cast.direction[at][1])),
                    [CLASSES[k - count] for k in told if k >= count],
                    [k for k in told if k < count],
                    [CLASSES[k - count] for k in denied if k >= count],
                    [k for k in denied if k < count],
                ),
            )


def class_of_clip(drawn: Casting, cast: Cast, clip: int) -> str:
    return drawn.sounds.classes[cast.clip_stem[clip]]


@pytest.mark.parametrize("remix", [0.0, 1.0])
def test_a_name_means_all_sources_of_that_class_and_no_other(band: Sounds, remix: float) -> None:
    for _, _, asked in questions(casting(band, remix=remix)):
        assert asked.kind == "name"
        assert asked.meant == [n == asked.name for n in asked.names]
        assert any(asked.meant)
        assert asked.direction == FREE
        assert asked.told == [asked.name]
        assert not asked.clips
        assert not asked.denied
        assert not asked.denied_clips


def test_what_is_too_soft_to_be_heard_is_not_asked_for() -> None:
    sounds = noises(("bass", "drums"))
    sounds.energy[0] = sounds.energy[0] * np.float32(1e-6)
    drawn = casting(sounds, remix=0.0, produced=1.0)
    assert {asked.name for _, _, asked in questions(drawn)} == {"drums"}


def test_what_people_ask_for_is_asked_more_often_unless_all_is_asked_alike() -> None:
    sounds = noises(("vocals", "harp"))
    asked = {}
    for even in (False, True):
        drawn = casting(sounds, remix=0.0, produced=1.0, even=even)
        asked[even] = sum(q.name == "vocals" for _, _, q in questions(drawn)) / 96
    assert abs(asked[False] - 0.75) < 0.12
    assert abs(asked[True] - 0.5) < 0.12


@pytest.mark.parametrize("remix", [0.0, 1.0])
def test_what_is_absent_is_not_there_nor_like_what_is(band: Sounds, remix: float) -> None:
    kinds, clips = set(), 0
    for cast, _, asked in questions(drawn := casting(band, absent=1.0, remix=remix)):
        kinds.add(asked.kind)
        if asked.kind == "name":  # where everything is there, or like what is
            continue
        assert not any(asked.meant)
        alike = set().union({asked.name}, *(group for group in ALIKE if asked.name in group))
        assert not alike & set(asked.names)
        assert len(asked.told) + len(asked.clips) == 1
        assert asked.told in ([], [asked.name])
        assert all(class_of_clip(drawn, cast, k) == asked.name for k in asked.clips)
        clips += len(asked.clips)
    assert "absent" in kinds
    assert clips


def test_where_nothing_can_be_absent_a_name_is_asked_for() -> None:
    drawn = casting(noises(("vocals", "drums")), absent=1.0, remix=0.0)
    for _, _, asked in questions(drawn, casts=1):
        assert asked.kind == "name"
        assert any(asked.meant)


def test_direction_and_timbre_together_mean_the_class_that_stands_there(band: Sounds) -> None:
    clips = 0
    for cast, _, asked in questions(drawn := casting(band, both=1.0)):
        assert asked.kind == "both"
        assert asked.direction[1] < 90
        own = [n == asked.name for n in asked.names]
        assert asked.meant == [a and b for a, b in zip(own, asked.inside, strict=True)]
        assert any(asked.meant)
        assert len(asked.told) + len(asked.clips) == 1
        assert all(class_of_clip(drawn, cast, k) == asked.name for k in asked.clips)
        clips += len(asked.clips)
    assert clips


def test_a_direction_means_all_that_stands_in_it(band: Sounds) -> None:
    several = 0
    for _, _, asked in questions(casting(band, direction=1.0)):
        assert asked.kind == "direction"
        assert asked.name == ""
        assert asked.meant == asked.inside
        assert any(asked.meant)
        assert not any((asked.told, asked.clips, asked.denied, asked.denied_clips))
        several += sum(asked.meant) > 1
    assert several


def test_a_family_is_asked_for_by_all_of_its_names(band: Sounds) -> None:
    for _, _, asked in questions(casting(band, family=1.0)):
        assert asked.kind == "family"
        assert asked.name == ""
        assert tuple(asked.told) in FAMILIES.values()
        assert asked.meant == [n in asked.told for n in asked.names]
        assert any(asked.meant)
        assert not asked.clips


@pytest.mark.parametrize("remix", [0.0, 1.0])
def test_a_query_is_told_by_clips_of_the_class(band: Sounds, remix: float) -> None:
    counts = set()
    for cast, _, asked in questions(drawn := casting(band, query=1.0, remix=remix)):
        assert asked.kind == "query"
        assert asked.meant == [n == asked.name for n in asked.names]
        assert not asked.told
        assert {class_of_clip(drawn, cast, k) for k in asked.clips} == {asked.name}
        counts.add(len(asked.clips))
    assert {1, 2, 5} <= counts <= {1, 2, 3, 4, 5}


def test_a_name_is_told_instead_when_there_are_no_more_clips(band: Sounds) -> None:
    drawn = casting(band, query=1.0, examples=0.0)
    drawn.clips = 4
    told = [bool(asked.told) for _, _, asked in questions(drawn, casts=1)]
    assert told == [False] * 4 + [True] * 8


def test_one_of_two_of_a_class_is_meant_against_the_other() -> None:
    drawn = casting(noises(("guitar", "guitar")), against=1.0, remix=0.0)
    for cast, scene, asked in questions(drawn):
        assert asked.kind == "against"
        assert asked.name == "guitar"
        assert sum(asked.meant) == 1
        (mine,), (others) = asked.clips, asked.denied_clips
        own, other = cast.stem[scene][: len(asked.names)][np.argsort(asked.meant)[::-1]]
        assert cast.clip_stem[mine] == own
        assert [cast.clip_stem[k] for k in others] == [other]
        assert not asked.told
        assert not asked.denied


def test_a_class_is_meant_against_another_that_is_there() -> None:
    ways = set()
    drawn = casting(noises(BAND), against=1.0, remix=0.0)
    for cast, _, asked in questions(drawn):
        denied = {*asked.denied, *(class_of_clip(drawn, cast, k) for k in asked.denied_clips)}
        assert asked.kind == "against"
        assert len(denied) == 1
        assert denied <= set(asked.names) - {asked.name}
        assert asked.meant == [n == asked.name for n in asked.names]
        ways.add((bool(asked.told), bool(asked.denied)))
    assert len(ways) == 4


@pytest.mark.parametrize("remix", [0.0, 1.0])
def test_a_clip_of_a_source_is_not_of_the_stretch_that_is_in_the_scene(remix: float) -> None:
    """Counter-examples are always of a source that is in the scene."""
    sounds = noises(BAND, seconds=3.0)
    drawn = casting(sounds, against=1.0, remix=remix)
    count, seen = round(CLIP_S * RATE_HZ), 0
    for cast, scene, asked in questions(drawn, casts=12):
        for clip in asked.denied_clips:
            of = cast.stem[scene] == cast.clip_stem[clip]
            assert of.any()
            if of.sum() > 1:  # the same stem twice: the clip may be of the other stretch
                continue
            first, speed = cast.start[scene][of][0], cast.speed[scene][of][0]
            last = first + SECONDS * RATE_HZ * speed
            start = cast.clip_start[clip]
            assert 0 <= start <= sounds.length[cast.clip_stem[clip]] - count
            assert start + count <= first or start >= last
            seen += 1
    assert seen > 40


def test_casts_are_a_function_of_seed_and_step(band: Sounds) -> None:
    kinds = dict.fromkeys(NOTHING, 0.14)
    one, other = (casting(band, **kinds) for _ in range(2))
    one.draw(3, 4)  # what was drawn before says nothing
    first, same = one.draw(3, 5), other.draw(3, 5)
    for value in dataclasses.fields(Cast):
        assert np.array_equal(getattr(first, value.name), getattr(same, value.name)), value.name
    for changed in (one.draw(3, 6), one.draw(4, 5)):
        for name in ("stem", "start", "azimuth_deg", "gain", "meant", "positive"):
            assert not np.array_equal(getattr(first, name), getattr(changed, name)), name


def test_stretches_lie_within_their_stems_and_sources_of_one_song_begin_together(
    band: Sounds,
) -> None:
    for remix in (0.0, 1.0):
        cast = casting(band, scenes=12, remix=remix).draw(0, 0)
        for scene in range(12):
            there = cast.stem[scene] != NONE
            assert there.sum() >= 2
            length = np.array(band.length)[cast.stem[scene][there]]
            speed = cast.speed[scene][there]
            assert (cast.start[scene][there] + SECONDS * RATE_HZ * speed < length).all()
            assert ((speed <= FASTEST) & (speed >= 1 / FASTEST)).all()
            if not remix:
                assert len(set(cast.start[scene][there])) == len(set(speed)) == 1
                songs = [k for k, song in enumerate(band.songs) if cast.stem[scene][0] in song]
                assert set(cast.stem[scene][there]) <= set(band.songs[songs[0]])


def test_sounds_take_a_song_in_whole_or_not_at_all() -> None:
    rng = np.random.default_rng(0)
    song = [source(stem(rng, 0.5), "bass"), source(stem(rng, 0.5), "drums")]
    samples = song[0].samples
    sounds = Sounds(4 * samples - 1, "cpu")
    assert sounds.add(song)
    before = sounds.samples.clone()
    assert before[: 2 * samples].any(1).float().mean() > 0.99
    assert not sounds.add(song), "one sample is missing"
    assert sounds.used == 2 * samples
    assert sounds.songs == [[0, 1]]
    assert sounds.kinds == [0]
    assert sounds.classes == ["bass", "drums"]
    assert len(sounds.first) == len(sounds.length) == len(sounds.energy) == 2
    assert torch.equal(sounds.samples, before)
    assert sounds.add(song[:1]), "what is shorter still fits"


def test_voices_of_soundfonts_are_not_taken_in() -> None:
    made = stem(np.random.default_rng(0), 0.3)
    sounds = Sounds(10 * made.shape[1], "cpu")
    assert sounds.add([source(made, "bass"), source(made, "vocals", "GM.sf2")])
    assert sounds.classes == ["bass"]
    assert sounds.add([source(made, "vocals", "GM.sf2")])
    assert sounds.songs == [[0]]


def test_a_stem_is_stored_in_16_bits_with_its_mean_squares() -> None:
    made = stem(np.random.default_rng(0), 0.5)
    samples, energy = stored(source(made, "bass"))
    assert samples.dtype == np.int16
    heard = samples.T * (np.sqrt(2) / FULL_SCALE)
    assert np.allclose(heard, made[:2], atol=1e-4)
    assert len(energy) == made.shape[1] // BLOCK
    assert np.allclose(energy[1], np.square(made[:2, BLOCK : 2 * BLOCK]).sum(0).mean(), rtol=1e-4)


def test_songs_are_drawn_by_the_weight_of_their_kind() -> None:
    sounds = noises(*[("bass", "drums")] * 4, seconds=1.0, kinds=(0, 1, 1, 1))
    asking = Asking(**{**NOTHING, "remix": 0.0})  # type: ignore[arg-type]
    drawn = Casting(sounds, [3.0, 1.0], asking, 200, 1, SECONDS, clips=1)
    songs = drawn.draw(0, 0).stem[:, 0] // 2
    assert abs((songs == 0).mean() - 0.75) < 0.1
    assert set(songs) == {0, 1, 2, 3}


def test_stems_of_scenes_of_different_songs_are_drawn_by_the_weight_of_their_kind() -> None:
    sounds = noises(*[("bass", "drums")] * 4, seconds=1.0, kinds=(0, 1, 1, 1))
    asking = Asking(**{**NOTHING, "remix": 1.0})  # type: ignore[arg-type]
    cast = Casting(sounds, [3.0, 1.0], asking, 200, 1, SECONDS, clips=1).draw(0, 0)
    songs = cast.stem[cast.stem != NONE] // 2
    assert abs((songs == 0).mean() - 0.75) < 0.08


def test_songs_that_come_later_are_drawn_once_they_were_looked_at() -> None:
    sounds = Sounds(8 * RATE_HZ, "cpu")
    made = stem(np.random.default_rng(0), 1.0)
    sounds.add([source(made, "bass"), source(made, "drums")])
    drawn = casting(sounds, scenes=20, remix=0.0)
    sounds.add([source(made, "flute"), source(made, "oboe")])
    assert drawn.draw(0, 0).stem.max() == 1
    drawn.refresh()
    assert drawn.draw(0, 0).stem.max() == 3
    assert {"flute", "oboe"} <= set(drawn.names)
