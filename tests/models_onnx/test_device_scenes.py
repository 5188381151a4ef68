"""Scenes that are mixed on a device, as they are elsewhere."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from models_onnx.data import production
from models_onnx.data.production import STEP
from models_onnx.data.stems import RATE_HZ, image, resample
from models_onnx.data.variation import POINTS_HZ, TONE_DB, played, toned
from models_onnx.training.casts import NONE, Cast
from models_onnx.training.device_scenes import DeviceScenes
from models_onnx.training.device_sounds import FULL_SCALE, Sounds
from tests.support.noises import (
    CLIP_S,
    NOTHING,
    SECONDS,
    casting,
    scenes_of,
    source,
    stem,
    three_songs,
)


@pytest.fixture(scope="module")
def band() -> Sounds:
    return three_songs()


@pytest.mark.parametrize("speed", [1.0, 0.83, 1.21])
def test_a_stretch_is_played_faster_as_production_plays_it(speed: float) -> None:
    made = stem(np.random.default_rng(1), 1.0)
    sounds = Sounds(3 * made.shape[1], "cpu")
    sounds.add([source(stem(np.random.default_rng(2), 0.2), "drums"), source(made, "bass")])
    count, starts = 9000, np.array([0, 20_000])
    found = scenes_of(sounds)._cut(np.array([1, 1]), starts, np.full(2, speed), count)
    for mine, start in zip(found.numpy(), starts, strict=True):
        wanted = resample(made[:2, start:], count, speed)
        assert np.allclose(mine[:, 2:], wanted[:, 2:], atol=2e-4)  # there is a sample before
        assert np.allclose(mine[:, 0], made[:2, start], atol=1e-4)


@pytest.mark.parametrize("speed", [1.0, 0.9, 1.2])
def test_behind_the_end_of_a_stem_is_silence_and_not_the_next_stem(speed: float) -> None:
    rng = np.random.default_rng(1)
    made = [stem(rng, 0.3), stem(rng, 0.3)]
    sounds = Sounds(4 * made[0].shape[1], "cpu")
    sounds.add([source(made[0], "drums"), source(made[1], "bass")])
    start, count = 4000, 20_000
    stems, starts = np.array([0, 1, NONE]), np.array([start, start, 0])
    found = scenes_of(sounds)._cut(stems, starts, np.full(3, speed), count).numpy()
    for mine, whole in zip(found, made, strict=False):
        wanted = played(whole[:2, start:], count, speed)
        there = int((whole.shape[1] - start - 4) / speed)
        assert np.allclose(mine[:, 2:there], wanted[:, 2:there], atol=2e-4)
        assert not mine[:, there + 8 :].any()
    assert not found[2].any()


def test_what_lies_before_a_stem_in_memory_is_not_heard_at_its_beginning() -> None:
    rng = np.random.default_rng(1)
    before, made = np.ones((3, 5000), np.float32), stem(rng, 0.2)
    found = []
    for song in ([made], [before, made]):
        sounds = Sounds(20_000, "cpu")
        sounds.add([source(part, "bass") for part in song])
        last = np.array([len(song) - 1])
        found.append(scenes_of(sounds)._cut(last, np.array([0]), np.array([0.8]), 500))
    assert torch.equal(*found)
    assert found[0].abs().max() > 0.1


def test_sources_are_placed_as_their_images_are(band: Sounds) -> None:
    drawn = casting(band, remix=1.0, toned=0.0, produced=0.5)
    scenes, cast = scenes_of(band), drawn.draw(0, 1)
    placed = scenes._placed(cast).numpy()
    for scene, k in np.ndindex(cast.stem.shape):
        if cast.stem[scene, k] == NONE:
            assert not placed[scene, k].any()
            continue
        number = cast.stem[scene, k]
        first = band.first[number] + cast.start[scene, k]
        whole = band.samples[first : first + 40_000].numpy().T * (np.sqrt(2) / FULL_SCALE)
        heard = played(np.stack([*whole, -whole[1]]), scenes.samples, cast.speed[scene, k])
        wet = cast.wet[scene, k] * cast.mirrored[scene, k]
        wanted = cast.gain[scene, k] * image(heard, float(cast.azimuth_deg[scene, k]), float(wet))
        assert np.allclose(placed[scene, k, :, 2:], wanted[:, 2:], atol=1e-4)


class Given:
    """Stands for a generator: its numbers are those that it is given, one after the other."""

    def __init__(self, *numbers: object) -> None:
        self._numbers = list(numbers)

    def _next(self, *_: object) -> object:
        return self._numbers.pop(0)

    uniform = random = normal = _next

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.random.default_rng(0).standard_normal(shape)


def test_the_tone_is_varied_as_elsewhere(band: Sounds) -> None:
    gains_db = np.random.default_rng(0).normal(0.0, TONE_DB, len(POINTS_HZ)).clip(-9, 9)
    gains_db -= gains_db.mean()
    made = stem(np.random.default_rng(1), SECONDS)[:2]
    wanted = toned(Given(gains_db.copy()), made)  # type: ignore[arg-type]
    rows = np.stack([gains_db, np.zeros(len(POINTS_HZ))]).astype(np.float32)
    sound = torch.from_numpy(np.stack([made, made]))
    found = scenes_of(band)._toned(sound, rows).numpy()
    inside = slice(2000, -2000)  # at both ends sounds of the other end come in
    assert np.allclose(found[0][:, inside], wanted[:, inside], atol=2e-3)
    assert np.allclose(found[1], made, atol=1e-5)


def bursts(seed: int, samples: int) -> np.ndarray:
    """Stereo noise that rises and falls, and is soft at both ends: (2, samples)."""
    rng = np.random.default_rng(seed)
    loudness = np.repeat(10 ** rng.uniform(-1.5, 0.0, samples // 1500 + 1), 1500)[:samples]
    loudness *= np.sin(np.pi * np.linspace(0.0, 1.0, samples)) ** 2
    return (0.3 * loudness * rng.standard_normal((2, samples))).astype(np.float32)


def db(gain: np.ndarray) -> np.ndarray:
    return 20 * np.log10(gain)


SQUEEZES = ((0.005, -6.0, 5.0, 6.0), (0.08, 0.0, 1.5, 0.5), (0.03, 4.0, 3.0, 3.0))
"""Seconds, threshold in dB and ratio of a compressor, and how far a limiter goes in dB."""


def test_the_compressor_is_that_of_productions(band: Sounds) -> None:
    scenes = scenes_of(band)
    mixtures = [bursts(seed, scenes.samples) for seed in range(3)]
    wanted = [
        db(production._compressor(Given(*about[:3]), mixture))  # type: ignore[arg-type]
        for about, mixture in zip(SQUEEZES, mixtures, strict=True)
    ]
    steps = -(-scenes.samples // STEP)
    padded = np.zeros((3, 2, steps * STEP), np.float32)
    padded[..., : scenes.samples] = mixtures
    power = np.square(padded).reshape(3, 2, steps, STEP).mean((1, 3))
    settings = [(seconds, above, 1 - 1 / ratio, 0.0) for seconds, above, ratio, _ in SQUEEZES]
    gain_db = scenes._compressor(torch.from_numpy(power), torch.tensor(settings))
    found = db(scenes._over(gain_db).numpy())
    assert np.abs(found - wanted).max() < 0.1
    assert np.ptp(wanted, axis=1).min() > 1.0, "it has to do something"


def test_the_limiter_is_that_of_productions(band: Sounds) -> None:
    scenes = scenes_of(band)
    mixtures = [bursts(seed, scenes.samples) for seed in range(3)]
    below_db = [about[3] for about in SQUEEZES]
    wanted = [
        db(production._limiter(Given(below), mixture))  # type: ignore[arg-type]
        for below, mixture in zip(below_db, mixtures, strict=True)
    ]
    steps = -(-scenes.samples // STEP)
    padded = np.zeros((3, steps * STEP), np.float32)
    padded[:, : scenes.samples] = np.abs(mixtures).max(1)
    peaks = torch.from_numpy(padded.reshape(3, steps, STEP).max(-1))
    found = db(scenes._over(scenes._limiter(peaks, torch.tensor(below_db))).numpy())
    assert np.abs(found - wanted).max() < 0.1
    assert np.ptp(wanted, axis=1).min() > 0.4, "it has to do something"


def finishing(sounds: Sounds, about: tuple[float, ...] | None, sources: int) -> Cast:
    """A cast of one scene that goes through compressor and limiter, or through neither."""
    cast = casting(sounds, scenes=1, produced=0.0).draw(0, 0)
    assert not cast.squeeze.any()
    assert not cast.rooms.any()
    if about is not None:
        seconds, above, ratio, below = about
        cast.squeeze[0] = seconds, above, 1 - 1 / ratio, below
    cut = {name: getattr(cast, name)[:, :sources] for name in ("stem", "sends")}
    return dataclasses.replace(cast, **cut)


def test_the_bus_is_that_of_productions(band: Sounds) -> None:
    scenes, about = scenes_of(band), SQUEEZES[0]
    images = np.stack([bursts(seed, scenes.samples) for seed in range(3)])
    seconds, above, ratio, below = about
    rng = Given(1.0, 0.0, seconds, above, ratio, 0.0, below)  # no reverb, but all else
    wanted = production.finish(rng, images)  # type: ignore[arg-type]
    given = torch.from_numpy(images)[None]
    found = scenes._finished(given, finishing(band, about, 3))[0].numpy()
    loud = np.abs(wanted) > 1e-3
    assert np.abs(db(np.abs(found[loud] / wanted[loud]))).max() < 0.1
    assert np.abs(db(np.abs(found[loud] / images[loud]))).max() > 3.0
    untouched = scenes._finished(given, finishing(band, None, 3))
    assert torch.allclose(untouched, given, atol=1e-5)


def test_a_room_is_as_loud_as_that_of_productions(band: Sounds) -> None:
    scenes = DeviceScenes(band, 1.0, CLIP_S)
    images = np.random.default_rng(0).standard_normal((2, 2, scenes.samples)).astype(np.float32)
    sends_db = np.array([-12.0, -20.0])
    rng = Given(0.3, 0.5, 0.01, sends_db)
    wanted = production._reverb(rng, images) - images  # type: ignore[arg-type]
    torch.manual_seed(0)
    rooms = torch.tensor([[0.3, 0.5, 0.01, 0.7]])
    sends = torch.from_numpy(10 ** (sends_db / 20)).float()[None]
    found = scenes._wet(torch.from_numpy(images).sum(1)[None], rooms, sends, 0)[0].numpy()
    late = slice(scenes.samples // 2, None)
    for k in range(2):
        levels = [10 * np.log10(np.square(wet[k][:, late]).mean()) for wet in (found, wanted)]
        assert abs(levels[0] - levels[1]) < 1.0


def test_a_room_answers_after_a_silence_and_falls_silent(band: Sounds) -> None:
    scenes = DeviceScenes(band, 1.0, CLIP_S)
    click = torch.zeros(2, 1, scenes.samples)
    click[:, 0, 5000] = 1.0
    torch.manual_seed(0)
    rooms = torch.tensor([[0.3, 0.5, 0.02, 0.7], [0.0, 0.0, 0.0, 0.0]])
    room, none = scenes._wet(click, rooms, torch.tensor([[0.5], [0.0]]), 0)[:, 0].square().sum(1)
    first, last = 5000 + int(0.02 * RATE_HZ), 5000 + int(0.3 * RATE_HZ)
    assert room[first : first + 2000].sum() > 0.1 * room.sum()
    assert room[: first - 100].sum() + room[last + 100 :].sum() < 1e-6 * room.sum()
    assert not none.any()


@pytest.mark.parametrize("produced", [0.0, 1.0])
def test_the_mixture_is_the_sum_of_all_and_targets_of_what_is_meant(
    band: Sounds, produced: float
) -> None:
    chances = dict.fromkeys(NOTHING, 0.14)
    drawn = casting(band, produced=produced, **chances)
    scenes, cast = scenes_of(band), drawn.draw(0, 2)
    torch.manual_seed(0)
    batch = scenes.batch(cast)
    torch.manual_seed(0)  # for the noise of the rooms
    images = scenes._finished(scenes._placed(cast), cast)
    assert batch.mixture.shape == (4, 2, scenes.samples)
    assert torch.allclose(batch.mixture, images.sum(1), atol=1e-6)
    for scene, question in np.ndindex(cast.kinds.shape):
        meant = np.flatnonzero(cast.meant[scene, question])
        wanted = images[scene, meant].sum(0)
        assert torch.allclose(batch.targets[scene, question], wanted, atol=1e-5)
    assert batch.mixture.isfinite().all()
    assert batch.mixture.square().mean((1, 2)).min() > 1e-5
    assert np.array_equal(batch.kinds.numpy(), cast.kinds)
    assert np.array_equal(batch.asked.numpy(), cast.asked)
    assert np.array_equal(batch.positive.numpy(), cast.positive)
    assert np.array_equal(batch.negative.numpy(), cast.negative)
    assert np.array_equal(batch.conditions["direction"].numpy(), cast.direction)


def test_clips_are_of_their_stems_and_mixtures_leak_into_some(band: Sounds) -> None:
    drawn = casting(band, query=1.0, toned=0.0, produced=0.0)
    scenes, cast = scenes_of(band), drawn.draw(0, 3)
    batch = scenes.batch(cast)
    leaking = 0
    for k, clip in enumerate(batch.clips.numpy()):
        if cast.clip_stem[k] == NONE:
            assert not clip.any()
            continue
        first = band.first[cast.clip_stem[k]] + cast.clip_start[k]
        heard = band.samples[first : first + scenes.clip_samples].numpy().T
        heard = heard * (np.sqrt(2) / FULL_SCALE)
        placed = np.stack([*heard, -heard[1]])
        wanted = image(placed, float(cast.clip_azimuth_deg[k]), float(cast.clip_wet[k]))
        scene, level_db = int(cast.clip_leak[k, 0]), float(cast.clip_leak[k, 1])
        mixture = batch.mixture[scene, :, : scenes.clip_samples].numpy()
        ratio = np.sqrt(np.square(clip - wanted).mean() / np.square(wanted).mean())
        if level_db > -100:
            leaking += 1
            assert abs(db(ratio) - level_db) < 0.1
            added = ((clip - wanted) * mixture).sum() / (
                np.linalg.norm(clip - wanted) * np.linalg.norm(mixture)
            )
            assert added > 0.99
        else:
            assert np.allclose(clip, wanted, atol=1e-5)
    assert leaking > 2
