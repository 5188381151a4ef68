"""What is learned of masks: an error of magnitudes, an SNR, and how loud the absent comes out."""

from __future__ import annotations

import torch
from torch import Tensor

from models_onnx.training.losses import TINY, energy_ratio_db
from models_onnx.training.task import TRAINED_DB

ABSENT = 0.3
"""What a decibel less of what is not there counts, beside one more of SNR. If it counts as much,
and down to −40 dB, sounds that training has not met are taken for absent, too."""
SILENT_DB = -25.0
"""What is not there and comes out softer than this is silent enough."""


def masked_terms(
    masks: Tensor, mixture: Tensor, targets: Tensor, *, is_l1: bool = False
) -> dict[str, Tensor]:
    """Return what is learned of masks: an error, an SNR and a level.

    The error of compressed magnitudes, squared or, with `is_l1`, absolute; the mean SNR of what is
    audible, dB; and the mean of `absent_db` over all questions.

    masks (B, K, F, 2, bins), or (B, K, F, 1, bins) for both channels, whose magnitude is then one;
    spectra (B, 1, F, 2, bins) of mixtures and (B, K, F, 2, bins) of targets. The energy of the
    error of a mask m is Σ m²|x|² − 2 m Re x*t + |t|², so only m has a gradient to carry.
    """

    def of_masks(numbers: Tensor) -> Tensor:  # (..., 2, bins): of each channel, or of both
        return numbers.sum(-2, keepdim=True) if masks.shape[-2] == 1 else numbers

    given, wanted = of_masks(power(mixture)), of_masks(power(targets))
    error = (masks + 1e-4).sqrt() * (given + TINY).pow(0.25) - (wanted + TINY).pow(0.25)
    whole, energy = given.sum((-3, -2, -1)), wanted.sum((-3, -2, -1))  # (B, 1), (B, K)
    loud = energy > whole * 10 ** (TRAINED_DB / 10) + TINY
    scenes = loud.nonzero()[:, 0]
    mask, heard, asked = masks[loud], mixture[scenes, 0], targets[loud]  # (n, F, 1 or 2, bins)
    common = of_masks(heard.real * asked.real + heard.imag * asked.imag)
    noise = (mask.square() * given[scenes, 0] - 2 * mask * common).sum((-3, -2, -1)) + energy[loud]
    db = energy_ratio_db(energy[loud], noise.clamp(min=0.0))
    left = (masks.square() * given).sum((-3, -2, -1))
    return {
        "magnitude": (error.abs() if is_l1 else error.square()).mean(),
        "snr_db": db.sum() / max(1, len(db)),
        "absent_db": absent_db(left, energy, whole.expand_as(energy)).mean(),
    }


def absent_db(left: Tensor, wanted: Tensor, mixture: Tensor) -> Tensor:
    """Return the level of what is given where nothing is wanted, dB of the mixture; 0 elsewhere.

    Of the energies of what is given, of what is wanted and of the mixture, of any one shape.
    """
    silent = wanted <= mixture * 1e-8
    level_db = 10 * torch.log10(left / (mixture + TINY) + 10 ** (SILENT_DB / 10))
    return torch.where(silent, level_db, torch.zeros_like(level_db))


def power(spectra: Tensor) -> Tensor:
    """Return |S|² of complex spectra."""
    return spectra.real.square() + spectra.imag.square()
