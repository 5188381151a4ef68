"""From the values of controls to what a model is told."""

import numpy as np
import pytest

from plugin_bridge.control import target_conditions
from plugin_bridge.control.controls import INSTRUMENTS, MAX_INSTRUMENTS
from plugin_bridge.control.target_conditions import TargetValues, known_instruments, one_instrument
from plugin_bridge.control.target_timbres import CROSSING_S, CrossingVector, TargetTimbres
from realtime.spec import ModelSpec, Tier

LIVE = {"live": Tier(window=1024, synthesis=512, hop=256)}
VOCALS, DRUMS, GUITAR = (INSTRUMENTS.index(name) for name in ("vocals", "drums", "guitar"))
Z = {"vocals": (1.0, 0.0, 0.0), "drums": (0.0, 1.0, 0.0)}
QUERY = np.array([0, 0, 1], np.float32)


class TargetConditions(target_conditions.TargetConditions):
    """The conditions, with examples as they are at the start; at times a hop apart."""

    def __init__(self, spec, like=None, unlike=None):
        super().__init__(spec, TargetTimbres(spec.conditions.get("timbre", 0), like, unlike))

    def __call__(self, values, start_s=0.0):
        return super().__call__(values, start_s + 0.0058 * np.arange(len(values.morph)))


def timbre_spec():
    conditions = {"direction": 2, "timbre": 3, "against": 3}
    return ModelSpec("t", LIVE, conditions, "steered", encoder="listen", classes=Z)


def source_spec():
    return ModelSpec("s", LIVE, {}, "mixture", targets=("vocals", "drums"))


def values(shares, *, azimuth=0.0, width=20.0, morph=0.0, strength=1.0):
    frames, targets = shares.shape[:2]

    def full(value):
        return np.full((frames, targets), value, np.float32)

    return TargetValues(full(azimuth), full(width), shares, full(morph), full(strength))


def half(first, second):
    shares = np.zeros((1, 1, MAX_INSTRUMENTS), np.float32)
    shares[..., [first, second]] = 0.5
    return shares


def test_a_model_of_directions_is_told_directions_alone():
    made = TargetConditions(ModelSpec("d", LIVE, {"direction": 2}, "steered"))(
        values(one_instrument(VOCALS, 2, 3), azimuth=-30, width=25)
    )
    assert set(made) == {"direction"}
    np.testing.assert_array_equal(made["direction"], np.full((2, 3, 2), [-30, 25]))


def test_a_source_is_chosen_by_its_name_and_any_chooses_none():
    told = TargetConditions(source_spec())
    np.testing.assert_array_equal(told(values(one_instrument(DRUMS, 1, 1)))["sources"], [[[0, 1]]])
    np.testing.assert_array_equal(told(values(one_instrument(0, 1, 1)))["sources"], [[[0, 0]]])


def test_in_the_middle_of_a_switch_both_instruments_have_half():
    shares = half(VOCALS, DRUMS)
    np.testing.assert_allclose(
        TargetConditions(source_spec())(values(shares))["sources"], [[[0.5, 0.5]]]
    )
    np.testing.assert_allclose(
        TargetConditions(timbre_spec())(values(shares))["timbre"], [[[0.5, 0.5, 0]]]
    )


def label_spec(encoder=""):
    rows = dict(zip(("vocals", "drums", "guitar"), np.eye(3).tolist(), strict=True))
    return ModelSpec(
        "l", LIVE, {"timbre": 3, "against": 3}, "mixture", encoder=encoder, classes=rows
    )


def test_a_model_of_labels_is_told_which_others_play():
    shares = np.zeros((2, 3, MAX_INSTRUMENTS), np.float32)
    for target, number in enumerate((VOCALS, DRUMS, GUITAR)):
        shares[:, target, number] = 1
    shares[:, 0, DRUMS] = 1  # so the first two share an instrument
    told = TargetConditions(label_spec())(values(shares))["against"][0]
    half = np.sqrt(0.5)
    np.testing.assert_allclose(told, [[0, 0, 1], [half, 0, half], [half, half, 0]], atol=1e-6)
    alone = TargetConditions(label_spec())(values(shares[:, :1]))
    assert not alone["against"].any()
    quiet = TargetConditions(label_spec())(values(shares, strength=0))
    assert not quiet["against"].any()


def test_a_model_with_an_encoder_is_told_counter_examples_alone():
    shares = np.concatenate([one_instrument(VOCALS, 1, 1), one_instrument(DRUMS, 1, 1)], axis=1)
    told = TargetConditions(label_spec("listen"), unlike={0: QUERY})(values(shares))["against"]
    np.testing.assert_array_equal(told, [[QUERY, np.zeros(3)]])


def test_strength_takes_the_instrument_back():
    made = TargetConditions(source_spec())(values(one_instrument(VOCALS, 1, 1), strength=0.25))
    np.testing.assert_allclose(made["sources"], [[[0.25, 0]]])
    made = TargetConditions(timbre_spec())(values(one_instrument(VOCALS, 1, 1), strength=0))
    assert not made["timbre"].any()


def test_an_instrument_that_the_model_does_not_know_leaves_the_timbre_free():
    made = TargetConditions(timbre_spec())(values(one_instrument(GUITAR, 1, 1)))
    assert not made["timbre"].any()
    assert not made["against"].any()


