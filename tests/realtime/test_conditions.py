import threading

import numpy as np
import pytest

from realtime.conditions import (
    BY_COUNTER_EXAMPLE,
    BY_DIRECTION,
    BY_TIMBRE,
    BY_TIMBRE_ALONE,
    NO_CONDITIONS,
    HeldConditions,
    kinds_of,
)

FRAME_S = 256 / 44_100


def _held(smoothing_s=0.02):
    return HeldConditions({"direction": 2}, targets=2, frame_s=FRAME_S, smoothing_s=smoothing_s)


def test_what_is_set_before_the_first_frame_takes_effect_at_once():
    held = _held()
    held.set(1, {"direction": np.array([30, 10], np.float32)})
    values = held(0, 3)["direction"]
    assert np.array_equal(values[:, 1], np.tile(np.float32([30, 10]), (3, 1)))
    assert np.array_equal(values[:, 0], np.tile(np.float32([0, 20]), (3, 1)))


def test_a_change_glides_by_the_one_pole_equation():
    held = _held()
    held(0, 1)
    held.set(0, {"direction": np.array([40, 20], np.float32)})
    found = held(1, 10)["direction"][:, 0, 0]
    expected = 40 * (1 - np.exp(-FRAME_S / 0.02) ** np.arange(1, 11))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_glide_ends_at_the_goal_itself():
    held = _held()
    held(0, 1)
    held.set(0, {"direction": np.array([-45, 90], np.float32)})
    assert np.array_equal(held(1, 200)["direction"][-1, 0], np.float32([-45, 90]))


def test_after_a_reset_there_is_nothing_to_glide_from():
    held = _held()
    held(0, 1)
    held.set(0, {"direction": np.array([40, 20], np.float32)})
    held.reset()
    assert held(0, 1)["direction"][0, 0, 0] == 40


def test_any_cut_of_the_frames_gives_the_same_bits():
    whole, parts = _held(), _held()
    for held in (whole, parts):
        held(0, 1)
        held.set(0, {"direction": np.array([40, 5], np.float32)})
    pieces = [parts(1, n)["direction"] for n in (1, 2, 7, 30, 60)]
    assert np.array_equal(np.concatenate(pieces), whole(1, 100)["direction"])


@pytest.mark.parametrize("value", [[1.0], [np.nan, 2.0], [1.0, 2.0, 3.0]])
def test_a_value_of_another_shape_or_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="direction"):
        _held().set(0, {"direction": np.array(value, np.float32)})


def test_what_two_threads_set_is_kept_of_both():
    held = HeldConditions({"direction": 2}, 2, 0.005)
    others = list[threading.Thread]()

    class Slow(np.ndarray):
        """A value that lets another thread set the other target while it is taken."""

        @property
        def shape(self) -> tuple[int, ...]:
            if not others:
                other = np.array([5, 50], np.float32)
                others.append(threading.Thread(target=held.set, args=(1, {"direction": other})))
                others[0].start()
                others[0].join(0.2)  # which has to wait
            return super().shape

    held.set(0, {"direction": np.array([3, 30], np.float32).view(Slow)})
    others[0].join()
    assert held.goal("direction").tolist() == [[3, 30], [5, 50]]


ASIDE, ANYWHERE = (10, 20), (0, 90)
FLUTE, NOTHING = (0.6, 0.8), (0, 0)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ((ASIDE, NOTHING, NOTHING), BY_DIRECTION),
        ((ANYWHERE, NOTHING, NOTHING), BY_DIRECTION),
        ((ASIDE, NOTHING, FLUTE), BY_COUNTER_EXAMPLE),
        ((ANYWHERE, NOTHING, FLUTE), BY_COUNTER_EXAMPLE),
        ((ASIDE, FLUTE, NOTHING), BY_TIMBRE),
        ((ANYWHERE, FLUTE, FLUTE), BY_TIMBRE),
        ((ANYWHERE, FLUTE, NOTHING), BY_TIMBRE_ALONE),
    ],
)
@pytest.mark.parametrize("other", [(ASIDE, NOTHING, NOTHING), (ASIDE, FLUTE, FLUTE)])
def test_what_a_target_asks_for_is_known_whatever_the_others_ask_for(target, kind, other):
    direction, timbre, against = (
        np.array([each], np.float32) for each in zip(target, other, strict=True)
    )
    told = {"direction": direction, "timbre": timbre, "against": against}
    assert kinds_of(told)[0, 0] == kind
    free = {name: value for name, value in told.items() if name == "direction" or value.any()}
    assert kinds_of(free)[0, 0] == kind  # what is zeros may be left out


def test_where_no_direction_is_told_timbres_are_not_known_to_be_alone():
    frames = np.array([[FLUTE], [NOTHING]], np.float32)
    assert kinds_of({"timbre": frames}).tolist() == [[BY_TIMBRE], [BY_DIRECTION]]
    assert kinds_of({"sources": frames}).tolist() == [[BY_DIRECTION], [BY_DIRECTION]]
    assert kinds_of(NO_CONDITIONS).size == 0
