"""The spatial image is measured on sounds whose image is known."""

import numpy as np
import pytest

from models_onnx.evaluation import spatial
from tests.support.signals import noise, panned

SAMPLES = 3 * spatial.RATE_HZ


@pytest.fixture(scope="module")
def mono() -> np.ndarray:
    return noise(1, SAMPLES)[0]


@pytest.fixture(scope="module")
def diffuse() -> np.ndarray:
    return noise(2, SAMPLES, seed=1)


def test_the_sound_itself_has_no_distortion_and_its_own_coherence(diffuse) -> None:
    found = spatial.distortion(diffuse, diffuse)
    assert found.ssr_db > 100
    assert found.srr_db > 100
    assert spatial.coherence_error(diffuse, diffuse) == 0


@pytest.mark.parametrize("off_deg", [1.0, 4.0, -20.0])
def test_a_point_in_another_direction_is_a_spatial_distortion_alone(mono, off_deg: float) -> None:
    found = spatial.distortion(panned(mono, 10 + off_deg), panned(mono, 10))
    chord = 2 * np.sin(np.deg2rad(abs(off_deg)) / 2)  # between unit vectors
    assert found.ssr_db == pytest.approx(-20 * np.log10(chord), abs=0.01)
    assert found.srr_db > 100


def test_another_sound_is_a_residual_distortion_alone(diffuse) -> None:
    other = 0.1 * noise(2, SAMPLES, seed=2)
    found = spatial.distortion(diffuse + other, diffuse)
    assert found.srr_db == pytest.approx(20, abs=0.1)
    assert found.ssr_db > 50


def test_sides_that_change_places_are_a_spatial_distortion(diffuse) -> None:
    found = spatial.distortion(diffuse[::-1], diffuse)
    assert found.ssr_db == pytest.approx(-3.01, abs=0.1)  # ‖R − L‖² is 2 of sides of power 1
    assert found.srr_db > 30


def test_a_wrong_level_is_a_spatial_distortion_as_published(diffuse) -> None:
    found = spatial.distortion(0.5 * diffuse, diffuse)
    assert found.ssr_db == pytest.approx(6.02, abs=0.01)
    assert found.srr_db > 100


@pytest.mark.parametrize("delay", [20, -20])
def test_a_side_that_comes_later_is_found_and_is_a_spatial_distortion(diffuse, delay: int) -> None:
    late = np.stack([diffuse[0], np.roll(diffuse[1], delay)])
    found = spatial.distortion(late, diffuse)
    assert found.ssr_db == pytest.approx(0, abs=0.1)  # white noise and its delay: 2 of 2
    assert found.srr_db > 25


def test_a_hard_panned_point_has_a_distortion_of_what_leaks_to_the_other_side(mono) -> None:
    leaking = np.stack([mono, 0.1 * mono])
    found = spatial.distortion(leaking, np.stack([mono, 0 * mono]))
    assert found.ssr_db == pytest.approx(20, abs=0.01)
    assert found.srr_db > 100


def test_only_frames_in_which_the_reference_sounds_count(diffuse) -> None:
    rests = np.concatenate([diffuse, 0 * diffuse], axis=1)
    leak = 0.1 * noise(2, SAMPLES, seed=2)
    wrong = np.concatenate([diffuse, np.zeros((2, spatial.RATE_HZ)), leak[:, spatial.RATE_HZ :]], 1)
    assert spatial.distortion(wrong, rests).srr_db > 60
    silence = np.zeros((2, SAMPLES))
    assert np.isnan(spatial.distortion(diffuse, silence)).all()
    assert np.isnan(spatial.coherence_error(diffuse, silence))


def test_a_sound_shorter_than_a_frame_is_measured_whole(mono) -> None:
    found = spatial.distortion(panned(mono[:9000], 14), panned(mono[:9000], 10))
    assert found.ssr_db == pytest.approx(-20 * np.log10(2 * np.sin(np.deg2rad(2))), abs=0.01)


def test_coherence_is_lost_by_as_much_as_is_not_common_to_both_sides(mono, diffuse) -> None:
    point = panned(mono, 0)
    assert spatial.coherence_error(0.3 * panned(mono, 25), point) == pytest.approx(0, abs=1e-6)
    half = (point + diffuse / np.sqrt(2)) / np.sqrt(2)  # as much common as own power
    assert spatial.coherence_error(half, point) == pytest.approx(0.5, abs=0.05)
    assert spatial.coherence_error(point, half) == pytest.approx(0.5, abs=0.05)


def test_what_is_on_one_side_alone_has_no_coherence(mono, diffuse) -> None:
    assert np.isnan(spatial.coherence_error(diffuse, np.stack([mono, 0 * mono])))
