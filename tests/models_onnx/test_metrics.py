"""The measures have the values that are known for simple cases."""

import numpy as np
import pytest

from models_onnx.evaluation import metrics


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_si_sdr_is_the_level_of_the_noise_whatever_the_scale() -> None:
    reference, error = noise(2, 50_000), noise(2, 50_000, seed=1)
    error -= reference * np.vdot(reference, error) / np.vdot(reference, reference)
    error *= 0.1 * np.linalg.norm(reference) / np.linalg.norm(error)
    estimate = reference + error
    assert metrics.si_sdr_db(estimate, reference) == pytest.approx(20, abs=0.01)
    assert metrics.si_sdr_db(-3 * estimate, reference) == pytest.approx(20, abs=0.01)


def test_sdr_of_a_silent_reference_is_no_number() -> None:
    silent = np.zeros((2, 100), np.float32)
    assert np.isnan(metrics.si_sdr_db(noise(2, 100), silent))
    assert np.isnan(metrics.sd_sdr_db(noise(2, 100), silent))


def test_a_silent_estimate_is_the_worst_and_counts_in_a_mean() -> None:
    reference = noise(2, 100)
    for measure in (metrics.si_sdr_db, metrics.sd_sdr_db):
        silent_db = measure(0 * reference, reference)
        assert silent_db == -30
        assert metrics.interval(np.array([silent_db, 10.0])).value == -10
        assert measure(noise(2, 100, seed=1) - 1e-4 * reference, reference) >= silent_db


def test_sd_sdr_pays_for_a_wrong_level_and_si_sdr_does_not() -> None:
    reference = noise(2, 9000)
    assert metrics.sd_sdr_db(0.5 * reference, reference) == pytest.approx(0, abs=0.01)
    assert metrics.si_sdr_db(0.5 * reference, reference) > 60


def test_bss_eval_tells_interference_from_artefacts() -> None:
    references = noise(2, 2, 20_000)
    mixed = references.copy()
    mixed[0] += 0.1 * references[1]
    scores = metrics.bss_eval_db(mixed, references)
    assert scores["SIR"][0] == pytest.approx(20, abs=0.5)
    assert scores["SAR"][0] > scores["SIR"][0] + 10
    assert scores["SDR"][0] == pytest.approx(20, abs=0.5)
    assert set(scores) == {"SDR", "ISR", "SIR", "SAR"}


def test_energy_at_silence_looks_only_where_the_reference_is_silent() -> None:
    reference = noise(1, 4 * metrics.FRAME)
    reference[:, 2 * metrics.FRAME :] = 0
    estimate = reference.copy()
    assert metrics.silence_db(estimate, reference) == pytest.approx(-80)
    estimate[:, 2 * metrics.FRAME :] = np.sqrt(10 / metrics.FRAME)
    assert metrics.silence_db(estimate, reference) == pytest.approx(10, abs=0.01)
    assert np.isnan(metrics.silence_db(estimate, noise(1, 4 * metrics.FRAME)))


def test_level_difference_error_is_that_of_the_gains_and_limited() -> None:
    mono = noise(1, 5000)
    centre = np.concatenate([mono, mono])
    left = np.concatenate([mono, 0.5 * mono])
    hard = np.concatenate([mono, 0 * mono])
    assert metrics.level_difference_error_db(left, centre) == pytest.approx(6.02, abs=0.01)
    assert metrics.level_difference_error_db(hard, centre) == 30
    assert metrics.level_difference_error_db(hard, 2 * hard) == 0


def test_activity_f1_of_known_counts() -> None:
    true = np.array([1, 1, 1, 0, 0], bool)
    assert metrics.activity_f1(np.array([1, 1, 0, 1, 0], bool), true) == pytest.approx(2 / 3)
    assert metrics.activity_f1(true, true) == 1
    assert np.isnan(metrics.activity_f1(np.zeros(3, bool), np.zeros(3, bool)))


@pytest.mark.parametrize(("kept", "rest_gain"), [(0.1, 1.0), (0.25, 0.5), (1.0, 1.0)])
def test_leakage_finds_the_gains_of_target_and_rest(kept: float, rest_gain: float) -> None:
    target, rest = noise(2, 80_000), noise(2, 80_000, seed=1)
    found = metrics.leakage_db(kept * target + rest_gain * rest, target, rest)
    expected = (20 * np.log10(kept), 20 * np.log10(rest_gain))
    assert found == pytest.approx(expected, abs=0.2)


def test_leakage_counts_what_changes_its_sign() -> None:
    target, rest = noise(2, 160_000), noise(2, 160_000, seed=1)
    sign = np.sign(np.sin(2 * np.pi * np.arange(160_000) / 80_000)).astype(np.float32)
    found, _ = metrics.leakage_db(0.5 * sign * target + rest, target, rest)
    assert found == pytest.approx(-6, abs=1)


def test_the_bootstrap_interval_covers_the_mean_and_repeats() -> None:
    values = np.random.default_rng(3).normal(5, 2, 400)
    found = metrics.interval(values)
    assert found == metrics.interval(values)
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(4 * 2 / 20, rel=0.15)
    assert np.isnan(metrics.interval(np.array([np.nan])).value)
    assert metrics.interval(np.array([3.0, np.nan])) == metrics.Interval(3, 3, 3)
    assert metrics.interval(np.array([1.0, 2, 9]), np.median).value == 2


def test_groups_are_drawn_whole_so_that_copies_tell_nothing_new() -> None:
    values = np.random.default_rng(3).normal(5, 2, 40)
    for statistic in (np.mean, np.median):
        once = metrics.interval(values, statistic)
        copies = np.append(np.repeat(values, 5), np.nan)
        groups = [*np.repeat(np.arange(40), 5).tolist(), 40]
        again = metrics.interval(copies, statistic, groups=groups)
        assert (again.low, again.high) == pytest.approx((once.low, once.high))
        alone = metrics.interval(copies, statistic, groups=["song"] * 201)
        assert alone == metrics.interval(copies, statistic)
    few = metrics.FEWEST_GROUPS - 1
    uneven, of = [0.0] * few + [9.0] * 9, [*range(few), *["other"] * 9]
    assert metrics.interval(np.array(uneven), groups=of).low == 0.0
    assert metrics.interval(np.array(uneven[1:]), groups=of[1:]).low > 0.0, "too few songs"


@pytest.mark.parametrize("songs", [1, 2])
def test_songs_without_a_value_do_not_count_as_groups(songs: int) -> None:
    values = np.array([1.0, 5, 9, 2, 7])
    of = [k % songs for k in range(values.size)]
    silent = range(songs, metrics.FEWEST_GROUPS)
    found = metrics.interval(
        np.concatenate([values, np.full(len(silent), np.nan)]), groups=[*of, *silent]
    )
    assert found == metrics.interval(values)
    assert found.low < found.value < found.high


def test_si_sdr_of_the_very_same_sound_is_a_hundred_decibels() -> None:
    sound = noise(2, 1000)
    assert metrics.si_sdr_db(sound, sound) == pytest.approx(100, abs=0.1)
