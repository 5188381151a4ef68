"""Questions by timbre: what is asked, what the answer is, and which clips are heard."""

import numpy as np
import pytest
import torch

from models_onnx.data.classes import CLASSES
from models_onnx.data.sources import Pool, Source
from models_onnx.data.stems import Label
from models_onnx.training import fit_heard
from models_onnx.training.batches import Aims
from models_onnx.training.casting import Casting
from models_onnx.training.timbre_batches import Asker, training_batches
from models_onnx.training.timbre_drawing import SourcesByClass
from models_onnx.training.timbre_questions import FREE, KINDS, NUMBER, POPULAR, Asking
from models_onnx.training.unet_batches import batches_of
from tests.support.noises import noises
from tests.support.timbres import Songs, pool

NONE = dict.fromkeys(("direction", "query", "both", "against", "family", "absent"), 0.0)


def asker(**chances: float | bool) -> Asker:
    """An asker of one kind of question; by name if no chance is given."""
    asking = Asking(**{**NONE, "clips": 4, "clip_s": 0.5, **chances})
    return Asker(pool(), asking, Aims(change=0.0), scenes=2, targets=2, seconds=0.5)


def rows(batch) -> list[tuple[int, int]]:
    return [(s, t) for s in range(batch.mixture.shape[0]) for t in range(batch.targets.shape[1])]


def test_a_batch_is_a_function_of_the_seed_and_the_step() -> None:
    asking = Asking(clips=4, clip_s=0.5)
    draws = [training_batches(pool(), 5, 2, 2, 0.5, asking, Aims()) for _ in range(2)]
    one, same, other = draws[0](3), draws[1](3), draws[0](4)
    assert torch.equal(one.targets, same.targets)
    assert torch.equal(one.clips, same.clips)
    assert torch.equal(one.positive, same.positive)
    assert not torch.equal(one.mixture, other.mixture)


def test_a_question_by_name_says_the_class_and_leaves_the_direction_free() -> None:
    batch = asker().batch(0, 0)
    for s, t in rows(batch):
        assert KINDS[batch.kinds[s, t]] == "name"
        assert tuple(batch.conditions["direction"][s, t].tolist()) == FREE
        found = torch.nonzero(batch.positive[s, t])[:, 0].tolist()
        assert found == [len(batch.clips) + int(batch.asked[s, t])]
        assert not batch.negative[s, t].any()


def test_the_answer_to_a_name_is_all_of_its_class_and_nothing_else() -> None:
    made = asker(remix=1.0)
    rng = np.random.default_rng(1)
    for _ in range(5):
        staged = made.stage(rng)
        wanted = made.ask(rng, staged)
        own = [n == CLASSES[wanted.asked] for n in staged.scene.classes]
        assert np.array_equal(wanted.target, staged.scene.images[own].sum(0))


