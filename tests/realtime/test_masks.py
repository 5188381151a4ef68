import numpy as np
import pytest

from realtime import Separator
from realtime.masks import MAX_GAIN, apply_masks, bounded_masks, masked_in_pieces, to_bins
from tests.support.fakes import FakeModel, fake_spec
from tests.support.reference import reference_steering
from tests.support.signals import noise


def _spectra(frames, bins, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((2, frames, 2, bins))
    return (values[0] + 1j * values[1]).astype(np.complex64)


def test_a_steered_filter_is_the_matrix_of_its_definition():
    rng = np.random.default_rng(1)
    spectra, filters = _spectra(3, 5), rng.uniform(-1, 1, (3, 2, 4, 5)).astype(np.float32)
    azimuth = np.array([[-45, 10], [-20, 0], [0, 45]], np.float32)
    found = apply_masks(filters, spectra, azimuth)
    for k in range(3):
        for target in range(2):
            matrix = reference_steering(azimuth[k, target], filters[k, target])
            expected = np.einsum("ijb,jb->ib", matrix, spectra[k])
            np.testing.assert_allclose(found[k, target], expected, atol=1e-5)


def test_the_filter_of_the_mixture_leaves_the_mixture():
    filters = np.zeros((1, 1, 4, 4), np.float32)
    filters[:, :, [0, 3]] = 1
    spectra = _spectra(1, 4)
    found = apply_masks(filters, spectra, np.array([[17.0]], np.float32))
    np.testing.assert_allclose(found[:, 0], spectra, atol=1e-6)


def test_masks_of_channels_apply_to_their_channel():
    spectra = _spectra(2, 4)
    masks = np.zeros((2, 1, 2, 4), np.float32)
    masks[:, :, 1] = 1
    found = apply_masks(masks, spectra, None)
    assert np.array_equal(found[:, 0, 1], spectra[:, 1])
    assert not found[:, 0, 0].any()


@pytest.mark.parametrize("axes", [1, 2, 4])
@pytest.mark.parametrize("most", [1, 2, 3, 8, 20])
def test_targets_in_pieces_are_those_that_are_made_at_once(axes, most):
    rng = np.random.default_rng(0)
    spectra, masks = _spectra(3, 50), rng.uniform(-1, 1, (3, 5, axes, 50)).astype(np.float32)
    azimuth = rng.uniform(-45, 45, (3, 5)).astype(np.float32) if axes == 4 else None
    whole = apply_masks(masks, spectra, azimuth)
    found = np.zeros_like(whole)
    for when, group, part in masked_in_pieces(masks, spectra, azimuth, most):
        assert part.shape[0] * part.shape[1] <= most
        assert part.shape[0] == when.stop - when.start
        assert not found[when, group].any(), "nothing comes twice"
        assert when.start == 0 or found[when.start - 1, group].any(), "frames come in order"
        found[when, group] = part
    assert np.array_equal(found, whole)


def test_a_null_of_a_neighbour_is_exact_to_the_rounding_of_single_precision():
    """Target at 10°, neighbour at 14°: c = cot 4° takes all of it away, at 120 dB below it."""
    spectra = _spectra(2, 400, seed=3)[:, :1]
    theta = np.deg2rad(45 + 14)
    mixture = (np.array([np.cos(theta), np.sin(theta)])[:, None] * spectra).astype(np.complex64)
    filters = np.zeros((2, 1, 4, 400), np.float32)
    filters[:, :, 0], filters[:, :, 1] = 1, -1 / np.tan(np.deg2rad(4))
    found = apply_masks(filters, mixture, np.full((2, 1), 10, np.float32))
    assert np.abs(found).max() < 4e-6 * np.abs(mixture).max()


def test_bins_above_the_band_take_the_mask_of_its_top():
    masks = np.linspace(0, 1, 64, dtype=np.float32)[None, None, None]
    fitted = to_bins(masks, 100)
    assert np.array_equal(fitted[..., :64], masks)
    np.testing.assert_allclose(fitted[..., 64:], masks[..., -16:].mean(), rtol=1e-6)
    assert np.array_equal(to_bins(masks, 40), masks[..., :40])


@pytest.mark.parametrize("mask_axes", ["mixture", "channels", "steered"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_targets_of_a_model_that_gives_no_numbers_are_the_mixture(mask_axes, value):
    model = FakeModel(lambda *_: np.full((1, 1, 1, 1), value), fake_spec(mask_axes=mask_axes))
    separator = Separator(model, 44_100)
    separator.set(azimuth_deg=20)
    mixture = noise(2, 8192)
    target, residual = separator.process(mixture)
    late = separator.latency
    assert np.abs(target[:, late:] - mixture[:, :-late]).max() < 1e-6
    assert np.abs(residual).max() < 1e-6
    assert separator.model_faults > 0
    faults = separator.model_faults
    separator.flush()
    assert separator.model_faults > faults, "the counts outlive the stream"
    faults = separator.model_faults
    separator.reset()
    assert separator.model_faults == faults


@pytest.mark.parametrize("mask_axes", ["mixture", "channels", "steered"])
@pytest.mark.parametrize("value", [17.0, -50.0, 1e6, -1e30, 3e38])
def test_absurd_masks_leave_finite_sound_at_most_24_db_above_the_mixture(mask_axes, value):
    model = FakeModel(lambda *_: np.full((1, 1, 1, 1), value), fake_spec(mask_axes=mask_axes))
    separator = Separator(model, 44_100)
    separator.set(azimuth_deg=-30)
    mixture = noise(2, 16_384)
    target = separator.process(mixture)[0]
    assert np.isfinite(target).all()
    gain_db = 10 * np.log10(np.square(target).sum() / np.square(mixture).sum())
    assert 10 < gain_db <= 24.1
    assert separator.model_faults > 0


def test_the_gain_of_a_filter_is_bounded_where_it_is_too_great_alone():
    rng = np.random.default_rng(0)
    masks = rng.uniform(-1, 1, (3, 2, 4, 50)).astype(np.float32)
    found, sound = bounded_masks(masks)
    assert found is masks
    assert sound
    masks[1, 0, :, 7] *= 1e20
    found, sound = bounded_masks(masks)
    matrices = np.moveaxis(found, 2, -1).reshape(-1, 2, 2).astype(np.float64)
    assert np.linalg.norm(matrices, 2, axis=(1, 2)).max() <= MAX_GAIN * (1 + 1e-6)
    assert not sound
    others = np.ones(masks.shape, bool)
    others[1, 0, :, 7] = False
    assert np.array_equal(found[others], masks[others])


def test_a_strong_filter_that_is_still_sound_is_no_fault():
    masks = np.zeros((1, 1, 4, 8), np.float32)
    masks[:, :, 0], masks[:, :, 1] = 1.0, 12.0  # of the steepest null that is learned
    found, sound = bounded_masks(masks)
    assert sound
    assert np.array_equal(found, masks)
