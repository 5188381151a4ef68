"""Targets made of a model's own sources, by name and direction."""

import itertools

import numpy as np
import pytest

from realtime.selection import SourceSelection
from realtime.separator import Separator
from tests.support.contract import verify_streaming
from tests.support.fakes import FakeModel, counting, fake_spec
from tests.support.signals import noise, panned, tone

FRAMES, BINS = 3, 40


def spectra():
    real = noise(4, FRAMES * BINS).reshape(4, FRAMES, BINS)
    return (real[:2] + 1j * real[2:]).swapaxes(0, 1).astype(np.complex64)


def conditions(weights, azimuth_deg=0.0, width_deg=90.0):
    rows = np.array(weights, np.float32)
    direction = np.array([[azimuth_deg, width_deg]], np.float32)
    return {
        "sources": np.repeat(rows[None, None], FRAMES, 0),
        "direction": np.repeat(direction[None], FRAMES, 0),
    }


def applied(selection, masks, x, told):
    return selection.estimates(masks, x, told)


def source_masks(axes, seed=1):
    random = np.random.default_rng(seed)
    return random.uniform(0, 1, (FRAMES, 2, axes, BINS)).astype(np.float32)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("azimuth_deg", [-45, 0, 20])
def test_a_source_from_anywhere_is_the_mixture_times_its_mask(axes, azimuth_deg):
    x, masks = spectra(), source_masks(axes)
    out = applied(SourceSelection(2), masks, x, conditions([0, 1], azimuth_deg))
    np.testing.assert_allclose(out[:, 0], masks[:, 1] * x, atol=1e-5)


def test_a_target_of_two_sources_is_their_sum():
    x, masks = spectra(), source_masks(2) / 2
    out = applied(SourceSelection(2), masks, x, conditions([0.5, 0.5]))
    np.testing.assert_allclose(out[:, 0], (masks[:, 0] + masks[:, 1]) / 2 * x, atol=1e-5)


def test_a_target_without_a_source_from_anywhere_is_the_mixture():
    x = spectra()
    out = applied(SourceSelection(2), source_masks(1), x, conditions([0, 0]))
    np.testing.assert_allclose(out[:, 0], x, atol=1e-5)


def test_a_source_from_a_direction_loses_what_stands_elsewhere():
    masks = np.ones((FRAMES, 2, 1, BINS), np.float32)
    for there_deg, kept in ((-30, 1.0), (30, 0.0)):
        angle = np.radians(there_deg + 45)
        x = spectra()[:, :1] * np.array([np.cos(angle), np.sin(angle)])[None, :, None]
        x = x.astype(np.complex64)
        out = applied(SourceSelection(2), masks, x, conditions([1, 0], -30, 20))
        np.testing.assert_allclose(out[:, 0], kept * x, atol=1e-4)


def test_a_direction_opens_to_anywhere_without_a_jump():
    x, masks = spectra(), source_masks(1)
    widths = np.linspace(60, 90, 61)
    outs = [
        applied(SourceSelection(2), masks, x, conditions([1, 0], 10, width))[:, 0]
        for width in widths
    ]
    steps = [np.abs(b - a).max() for a, b in itertools.pairwise(outs)]
    assert max(steps) < 0.1 * np.abs(outs[-1]).max()


def test_masks_that_belong_to_no_channels_are_refused():
    with pytest.raises(ValueError, match="steered masks need the condition 'direction'"):
        fake_spec(mask_axes="steered", conditions={}, targets=("vocals", "drums"))


HALVES = fake_spec(conditions={}, targets=("vocals", "drums"))


def halves():
    """A model of two sources: the lower half of the spectrum and the upper half."""

    def rule(frames, spectrum, conditions):
        assert not conditions, "a model with sources of its own is told nothing"
        low = np.arange(spectrum.shape[2]) < spectrum.shape[2] // 8
        return np.stack([low, ~low]).astype(np.float32)[None, :, None]

    return FakeModel(rule, HALVES)


def selecting(**options):
    separator = Separator(halves(), 44_100, targets=["lead", "kit"], select=True, **options)
    separator.set("lead", sources=np.array([1, 0]), azimuth_deg=0, width_deg=90)
    separator.set("kit", sources=np.array([0, 1]), azimuth_deg=20, width_deg=90)
    return separator


@pytest.mark.parametrize("tier", ["live", "studio"])
def test_a_separator_that_selects_keeps_the_contract(tier):
    verify_streaming(lambda: selecting(tier=tier))


def test_selected_stems_are_the_sources_and_the_rest_sums_to_the_mixture():
    separator = selecting()
    assert separator.stems == ("lead", "kit", "residual")
    low, high = panned(tone(200, 20_000), 0), panned(tone(9000, 20_000), 20)
    out = np.concatenate([separator.process(low + high), separator.flush()], axis=-1)
    out = out[:, :, separator.latency : separator.latency + 20_000]
    middle = slice(2000, -2000)
    np.testing.assert_allclose(out[0][:, middle], low[:, middle], atol=2e-3)
    np.testing.assert_allclose(out[1][:, middle], high[:, middle], atol=2e-3)
    np.testing.assert_allclose(out.sum(0), low + high, atol=1.2e-7)


def test_selected_sources_from_elsewhere_are_left_in_the_residual():
    separator = selecting()
    separator.set("lead", azimuth_deg=-30, width_deg=10)
    low = panned(tone(200, 20_000), 30)
    out = np.concatenate([separator.process(low), separator.flush()], axis=-1)
    assert np.abs(out[0]).max() < 0.01 * np.abs(low).max()


def test_a_model_without_sources_of_its_own_has_nothing_to_select():
    with pytest.raises(ValueError, match="no sources of its own"):
        Separator(counting(), 44_100, select=True)


def test_activity_of_a_target_is_that_of_its_most_active_source():
    selection = SourceSelection(2)
    told = conditions([1, 0.5])
    activity = np.tile(np.array([0.2, 0.9], np.float32), (FRAMES, 1))
    np.testing.assert_allclose(selection.activity(activity, told), np.full((FRAMES, 1), 0.45))
    assert selection.activity(None, told) is None