@pytest.mark.parametrize("even", [True, False])
def test_classes_are_asked_for_alike_or_the_popular_ones_more(
    even: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = asker(even=even)
    monkeypatch.setitem(POPULAR, "vocals", 1e6)  # as if people asked for voices alone
    stages = (made.stage(np.random.default_rng(seed)) for seed in range(50))
    staged = next(s for s in stages if {"vocals", "bass"} <= set(s.scene.classes))
    asked = [CLASSES[made.ask(np.random.default_rng(k), staged).asked] for k in range(60)]
    others = sum(name != "vocals" for name in asked)
    assert (others > 15) if even else (others == 0)


def test_what_is_absent_is_answered_by_silence() -> None:
    made = asker(absent=1.0)
    rng = np.random.default_rng(0)
    denied = 0
    for _ in range(12):
        staged = made.stage(rng)
        wanted = made.ask(rng, staged)
        if wanted.kind == "absent":
            denied += 1
            assert not wanted.target.any()
            assert CLASSES[wanted.asked] not in staged.scene.classes
        else:
            assert wanted.target.any()
    assert denied > 2


def test_direction_and_timbre_together_mean_the_class_that_stands_there() -> None:
    made = asker(both=1.0, remix=1.0)
    rng = np.random.default_rng(2)
    for _ in range(8):
        staged = made.stage(rng)
        wanted = made.ask(rng, staged)
        azimuth_deg, width_deg = wanted.direction
        assert width_deg < 90
        names, places = staged.scene.classes, staged.scene.azimuth_deg
        inside = [
            n == CLASSES[wanted.asked] and abs(a - azimuth_deg) <= width_deg / 2
            for n, a in zip(names, places, strict=True)
        ]
        assert np.allclose(wanted.target, staged.scene.images[inside].sum(0), atol=1e-6)


class Ramp:
    """One song whose samples say where in it they are, from 0 to 1."""

    samples = 200_000

    def __len__(self) -> int:
        return 1

    def sources(self, index: int) -> list[Source]:
        def read(start: int, count: int) -> np.ndarray:
            stem = np.zeros((3, count), np.float32)
            stem[0] = 0.1 + 0.8 * np.arange(start, start + count) / self.samples
            return stem

        labels = [Label("bass", "bass"), Label("vocals", "voice")]
        return [Source(label, self.samples, read) for label in labels]


def test_a_query_is_never_of_the_stretch_that_is_to_be_separated() -> None:
    asking = Asking(**{**NONE, "query": 1.0, "remix": 0.0, "clips": 0, "clip_s": 0.5,
                       "toned": 0.0, "examples": 0.0})  # fmt: skip
    made = Asker(Pool([Ramp()], [1.0]), asking, Aims(), 1, 1, seconds=0.5)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        staged = made.stage(rng)
        staged.scene.mixture[:] = 0.0  # nothing leaks into the clip
        clip = made._own_clip(rng, staged, 0)
        start, end = (
            staged.starts[0] / Ramp.samples,
            (staged.starts[0] + staged.length) / Ramp.samples,
        )
        gain = np.sqrt(np.square(clip[:, 0]).sum())  # of the direct sound, whatever its direction
        last = np.sqrt(np.square(clip[:, -1]).sum())
        first_at, last_at = (gain - 0.1) / 0.8, (last - 0.1) / 0.8
        if last_at > first_at:  # no polarity
            assert last_at <= start + 0.01 or first_at >= end - 0.01


def test_counter_examples_are_of_what_is_not_meant() -> None:
    made = asker(against=1.0, remix=1.0)
    rng = np.random.default_rng(3)
    kinds = set()
    for _ in range(30):
        staged = made.stage(rng)
        wanted = made.ask(rng, staged)
        own = [n == CLASSES[wanted.asked] for n in staged.scene.classes]
        whole = staged.scene.images[own].sum(0)
        for _, number in wanted.negative:
            alike = number == wanted.asked
            kinds.add(alike)
            assert CLASSES[number] in staged.scene.classes
            assert np.array_equal(wanted.target, whole) != alike
    assert kinds == {True, False}


def test_a_family_is_asked_for_by_all_of_its_names() -> None:
    batch = asker(family=1.0).batch(0, 0)
    for s, t in rows(batch):
        names = {int(k) - len(batch.clips) for k in torch.nonzero(batch.positive[s, t])[:, 0]}
        assert names in (
            {NUMBER["bass"]},
            {NUMBER["vocals"], NUMBER["choir"]},
            {NUMBER["guitar"], NUMBER["harp"]},
            {NUMBER["drums"], NUMBER["percussion"]},
        )


def test_voices_of_soundfonts_are_not_asked_for_as_voices() -> None:
    class Imitation(Ramp):
        def sources(self, index: int) -> list[Source]:
            bass, voice = super().sources(index)
            return [bass, Source(Label("vocals", "voice", "", "GM.sf2"), voice.samples, voice.read)]

    asking = Asking(**{**NONE, "clips": 1, "clip_s": 0.5})
    made = Asker(Pool([Imitation()], [1.0]), asking, Aims(), 2, 2, seconds=0.5)
    assert "vocals" not in made.sources.names
    batch = made.batch(0, 0)
    assert set(batch.asked.flatten().tolist()) == {NUMBER["bass"]}


@pytest.mark.parametrize("produced", [0.0, 1.0])
def test_the_mixture_is_the_sum_of_its_sources(produced: float) -> None:
    made = asker(produced=produced)
    staged = made.stage(np.random.default_rng(0))
    scene = staged.scene
    assert np.allclose(scene.images.sum(0), scene.mixture, atol=1e-5)
    assert len(staged.wholes) == len(scene.images)
    for whole, name in zip(staged.wholes, scene.classes, strict=True):
        assert whole.label.name == name


def backed(songs: dict[str, str], **chances: float) -> Asker:
    """An asker of songs that are accompaniments, perhaps with a voice, beside a band."""
    asking = Asking(clips=4, clip_s=0.5, **chances)
    mixed = pool(others=songs).collections + pool().collections
    return Asker(Pool(mixed, [1.0, 1.0]), asking, Aims(change=0.0), 2, 2, seconds=0.5)


def test_beside_an_accompaniment_the_voice_alone_is_asked_for() -> None:
    questioner = backed({"vocals": "vocals", "accompaniment": "guitar"}, remix=0.0)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        staged = questioner.stage(rng)
        if "accompaniment" not in staged.scene.classes:
            continue
        wanted = questioner.ask(rng, staged)
        seen.add(wanted.kind)
        if wanted.kind in ("name", "query", "both", "against"):
            assert CLASSES[wanted.asked] == "vocals"
            assert all(number != NUMBER["other"] for _, number in wanted.negative)
    assert {"name", "query", "both"} <= seen
    assert "absent" not in seen, "the voice is there, and of all else nobody knows"


def test_an_accompaniment_alone_is_asked_for_a_voice_that_is_not_there() -> None:
    questioner = backed({"accompaniment": "guitar"}, remix=1.0)
    rng = np.random.default_rng(1)
    asked = set()
    for _ in range(40):
        staged = questioner.stage(rng)
        if set(staged.scene.classes) == {"accompaniment"}:
            wanted = questioner.ask(rng, staged)
            asked.add((wanted.kind, CLASSES[wanted.asked]))
            assert not wanted.target.any()
    assert asked == {("absent", "vocals")}


def test_batches_have_classes_only_of_what_can_be_named() -> None:
    questioner = backed({"vocals": "vocals", "accompaniment": "guitar"})
    assert "accompaniment" not in questioner.sources.names
    assert questioner.sources.backed == 0.5
    batch = questioner.batch(0, 0)
    assert int(batch.classes.max()) < len(CLASSES)


def test_unets_and_the_classifier_of_what_is_heard_meet_no_accompaniment() -> None:
    songs = pool(others={"vocals": "vocals", "accompaniment": "guitar"})
    shown = batches_of("query", songs, 0, 2, 2, 0.5)
    assert not shown.func.__self__.sources.places["accompaniment"]
    heard = fit_heard.song_of_classes(np.random.default_rng(0), list(songs.collections))
    assert [source.label.name for source in heard] == ["vocals"]


def test_pools_without_accompaniments_are_drawn_as_ever() -> None:
    assert asker().sources.backed == 0


def test_sources_of_different_songs_come_from_collections_by_weight_as_songs_do() -> None:
    many, few = (dict.fromkeys((name, "drums"), "drums") for name in ("bass", "vocals"))
    songs = Pool([Songs(30, 0.5, many), Songs(3, 0.5, few)], [0.5, 0.5])
    sources, rng = SourcesByClass(songs), np.random.default_rng(0)
    chances = dict.fromkeys((0, 1), 0.0)
    for (collection, _, _), chance in zip(
        sources.places["drums"], sources.chances["drums"], strict=True
    ):
        chances[collection] += chance
    assert chances == pytest.approx({0: 0.5, 1: 0.5})
    drawn = [songs.draw(rng)[0].label.name for _ in range(400)]
    assert drawn.count("bass") / 400 == pytest.approx(0.5, abs=0.1)
    kinds = (*[0] * 30, *[1] * 3)
    sounds = noises(*[("bass", "drums")] * 30, *[("vocals", "drums")] * 3, seconds=0.2, kinds=kinds)
    asking = Asking(**{**NONE, "remix": 1.0})
    cast = Casting(sounds, [0.5, 0.5], asking, 300, 1, 0.1, clips=1).draw(0, 0)
    stems = [k for k in cast.stem[cast.stem >= 0] if sounds.classes[k] == "drums"]
    assert np.mean(np.array(stems) >= 2 * 30) == pytest.approx(0.5, abs=0.1)
