"""Training losses on stereo spectra and signals.

Compressed spectra weigh quiet partials like loud ones (Ephrat et al., "Looking to listen at the
cocktail party", 2018; Wilson et al., "Exploring tradeoffs in models for low-latency speech
enhancement", 2018); the signal-to-noise ratio in time keeps masks at the level of the target.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from fast_bss_eval import si_sdr
from torch import Tensor

TINY = 1e-8
ENOUGH_DB = 20.0


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms, and the exponent of the compression.

    A tenth of the squared error is then about as much by the spectra as by the SNR.
    """

    magnitude: float = 2.0
    complex: float = 0.6
    snr: float = 0.02
    activity: float = 0.02
    exponent: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.exponent <= 1:
            raise ValueError(f"exponent is {self.exponent}, expected 0 < exponent <= 1")


def spectral_terms(estimate: Tensor, target: Tensor, exponent: float) -> tuple[Tensor, Tensor]:
    """Return mean squared errors of compressed magnitudes and of compressed complex spectra."""
    return compressed_errors(torch.view_as_real(estimate), torch.view_as_real(target), exponent)


def compressed_errors(estimate: Tensor, target: Tensor, exponent: float) -> tuple[Tensor, Tensor]:
    """Return `spectral_terms` of real and imaginary parts (..., 2).

    Compressed is |S|^exponent · e^{j arg S}; the gradient is finite where S is zero.
    """
    power, true_power = estimate.square().sum(-1) + TINY, target.square().sum(-1) + TINY
    magnitude, true_magnitude = power ** (exponent / 2), true_power ** (exponent / 2)
    scale, true_scale = magnitude * power.rsqrt(), true_magnitude * true_power.rsqrt()
    difference = estimate * scale[..., None] - target * true_scale[..., None]
    return (magnitude - true_magnitude).square().mean(), difference.square().sum(-1).mean()


def snr_db(estimate: Tensor, target: Tensor) -> Tensor:
    """Energy of the target over that of the error, dB, of (..., channels, samples): (...).

    Its best estimate is the mean over what the target may be, so masks are not shrunk where it is
    uncertain, as they are by compressed spectra. The gradient fades at `ENOUGH_DB`: easy scenes
    would otherwise ask for masks of exactly one, and drown those that are not.
    """
    energy = target.square().sum((-2, -1)) + TINY
    error = (target - estimate).square().sum((-2, -1))
    return energy_ratio_db(energy, error)


def energy_ratio_db(energy: Tensor, error: Tensor) -> Tensor:
    """Return the energy of targets over that of errors, dB, at most `ENOUGH_DB`."""
    return -10 * torch.log10(error / energy + 10 ** (-ENOUGH_DB / 10))


def stereo_si_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """SI-SDR in dB of (..., channels, samples) with one scale for all channels; returns (...).

    Unlike the mean over channels it is finite for a hard-panned target, and it sees an error of
    the level difference between the channels.
    """
    length = target.shape[-2] * target.shape[-1]
    flat = si_sdr(target.reshape(-1, 1, length), estimate.reshape(-1, 1, length), clamp_db=60.0)
    return flat.reshape(target.shape[:-2])


def audible(target: Tensor, mixture: Tensor, floor_db: float) -> Tensor:
    """Return whether targets (..., channels, samples) are louder than this beside the mixture."""
    energy = target.square().sum((-2, -1))
    return energy > mixture.square().sum((-2, -1)) * 10 ** (floor_db / 10) + TINY
