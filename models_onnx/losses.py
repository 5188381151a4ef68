"""Training losses on stereo spectra and signals.

Compressed spectra weigh quiet partials like loud ones (Ephrat et al., "Looking to listen at the
cocktail party", 2018; Wilson et al., "Exploring tradeoffs in models for low-latency speech
enhancement", 2018); a small time-domain term keeps the phase-exact sum in view.
"""

from __future__ import annotations

from dataclasses import dataclass

from fast_bss_eval import si_sdr
from torch import Tensor

TINY = 1e-8
SILENT_DB = -55.0
"""A target quieter than this, against its mixture, has no defined SI-SDR."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms, and the exponent of the compression."""

    magnitude: float = 1.0
    complex: float = 0.3
    si_sdr: float = 0.002
    exponent: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.exponent <= 1:
            raise ValueError(f"exponent is {self.exponent}, expected 0 < exponent <= 1")


def compressed(spectra: Tensor, exponent: float) -> tuple[Tensor, Tensor]:
    """|S|^exponent and |S|^exponent · e^{j arg S}, the gradient finite where S is zero."""
    power = spectra.real.square() + spectra.imag.square() + TINY
    magnitude = power ** (exponent / 2)
    return magnitude, spectra * (magnitude / power.sqrt())


def spectral_terms(estimate: Tensor, target: Tensor, exponent: float) -> tuple[Tensor, Tensor]:
    """Mean squared error of the compressed magnitudes and of the compressed complex spectra."""
    estimate_magnitude, estimate_complex = compressed(estimate, exponent)
    target_magnitude, target_complex = compressed(target, exponent)
    magnitude = (estimate_magnitude - target_magnitude).square().mean()
    difference = estimate_complex - target_complex
    return magnitude, (difference.real.square() + difference.imag.square()).mean()


def stereo_si_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """SI-SDR in dB of (..., channels, samples) with one scale for all channels; returns (...).

    Unlike the mean over channels it is finite for a hard-panned target, and it sees an error of
    the level difference between the channels. The gradient fades beyond 40 dB.
    """
    shape = target.shape[:-2]
    flat = si_sdr(
        target.reshape(-1, 1, target.shape[-2] * target.shape[-1]),
        estimate.reshape(-1, 1, target.shape[-2] * target.shape[-1]),
        clamp_db=40.0,
    )
    return flat.reshape(shape)


def audible(target: Tensor, mixture: Tensor) -> Tensor:
    """Whether each target (..., channels, samples) is loud enough to have an SI-SDR."""
    energy = target.square().sum((-2, -1))
    return energy > mixture.square().sum((-2, -1)) * 10 ** (SILENT_DB / 10) + TINY


def signal_term(estimate: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
    """Mean SI-SDR in dB of the audible targets; all (..., channels, samples). 0 if none is."""
    loud = audible(target, mixture)
    if not loud.any():
        return estimate.sum() * 0
    return stereo_si_sdr(estimate[loud], target[loud]).mean()
