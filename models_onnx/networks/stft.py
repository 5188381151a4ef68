"""The transform of `realtime.stft` in torch, batched and differentiable, and masks on its spectra.

Shapes: signal (..., channels, samples) float32; spectra (..., frames, channels, bins) complex64;
masks (..., frames, axes, bins) in [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from realtime.spec import Tier
from realtime.stft import windows

TOP_BAND = 16  # as in realtime.masks


def window_tensors(tier: Tier, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Return the analysis window (window,) and the synthesis window (synthesis,) of a tier."""
    analysis, synthesis = windows(tier)
    return torch.from_numpy(analysis).to(device), torch.from_numpy(synthesis).to(device)


def analyse(signal: Tensor, window: Tensor, hop: int) -> Tensor:
    """Transform every whole frame of `signal`; equals `realtime.stft.analyse`.

    Returns spectra (..., frames, channels, bins) with frames = (samples − window) // hop + 1.
    """
    frames = signal.unfold(-1, window.numel(), hop) * window  # (..., channels, frames, window)
    return torch.fft.rfft(frames).transpose(-3, -2)


def synthesise(spectra: Tensor, window: Tensor, hop: int) -> Tensor:
    """Overlap-add frames to (..., channels, frames · hop); equals `realtime.stft.synthesise`.

    The overlap starts empty, so the first synthesis − hop samples are unfinished: sample j is
    sample window − synthesis + j of the signal that was analysed.
    """
    *lead, frames, channels, bins = spectra.shape
    short = window.numel()
    slots = short // hop
    pieces = torch.fft.irfft(spectra, 2 * (bins - 1))[..., -short:] * window
    pieces = pieces.transpose(-3, -2).reshape(*lead, channels, frames, slots, hop)
    out = pieces.new_zeros(*lead, channels, frames + slots - 1, hop)
    for slot in range(slots):
        out[..., slot : slot + frames, :] += pieces[..., slot, :]
    return out[..., :frames, :].flatten(-2)


def steer(spectra: Tensor, theta: Tensor) -> Tensor:
    """Rotate left and right to T = L cos θ + R sin θ and N = R cos θ − L sin θ.

    Parameters
    ----------
    spectra : (..., frames, 2, bins).
    theta : angle in radians, (..., frames); minus the angle turns T and N back.
    """
    cos, sin = torch.cos(theta)[..., None], torch.sin(theta)[..., None]
    left, right = spectra.unbind(-2)
    return torch.stack([left * cos + right * sin, right * cos - left * sin], -2)


def apply_masks(masks: Tensor, spectra: Tensor, axes: str, azimuth_deg: Tensor | None) -> Tensor:
    """Multiply `spectra` by `masks` of the meaning `axes`, as `realtime.masks` does.

    Parameters
    ----------
    masks : (..., frames, axes, bins), with fewer bins than `spectra` if the model sees only the
        lowest ones: the others take the mean mask of the highest 16 it sees.
    spectra : (..., frames, 2, bins).
    axes : one of `realtime.spec.MASK_AXES`.
    azimuth_deg : (..., frames), −45 … +45; only for steered masks.
    """
    missing = spectra.shape[-1] - masks.shape[-1]
    if missing:
        top = masks[..., -TOP_BAND:].mean(-1, keepdim=True)
        masks = torch.cat([masks, top.expand(*masks.shape[:-1], missing)], -1)
    if axes != "steered":
        return spectra * masks
    if azimuth_deg is None:
        raise ValueError("steered masks need the azimuth they are steered to")
    parts = torch.view_as_real(spectra)
    filtered = steered(masks, parts.expand(*masks.shape[:-2], *parts.shape[-3:]), azimuth_deg)
    return torch.view_as_complex(filtered)


def steered(masks: Tensor, parts: Tensor, azimuth_deg: Tensor) -> Tensor:
    """Apply masks (..., 4, bins) in a direction to real and imaginary parts (..., 2, bins, 2).

    In real arithmetic, and as one filter of left and right: [T N] is a rotation of [L R], so what
    is T-to-T … N-to-N becomes left-to-left … right-to-right.
    """
    theta = torch.deg2rad(azimuth_deg + 45)[..., None]
    cos, sin = torch.cos(theta), torch.sin(theta)
    tt, tn, nt, nn = masks.unbind(-2)
    # T = cos L + sin R, N = −sin L + cos R; back: L = cos T − sin N, R = sin T + cos N
    t_left, t_right = tt * cos - tn * sin, tt * sin + tn * cos
    n_left, n_right = nt * cos - nn * sin, nt * sin + nn * cos
    left, right = parts.unbind(-3)
    return torch.stack(
        [
            (cos * t_left - sin * n_left)[..., None] * left
            + (cos * t_right - sin * n_right)[..., None] * right,
            (sin * t_left + cos * n_left)[..., None] * left
            + (sin * t_right + cos * n_right)[..., None] * right,
        ],
        -3,
    )