@pytest.mark.parametrize(("morph", "expected"), [(0, [1, 0, 0]), (1, [0, 0, 1])])
def test_a_morph_leads_from_the_instrument_to_the_query(morph, expected):
    told = TargetConditions(timbre_spec(), like={0: QUERY})
    made = told(values(one_instrument(VOCALS, 1, 1), morph=morph))
    np.testing.assert_allclose(made["timbre"][0, 0], expected, atol=1e-6)
    between = told(values(one_instrument(VOCALS, 1, 1), morph=0.5))["timbre"][0, 0]
    np.testing.assert_allclose(between, [0.5**0.5, 0, 0.5**0.5], atol=1e-6)


def test_a_query_without_an_instrument_is_the_timbre_whatever_the_morph():
    made = TargetConditions(timbre_spec(), like={1: QUERY})(values(one_instrument(0, 1, 2)))
    np.testing.assert_allclose(made["timbre"][0], [[0, 0, 0], QUERY], atol=1e-6)


def test_what_is_not_wanted_is_told_to_its_target_alone():
    made = TargetConditions(timbre_spec(), unlike={0: QUERY})(values(one_instrument(VOCALS, 1, 2)))
    np.testing.assert_allclose(made["against"][0], [QUERY, [0, 0, 0]])


def test_a_timbre_of_another_size_is_refused():
    with pytest.raises(ValueError, match="2 numbers, the model takes 3"):
        TargetConditions(timbre_spec(), like={0: np.ones(2, np.float32)})


def test_a_model_knows_its_classes_or_its_own_sources():
    assert known_instruments(timbre_spec()) == ("drums", "vocals")
    assert known_instruments(source_spec()) == ("drums", "vocals")
    directions = {"direction": 2}
    of_each = ModelSpec("x", LIVE, directions, "mixture", targets=("guitar", "bass"))
    assert known_instruments(of_each) == ()


def test_a_family_is_the_sum_of_its_sources_and_the_middle_of_its_timbres():
    family = one_instrument(VOCALS, 1, 1) + one_instrument(DRUMS, 1, 1)
    made = TargetConditions(source_spec())(values(family))
    np.testing.assert_array_equal(made["sources"], [[[1, 1]]])
    made = TargetConditions(timbre_spec())(values(family))
    np.testing.assert_allclose(made["timbre"], [[[0.5**0.5, 0.5**0.5, 0]]], rtol=1e-6)


def frames(count, instrument=0, **fixed):
    return values(one_instrument(instrument, count, 1), **fixed)


def test_a_timbre_given_while_the_sound_runs_is_reached_in_fifty_milliseconds():
    told = TargetConditions(timbre_spec(), like={0: np.array([0, 1, 0], np.float32)})
    assert told(frames(10))["timbre"][:, 0].tolist() == [[0, 1, 0]] * 10
    told.timbres.set(0, "like", QUERY)
    made = told(frames(20), start_s=1.0)["timbre"][:, 0]
    np.testing.assert_array_equal(made[0], [0, 1, 0])
    arrived = int(np.ceil(CROSSING_S / 0.0058))
    np.testing.assert_allclose(made[arrived:], np.tile(QUERY, (20 - arrived, 1)), atol=1e-6)
    assert np.abs(np.diff(made, axis=0)).max() < 1.5 / arrived


@pytest.mark.parametrize(("instrument", "morph"), [(0, 0.0), (VOCALS, 1.0), (VOCALS, 0.5)])
def test_a_first_timbre_comes_and_goes_without_a_jump(instrument, morph):
    told = TargetConditions(timbre_spec())
    before = told(frames(1, instrument, morph=morph))["timbre"][0, 0]
    told.timbres.set(0, "like", QUERY)
    come = told(frames(12, instrument, morph=morph), start_s=1.0)["timbre"][:, 0]
    told.timbres.set(0, "like", None)
    gone = told(frames(12, instrument, morph=morph), start_s=2.0)["timbre"][:, 0]
    for path in (come, gone):
        assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 0.3
        assert (np.linalg.norm(path, axis=1) <= 1 + 1e-6).all()
    np.testing.assert_allclose(come[0], before, atol=1e-6)
    np.testing.assert_allclose(gone[0], come[-1], atol=1e-6)
    np.testing.assert_allclose(gone[-1], before, atol=1e-6)


def test_a_counter_example_given_while_the_sound_runs_crosses_over_too():
    told = TargetConditions(timbre_spec())
    told(frames(1))
    told.timbres.set(0, "unlike", QUERY)
    made = told(frames(12), start_s=1.0)["against"][:, 0, 2]
    assert made[0] == 0
    assert made[-1] == 1
    assert (np.diff(made) >= 0).all()
    with pytest.raises(ValueError, match="5 numbers, the model takes 3"):
        told.timbres.set(0, "like", np.ones(5, np.float32))


def test_a_vector_that_is_set_twice_on_its_way_goes_on_from_where_it_is():
    track = CrossingVector(np.zeros(1, np.float32))
    track.set(np.ones(1, np.float32))
    half = track.at(np.array([0.0, CROSSING_S / 2]))[-1, 0]
    track.set(np.zeros(1, np.float32))
    path = track.at(CROSSING_S * np.array([0.5, 1.0, 1.5]))[:, 0]
    assert half == pytest.approx(0.5)
    assert path == pytest.approx([0.5, 0.25, 0.0])
