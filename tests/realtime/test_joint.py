"""One filter for all targets by timbre, on spectra whose sources are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime.joint import JointFilter, competition
from realtime.masks import MAX_GAIN, apply_masks
from realtime.separator import Separator
from realtime.spec import Runs, Tier
from tests.support.contract import verify_streaming
from tests.support.fakes import FakeModel, fake_spec
from tests.support.signals import noise

HOP_S = 256 / 44_100
APART = np.eye(2, 4, dtype=np.float32)  # timbres of two targets that have nothing in common
Floats = NDArray[np.float32]


def spectra(frames: int, places_deg: list[float], bins: int = 64, seed: int = 0) -> NDArray:
    """Give the spectra (sources, frames, 2, bins) of point sources, all of them everywhere."""
    rng = np.random.default_rng(seed)
    shape = (len(places_deg), frames, 1, bins)
    signals = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    theta = np.radians(np.array(places_deg) + 45)[:, None, None, None]
    sides = np.concatenate([np.cos(theta), np.sin(theta)], 2)
    return (signals * sides).astype(np.complex64)


def told(timbres: Floats, frames: int) -> Floats:
    return np.broadcast_to(timbres, (frames, *timbres.shape))


def level(values: NDArray) -> float:
    return float(np.sqrt(np.square(np.abs(values)).mean()))


def test_in_one_place_the_filter_of_a_target_is_its_mask() -> None:
    mixture = spectra(5, [10.0]).sum(0)
    masks = np.full((5, 2, 1, 64), 0.25, np.float32)
    masks[:, 1] = 0.6
    filters = JointFilter(2, HOP_S).filters(masks, mixture, told(APART, 5))
    for target, mask in enumerate((0.25, 0.6)):
        expected = np.array([mask, 0, 0, mask], np.float32)[:, None]
        np.testing.assert_allclose(
            filters[:, target], np.broadcast_to(expected, (5, 4, 64)), atol=1e-4
        )


def test_what_two_masks_claim_too_much_of_is_shared() -> None:
    mixture = spectra(5, [0.0]).sum(0)
    masks = np.full((5, 2, 1, 64), 0.9, np.float32)
    masks[:, 1] = 0.3
    filters = JointFilter(2, HOP_S).filters(masks, mixture, told(APART, 5))
    np.testing.assert_allclose(filters[:, 0, 0], 0.75, atol=1e-4)
    np.testing.assert_allclose(filters[:, 1, 3], 0.25, atol=1e-4)


def test_a_neighbour_in_the_same_bins_is_nulled_when_it_is_known_where_both_stand() -> None:
    joint, true = JointFilter(2, HOP_S), spectra(220, [-25.0, 20.0])
    masks = np.zeros((220, 2, 1, 64), np.float32)
    masks[:200, 0, :, ::2] = masks[:200, 1, :, 1::2] = 1  # by turns in the bins at first,
    heard = true[:, :200] * masks[:200].transpose(1, 0, 2, 3)
    joint.filters(masks[:200], heard.sum(0), told(APART, 200))
    masks[200:] = 0.5  # then both in all of them
    mixture = true[:, 200:].sum(0)
    filters = joint.filters(masks[200:], mixture, told(APART, 20))
    found = apply_masks(filters, mixture, None)
    for target in range(2):
        error = level(found[:, target] - true[target, 200:]) / level(true[target])
        assert error < 0.3, f"target {target}: {error}"
        masked = level(0.5 * mixture - true[target, 200:]) / level(true[target])
        assert masked > 0.6  # what the masks alone leave


def test_a_target_alone_is_told_from_the_rest_by_its_place() -> None:
    joint, true = JointFilter(1, HOP_S), spectra(220, [-25.0, 20.0])
    masks = np.zeros((220, 1, 1, 64), np.float32)
    masks[:200, 0, :, ::2] = 1
    heard = true[:, :200].copy()
    heard[0, :, :, 1::2] = heard[1, :, :, ::2] = 0
    joint.filters(masks[:200], heard.sum(0), told(APART[:1], 200))
    masks[200:] = 0.5
    mixture = true[:, 200:].sum(0)
    found = apply_masks(joint.filters(masks[200:], mixture, told(APART[:1], 20)), mixture, None)
    assert level(found[:, 0] - true[0, 200:]) / level(true[0]) < 0.3


def test_the_same_timbre_twice_gives_the_same_target_twice() -> None:
    mixture = spectra(6, [-10.0, 30.0]).sum(0)
    mask = np.random.default_rng(1).random((6, 1, 1, 64), dtype=np.float32)
    alone = JointFilter(1, HOP_S).filters(mask, mixture, told(APART[:1], 6))
    twice = JointFilter(2, HOP_S).filters(mask.repeat(2, 1), mixture, told(APART[[0, 0]], 6))
    np.testing.assert_allclose(twice[:, 0], alone[:, 0], atol=1e-5)
    np.testing.assert_allclose(twice[:, 1], alone[:, 0], atol=1e-5)


def test_a_target_that_is_told_nothing_takes_nothing_of_the_others() -> None:
    mixture = spectra(6, [-10.0, 30.0]).sum(0)
    mask = np.random.default_rng(1).random((6, 1, 1, 64), dtype=np.float32)
    alone = JointFilter(1, HOP_S).filters(mask, mixture, told(APART[:1], 6))
    masks = np.concatenate([mask, np.ones_like(mask)], 1)
    untold = np.stack([APART[0], np.zeros(4, np.float32)])
    both = JointFilter(2, HOP_S).filters(masks, mixture, told(untold, 6))
    np.testing.assert_allclose(both[:, 0], alone[:, 0], atol=1e-5)


def test_how_much_a_target_counts_for_another() -> None:
    timbres = np.array([[[1, 0], [0.6, 0.8], [0, 0.5], [-3, 0]]], np.float32)
    expected = [
        [1, 1 - 0.36, 0.5, 1],
        [1 - 0.36, 1, 0.5 * (1 - 0.64), 1],
        [1, 1 - 0.64, 1, 1],
        [1, 1, 0.5, 1],
    ]
    np.testing.assert_allclose(competition(timbres)[0], np.array(expected), atol=1e-6)


def test_masks_of_both_sides_stay_masks_of_both_sides_in_no_place() -> None:
    """Noise that is as loud on both sides and in common to neither has no place."""
    rng = np.random.default_rng(3)
    mixture = (rng.standard_normal((300, 2, 64)) + 1j * rng.standard_normal((300, 2, 64))).astype(
        np.complex64
    )
    masks = np.full((300, 1, 2, 64), 0.5, np.float32)
    masks[:, :, 1] = 0.25
    filters = JointFilter(1, HOP_S).filters(masks, mixture, told(APART[:1], 300))[100:]
    np.testing.assert_allclose(filters[:, 0, 0].mean(), 0.5, atol=0.03)
    np.testing.assert_allclose(filters[:, 0, 3].mean(), 0.25, atol=0.03)
    np.testing.assert_allclose(filters[:, 0, 1:3].mean(), 0, atol=0.03)


@settings(deadline=None)
@given(
    st.integers(0, 10_000),
    st.floats(-12, 6, allow_subnormal=False),
    st.sampled_from([1, 2]),
    st.integers(1, 4),
)
def test_any_masks_and_levels_give_finite_filters(
    seed: int, exponent: float, axes: int, targets: int
) -> None:
    rng = np.random.default_rng(seed)
    mixture = spectra(4, list(rng.uniform(-45, 45, 3)), bins=16, seed=seed).sum(0)
    mixture = (mixture * 10**exponent).astype(np.complex64)
    mixture[rng.integers(4)] = 0
    masks = np.round(rng.uniform(-0.2, 1.3, (4, targets, axes, 16))).astype(np.float32)
    timbres = rng.standard_normal((4, targets, 8)).astype(np.float32)
    filters = JointFilter(targets, HOP_S).filters(masks, mixture, timbres)
    assert np.isfinite(filters).all()
    assert np.abs(filters).max() <= MAX_GAIN


def test_frames_give_the_same_one_by_one_and_after_a_reset() -> None:
    mixture = spectra(9, [-10.0, 30.0]).sum(0)
    masks = np.random.default_rng(1).random((9, 2, 1, 64), dtype=np.float32)
    timbres = told(APART, 9)
    joint = JointFilter(2, HOP_S)
    whole = joint.filters(masks, mixture, timbres)
    assert not np.array_equal(joint.filters(masks, mixture, timbres), whole)
    joint.reset()
    single = [joint.filters(masks[k : k + 1], mixture[k : k + 1], timbres[:1]) for k in range(9)]
    np.testing.assert_array_equal(np.concatenate(single), whole)


def timbre_separator(mask_axes: str, joint: bool, masks: Floats, targets: int = 2) -> Separator:
    """Give a separator whose masks (targets, axes) or (targets, axes, bins) are always the same."""
    masks = masks if masks.ndim == 3 else masks[:, :, None]
    conditions = {"timbre": 4} | ({"direction": 2} if mask_axes == "steered" else {})
    spec = fake_spec(conditions=conditions, mask_axes=mask_axes, joint=joint)
    model = FakeModel(lambda frames, spectrum, told: masks[None], spec)
    separator = Separator(model, 44_100, targets=targets)
    for target in range(targets):
        separator.set(target, timbre=APART[target % 2])
        if mask_axes == "steered":
            separator.set(target, azimuth_deg=0.0, width_deg=90.0)
    return separator


@pytest.mark.parametrize("mask_axes", ["mixture", "channels", "steered"])
def test_a_separator_keeps_its_contract(mask_axes: str) -> None:
    masks = np.array([[0.9], [0.6]], np.float32)
    if mask_axes != "mixture":
        masks = np.array([[0.9, 0.5], [0.6, 0.7]], np.float32)
    if mask_axes == "steered":
        masks = np.array([[0.9, 0, 0, 0.9], [0.6, 0, 0, 0.6]], np.float32)
    verify_streaming(lambda: timbre_separator(mask_axes, True, masks))


def test_targets_of_a_stream_share_what_both_claim() -> None:
    masks = np.array([[0.9], [0.3]], np.float32)
    mono = noise(1, 20_000).repeat(2, 0)
    stems = timbre_separator("mixture", True, masks).process(mono)
    apart = timbre_separator("mixture", False, masks).process(mono)
    assert level(stems[0, :, 5000:]) / level(apart[0, :, 5000:]) == pytest.approx(
        0.75 / 0.9, abs=1e-3
    )
    assert level(stems[1, :, 5000:]) / level(apart[1, :, 5000:]) == pytest.approx(
        0.25 / 0.3, abs=1e-3
    )
    assert level(stems[2, :, 5000:]) < 1e-4  # nothing is left


def test_a_filter_in_a_direction_stays_as_it_is() -> None:
    masks = np.array([[0.9, -0.2, 0, 0.9], [0.6, 0, 0.1, 0.6]], np.float32)
    signal = noise(2, 20_000)
    stems = timbre_separator("steered", True, masks).process(signal)
    apart = timbre_separator("steered", False, masks).process(signal)
    np.testing.assert_array_equal(stems, apart)


RUNS = Tier(1024, 1024, 256, lookahead=6, runs=Runs(16, 256, every=6, age=-6, fade=3))


def over_stretches(joint: bool) -> Separator:
    """Give a separator of a model that sees a stretch at once, told directions from frame 40 on."""
    fields = {"conditions": {"timbre": 2, "direction": 2}, "mask_axes": "channels", "joint": joint}
    spec = fake_spec(tiers={"offline": RUNS}, **fields)
    model = FakeModel(lambda frames, spectrum, told: told["timbre"][None, :, :1, None], spec)
    timbres = np.array([[0.9, 0.4], [0.3, -0.9]], np.float32)

    def conditions(first: int, frames: int) -> dict[str, Floats]:
        direction = np.empty((frames, 2, 2), np.float32)
        late = np.arange(first, first + frames) >= 40
        direction[:] = np.where(late[:, None, None], (10.0, 30.0), (0.0, 90.0))
        return {"timbre": told(timbres, frames), "direction": direction}

    return Separator(model, 44_100, tier="offline", targets=2, conditions=conditions)


def test_frames_in_which_a_target_has_a_direction_are_taken_as_before() -> None:
    verify_streaming(lambda: over_stretches(True))
    mono = noise(1, 20_000).repeat(2, 0)
    stems, apart = (over_stretches(joint).process(mono) for joint in (True, False))
    shared = level(stems[0, :, 4000:9000]) / level(apart[0, :, 4000:9000])
    assert shared == pytest.approx(1 / (0.9 + 0.3 * np.hypot(0.3, 0.9)), abs=1e-3)
    np.testing.assert_array_equal(stems[:, :, 13_000:], apart[:, :, 13_000:])


def test_gains_of_a_filter_in_a_direction_are_taken_as_those_of_the_mixture() -> None:
    signal = noise(1, 20_000) * np.array([[1], [0.2]], np.float32)
    signal += noise(1, 20_000, seed=1) * np.array([[0.3], [1]], np.float32)
    gains = np.full((2, 1, 513), 0.2, np.float32)
    gains[0, :, 1::2] = gains[1, :, ::2] = 0.7
    filters = gains * np.array([1, 0, 0, 1], np.float32)[:, None]
    separator = timbre_separator("steered", True, filters)
    separator.set(0, azimuth_deg=30.0)
    expected = timbre_separator("mixture", True, gains).process(signal)
    np.testing.assert_allclose(separator.process(signal), expected, atol=1e-6)


def test_a_target_in_a_direction_has_no_part_in_the_filter_of_those_by_a_timbre_alone() -> None:
    gains = np.array([[0.9, 0, 0, 0.9], [0.5, 0, 0, 0.8], [0.6, 0, 0, 0.6]], np.float32)
    separator = timbre_separator("steered", True, gains, targets=3)
    separator.set(1, azimuth_deg=20.0, width_deg=20.0)
    signal = noise(2, 20_000)
    stems = separator.process(signal)
    others = timbre_separator("steered", True, gains[[0, 2]])
    others.set(1, timbre=APART[0])
    np.testing.assert_allclose(stems[[0, 2]], others.process(signal)[:2], atol=1e-6)
    own = timbre_separator("steered", False, gains[[1]], targets=1)
    own.set(0, azimuth_deg=20.0)
    np.testing.assert_allclose(stems[1], own.process(signal)[0], atol=1e-6)


def test_where_a_target_stood_is_forgotten() -> None:
    joint, frames = JointFilter(2, HOP_S), 1400  # eight seconds
    true = spectra(frames, [-25.0, 20.0, -35.0])
    masks = np.zeros((frames, 2, 1, 64), np.float32)
    masks[:, 0, :, ::2] = masks[:, 1, :, 1::2] = 1
    one = true[[0, 1]] * masks.transpose(1, 0, 2, 3)
    moved = true[[2, 1]] * masks.transpose(1, 0, 2, 3)
    joint.filters(masks, one.sum(0), told(APART, frames))
    joint.filters(masks, moved.sum(0), told(APART, frames))
    both, mixture = np.full_like(masks[:20], 0.5), true[[2, 1], :20].sum(0)
    found = apply_masks(joint.filters(both, mixture, told(APART, 20)), mixture, None)
    again = JointFilter(2, HOP_S)  # never heard the old place
    again.filters(masks, moved.sum(0), told(APART, frames))
    expected = apply_masks(again.filters(both, mixture, told(APART, 20)), mixture, None)
    assert level(found - expected) / level(expected) < 0.05


def test_how_frames_come_in_calls_changes_nothing_where_a_direction_comes_and_goes():
    def rule(frames, spectrum, conditions):
        masks = np.full((len(frames), 2, 4, spectrum.shape[2]), 0.6, np.float32)
        masks[:, :, 1:3] = 0.2 * (conditions["direction"][..., 1] < 90)[:, :, None, None]
        return masks

    def conditions(first_frame, frames):
        at = np.arange(first_frame, first_frame + frames)
        width_deg = np.where(at % 7 < 4, 90, 20)[:, None] * np.ones((1, 2))
        direction = np.stack([np.full_like(width_deg, 10), width_deg], -1)
        return {"direction": np.float32(direction), "timbre": told(APART, frames)}

    sizes = {"direction": 2, "timbre": 4}
    model = FakeModel(rule, fake_spec(conditions=sizes, mask_axes="steered", joint=True))
    sound = noise(2, 40 * 256)
    whole, parts = (Separator(model, 44_100, targets=2, conditions=conditions) for _ in range(2))
    pieces = [parts.process(sound[:, k : k + 256]) for k in range(0, sound.shape[1], 256)]
    np.testing.assert_array_equal(whole.process(sound), np.concatenate(pieces, axis=2))
