import numpy as np

from realtime.masks import apply_masks, to_bins
from tests.support.reference import reference_steering


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


def test_bins_above_the_band_take_the_mask_of_its_top():
    masks = np.linspace(0, 1, 64, dtype=np.float32)[None, None, None]
    fitted = to_bins(masks, 100)
    assert np.array_equal(fitted[..., :64], masks)
    np.testing.assert_allclose(fitted[..., 64:], masks[..., -16:].mean(), rtol=1e-6)
    assert np.array_equal(to_bins(masks, 40), masks[..., :40])
