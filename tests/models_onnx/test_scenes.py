"""Scenes of the evaluation: their images, places and levels, and which sources are judged."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from models_onnx.data.collections import open_collection
from models_onnx.data.scenes import EvaluationScene, evaluation_scenes
from models_onnx.data.stems import image, principal_deg
from realtime import StemsteerError
from tests.support.tones import RATE_HZ, opened, tones, write_songs


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


def test_scenes_are_sums_of_their_images_in_their_directions(songs: Path) -> None:
    for scene in evaluation_scenes(opened(songs), 3, 0.5, keep_width=False):
        np.testing.assert_allclose(scene.images.sum(0), scene.mixture, atol=1e-6)
        theta = np.deg2rad(scene.azimuth_deg + 45)
        for placed, angle in zip(scene.images, theta, strict=True):
            across = placed[1] * np.cos(angle) - placed[0] * np.sin(angle)
            assert np.abs(across).max() < 1e-6
        assert not any("mix" in name for name in scene.names)
    names = {n for s in evaluation_scenes(opened(songs), 4, 0.5, keep_width=True) for n in s.names}
    assert names == {
        "first/stem_0",
        "first/stem_1",
        "first/stem_2",
        "second/stem_0",
        "second/stem_1",
    }


def test_the_same_seed_gives_the_same_scenes(songs: Path) -> None:
    one, other = (next(evaluation_scenes(opened(songs), 1, 0.5, keep_width=True)) for _ in range(2))
    assert np.array_equal(one.mixture, other.mixture)
    third = next(evaluation_scenes(opened(songs), 1, 0.5, keep_width=True, seed=1))
    assert not np.array_equal(one.mixture, third.mixture)


def test_stems_of_another_rate_are_resampled_and_keep_their_levels(tmp_path: Path) -> None:
    with pytest.raises(StemsteerError, match="holds no songs"):
        opened(tmp_path)
    time_s = np.arange(48_000) / 48_000
    for name, level in (("a", 0.01), ("b", 0.5)):
        sound = np.stack([level * np.sin(2 * np.pi * 440 * time_s), 0 * time_s], 1)
        soundfile.write(tmp_path / f"{name}.wav", sound, 48_000, subtype="FLOAT")
    sources = open_collection(tmp_path, as_recorded=True, centred=False).sources(0)
    assert [source.samples for source in sources] == [RATE_HZ, RATE_HZ]
    assert [source.label.title for source in sources] == [
        f"{tmp_path.name}/a",
        f"{tmp_path.name}/b",
    ]
    placeable = opened(tmp_path).sources(0)
    for source, central, level in zip(sources, placeable, (0.01, 0.5), strict=True):
        left, right = image(source.read(1000, 20_000), 0.0)
        expected = level * np.sin(2 * np.pi * 440 * (1000 + np.arange(20_000)) / RATE_HZ)
        np.testing.assert_allclose(left, expected, atol=2e-3 * level)
        assert np.abs(right).max() < 1e-6  # neither turned to the centre nor made louder
        sides = image(central.read(1000, 20_000), 0.0)
        np.testing.assert_allclose(sides, [expected / np.sqrt(2)] * 2, atol=3e-3 * level)


def write_panned(folder: Path) -> Path:
    """Write a song of two dry stems that stand to one side in their files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, azimuth_deg in (("bass", -30.0), ("piano", 25.0)):
        stem = np.zeros((3, 2 * RATE_HZ), np.float32)
        stem[0] = 0.1 * tones(rng, 2 * RATE_HZ)
        soundfile.write(folder / f"{name}.wav", image(stem, azimuth_deg).T, RATE_HZ)
    return folder


def test_stems_that_are_panned_in_their_files_stand_where_a_scene_says(tmp_path: Path) -> None:
    songs = opened(write_panned(tmp_path / "song"))
    for scene in evaluation_scenes(songs, 3, 1.0, keep_width=True):
        found = [principal_deg(placed) for placed in scene.images]
        np.testing.assert_allclose(found, scene.azimuth_deg, atol=1.0)


def test_of_a_data_set_in_two_parts_the_test_part_is_judged(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("bass", "piano"):
            (tmp_path / part / part).mkdir(parents=True, exist_ok=True)
            soundfile.write(tmp_path / part / part / f"{name}.wav", np.ones(9000), RATE_HZ)
    titles = {source.label.title for source in opened(tmp_path).sources(0)}
    assert titles == {"test/bass", "test/piano"}


def test_only_audible_sources_are_judged_and_the_nearest_is_found() -> None:
    images = np.ones((3, 2, 100), np.float32)
    images[1] *= 0.01
    scene = EvaluationScene(images.sum(0), images, np.array([-40.0, -30.0, 20.0]), ("a", "b", "c"))
    assert scene.targets() == [0, 2]
    assert [scene.nearest_deg(k) for k in range(3)] == [10, 10, 50]


def test_a_source_that_is_alone_is_not_judged() -> None:
    images = np.zeros((3, 2, 500), np.float32)
    images[0] = 0.5
    alone = EvaluationScene(images.sum(0), images, np.array([0.0, 10.0, 20.0]), ("a", "b", "c"))
    assert alone.targets() == []
    images[1] = 0.2
    assert EvaluationScene(images.sum(0), images, alone.azimuth_deg, alone.names).targets() == [
        0,
        1,
    ]
