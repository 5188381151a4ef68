"""What a separator is given that is wrong: damaged sound, models that fail, impossible wishes."""

import numpy as np
import pytest

from realtime import Separator, load_model
from tests.support.fakes import FakeModel, fake_spec, identity, nan_at
from tests.support.signals import noise


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -1e30])
def test_damaged_samples_are_silenced_and_counted(value):
    separator = Separator(load_model("panorama"), 44_100)
    signal = noise(2, 9_000)
    signal[0, 4_000:4_003] = value
    out = np.concatenate([separator.process(signal)], axis=-1)
    assert separator.invalid_samples == 3
    assert np.abs(out).max() < 1
    clean = signal.copy()
    clean[0, 4_000:4_003] = 0
    separator.process(signal)
    assert separator.invalid_samples == 6, "they add up"
    assert np.array_equal(Separator(load_model("panorama"), 44_100).process(clean), out)


def test_a_damaged_sample_of_a_mono_mixture_counts_once():
    separator = Separator(load_model("panorama"), 44_100, channels=1)
    signal = noise(1, 9_000)
    signal[0, 4_000:4_003] = np.nan
    assert np.isfinite(separator.process(signal)).all()
    assert separator.invalid_samples == 3


def test_a_model_that_gives_nan_is_started_anew_and_its_target_dry():
    separator = Separator(nan_at(10), 44_100)
    blocks = np.split(noise(2, 12_800), 50, axis=1)
    out = np.concatenate([*map(separator.process, blocks), separator.flush()], axis=-1)
    assert np.isfinite(out).all()
    assert np.abs(out[0]).max() > 0.1, "the bad frame is dry"
    assert not out[0, :, -4_000:].any(), "the model works again"


@pytest.mark.parametrize(("given", "told"), [(np.nan, 0), (np.inf, 1), (-np.inf, 0), (1.5, 1)])
def test_activity_that_is_none_is_bounded_and_counted(given, told):
    model = identity()
    model.activity = lambda frames: np.where(frames == 3, given, 0.5)
    separator = Separator(model, 44_100)
    separator.process(noise(2, 5 * 256))
    assert separator.activity[:, 0].tolist() == [0.5, 0.5, 0.5, told, 0.5]
    assert separator.model_faults == 1


def test_a_model_whose_state_is_spoilt_forgets_it():
    def spoilt(frames, spectrum, conditions):  # from its 10th frame on, until it is started anew
        return np.where(frames >= 10, np.nan, 0)[:, None, None, None]

    separator = Separator(FakeModel(spoilt), 44_100)
    for block in np.split(noise(2, 12_800), 50, axis=1):
        separator.process(block)
    assert separator.model_faults == 4, "one in eleven hops, not all but ten"


def test_denormal_samples_cost_no_sense():
    out = Separator(load_model("panorama"), 44_100).process(np.full((2, 9_000), 1e-40, np.float32))
    assert np.abs(out).max() <= 1e-39


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (np.zeros((2, 10)), TypeError),
        (np.zeros((3, 10), np.float32), ValueError),
        (np.zeros(10, np.float32), ValueError),
        ([[0.0], [0.0]], TypeError),
    ],
    ids=["float64", "three channels", "no channels", "a list"],
)
def test_a_block_of_another_kind_or_shape_is_refused(block, error):
    with pytest.raises(error, match="expected"):
        Separator(identity(), 44_100).process(block)


@pytest.mark.parametrize(
    "arguments",
    [
        {"targets": 0},
        {"targets": ["a", "a"]},
        {"targets": ["residual"]},
        {"channels": 3},
        {"block_multiple": 0},
        {"tier": "offline"},
        {"sample_rate": 8_000},
    ],
    ids=str,
)
def test_a_separator_that_cannot_be_is_refused(arguments):
    with pytest.raises(ValueError, match=r"expected|no tier"):
        Separator(**({"model": identity(), "sample_rate": 44_100} | arguments))


@pytest.mark.parametrize("targets", ["guitar", 2.0, None])
def test_targets_that_are_neither_a_number_nor_a_list_are_refused(targets):
    with pytest.raises(TypeError, match="expected a number or a list of names"):
        Separator(identity(), 44_100, targets=targets)


@pytest.mark.parametrize("targets", [3, ["x"], ["drums", "bass"]])
def test_a_model_with_targets_of_its_own_takes_no_others(targets):
    model = identity(fake_spec(targets=("bass", "drums")))
    with pytest.raises(ValueError, match="has its own: bass, drums"):
        Separator(model, 44_100, targets=targets)


@pytest.mark.parametrize(
    ("name", "value"),
    [("azimuth_deg", 46), ("azimuth_deg", np.nan), ("width_deg", 0), ("width_deg", 91)],
)
def test_a_direction_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match="expected"):
        Separator(identity(), 44_100).set(0, **{name: value})


def test_a_target_or_a_condition_that_is_not_there_is_refused():
    separator = Separator(identity(), 44_100, targets=["guitar"])
    with pytest.raises(ValueError, match="guitar"):
        separator.set("piano", azimuth_deg=0)
    with pytest.raises(ValueError, match="timbre"):
        separator.set("guitar", timbre=np.ones(4, np.float32))


@pytest.mark.parametrize(
    "refused",
    [{"timbre": np.ones(4, np.float32)}, {"width_deg": 91}],
)
def test_of_what_is_set_at_once_all_counts_or_nothing(refused):
    x = noise(2, 44_100)
    kept, other = (Separator(load_model("panorama"), 44_100) for _ in range(2))
    kept.set(0, azimuth_deg=-30)
    other.set(0, azimuth_deg=-30)
    with pytest.raises(ValueError, match=r"expected|timbre"):
        kept.set(0, azimuth_deg=30, **refused)
    np.testing.assert_array_equal(kept.process(x), other.process(x))


def test_a_block_that_breaks_the_promised_size_is_refused():
    separator = Separator(identity(), 44_100, block_multiple=128)
    with pytest.raises(ValueError, match="expected 128 or a multiple"):
        separator.process(noise(2, 129))
