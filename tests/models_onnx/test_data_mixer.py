"""The mixer and the stored form of a stem, on sources whose truth is known."""

import numpy as np
import pytest

from models_onnx.data import Mixing, Pool, Source, draw
from models_onnx.data.stems import Label, image, normalise, split

RATE_HZ = 44_100
PLAIN = Mixing(gain_db=(0, 0), wet=(1, 1), dry=0, rate=0, silent=0, near=0, centre=0, peak=10)


def source_of(stem: np.ndarray, name: str = "piano") -> Source:
    return Source(Label(name, "keyboard"), stem.shape[1], lambda s, n: stem[:, s : s + n])


def noise(seed: int, seconds: float = 3.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.1, (3, round(seconds * RATE_HZ))).astype(np.float32)


def point(seed: int) -> np.ndarray:
    stem = noise(seed)
    stem[1:] = 0
    return stem


def test_a_split_stereo_sound_panned_to_the_centre_is_the_sound_again():
    stereo = noise(1)[:2]
    np.testing.assert_allclose(image(split(stereo), 0.0), stereo, atol=1e-6)


def test_a_point_hard_left_is_silent_on_the_right():
    placed = image(point(2), -45.0)
    assert np.abs(placed[1]).max() < 1e-6
    np.testing.assert_allclose(placed[0], point(2)[0], atol=1e-6)


def test_the_mixture_is_the_sum_of_the_images_and_stays_below_its_peak():
    loud = [source_of(noise(k) * 8) for k in range(5)]
    for seed in range(20):
        scene = draw(np.random.default_rng(seed), loud, 0.5)
        np.testing.assert_allclose(scene.mixture, scene.images.sum(0), atol=1e-6)
        assert np.abs(scene.mixture).max() <= 0.95 + 1e-6


def test_the_same_seed_gives_the_same_scene():
    sources = [source_of(noise(k)) for k in range(4)]
    one, two = (draw(np.random.default_rng(11), sources, 1.0) for _ in range(2))
    assert np.array_equal(one.images, two.images)
    assert np.array_equal(one.azimuth_deg, two.azimuth_deg)


def test_a_point_source_stands_where_the_scene_says_and_has_no_width():
    for seed in range(10):
        scene = draw(np.random.default_rng(seed), [source_of(point(seed))], 0.5, mixing=PLAIN)
        left, right = np.sqrt((scene.images[0] ** 2).mean(1))
        assert np.degrees(np.arctan2(right, left)) - 45 == pytest.approx(
            scene.azimuth_deg[0], abs=0.01
        )
        assert scene.width_deg[0] < 0.1


def test_a_source_wider_than_its_direct_sound_is_called_wide():
    stem = split(noise(3)[:2])
    central = Mixing(**{**vars(PLAIN), "centre": 1.0})
    scene = draw(np.random.default_rng(0), [source_of(stem)], 0.5, mixing=central)
    assert 89 < scene.width_deg[0] <= 90


def test_a_balanced_source_hard_left_is_silent_on_the_right():
    mixing = Mixing(**{**vars(PLAIN), "balance": 1.0})
    stem = split(noise(8)[:2])
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scene = draw(rng, [source_of(stem)], 0.2, mixing=mixing)
        quiet, loud = sorted((scene.images[0] ** 2).mean(1))
        tangent = np.tan(np.radians(45 - abs(scene.azimuth_deg[0])))
        assert quiet / loud == pytest.approx(tangent**2, rel=0.15, abs=0.02)


def test_activity_marks_the_hops_in_which_a_source_sounds():
    stem = point(4)
    stem[:, RATE_HZ:] *= 1e-3  # 60 dB below the level at which stems are stored
    mixing = Mixing(**{**vars(PLAIN), "sources": (1, 1)})
    scene = draw(np.random.default_rng(1), [source_of(stem)], 3.0, mixing=mixing, hop=441)
    assert scene.activity.shape == (1, 300)
    assert scene.activity[0, :100].all()
    assert not scene.activity[0, 101:].any()


def test_a_silent_source_has_no_sound_and_no_activity():
    mixing = Mixing(silent=1.0)
    scene = draw(np.random.default_rng(2), [source_of(noise(5))], 1.0, mixing=mixing)
    assert not scene.images.any()
    assert not scene.activity.any()


def test_a_changed_rate_moves_the_pitch_by_at_most_nine_percent():
    tone = np.zeros((3, 4 * RATE_HZ), np.float32)
    tone[0] = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(4 * RATE_HZ) / RATE_HZ)
    heard = set()
    for seed in range(12):
        scene = draw(np.random.default_rng(seed), [source_of(tone)], 1.0)
        spectrum = np.abs(np.fft.rfft(scene.mixture.sum(0)))
        heard.add(int(spectrum.argmax()) if spectrum.max() > 1 else 1000)
    assert all(905 <= frequency_hz <= 1095 for frequency_hz in heard)
    assert len(heard) > 3


def test_a_source_that_ends_early_is_followed_by_silence():
    scene = draw(np.random.default_rng(3), [source_of(noise(6, 0.5))], 2.0, mixing=PLAIN)
    assert scene.images[0, :, : RATE_HZ // 4].any()
    assert not scene.images[0, :, RATE_HZ:].any()


def test_no_sources_are_refused():
    with pytest.raises(ValueError, match="no sources"):
        draw(np.random.default_rng(0), [], 1.0)


def test_a_normalised_stem_has_the_reference_level_and_never_clips():
    quiet = normalise(noise(7) * 0.001)
    assert np.sqrt((image(quiet, 0.0) ** 2).mean()) == pytest.approx(0.1, rel=0.02)
    click = np.zeros((3, 4096), np.float32)
    click[0, 7] = 1e-3
    assert np.abs(normalise(click)).max() <= 0.97
    assert not normalise(np.zeros((3, 100), np.float32)).any()


class Songs:
    def __init__(self, name: str, count: int) -> None:
        self.name, self.count = name, count

    def __len__(self) -> int:
        return self.count

    def sources(self, index: int) -> list[Source]:
        return [source_of(noise(index, 0.1), self.name)]


def test_a_pool_draws_from_its_collections_by_weight():
    pool = Pool([Songs("piano", 3), Songs("flute", 1), Songs("harp", 1)], [3, 1, 0])
    rng = np.random.default_rng(5)
    names = [pool.draw(rng)[0].label.name for _ in range(400)]
    assert 0.68 < names.count("piano") / 400 < 0.82
    assert "harp" not in names


@pytest.mark.parametrize("weights", [[], [1, 2], [0], [-1]])
def test_a_pool_refuses_weights_that_do_not_fit(weights):
    with pytest.raises(ValueError, match="weight"):
        Pool([Songs("piano", 1)], weights)
