"""What is learned: a network at one tier, from batches of scenes to losses and decibels."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from models_onnx.networks.output import NetworkOutput
from models_onnx.networks.stft import analyse, apply_masks, synthesise, window_tensors
from models_onnx.training.batches import Batch
from models_onnx.training.losses import LossWeights, audible, snr_db, spectral_terms, stereo_si_sdr
from realtime.spec import ModelSpec, Tier

ACTIVE_DB = -30.0
"""A target sounds in a frame if its power there is above this against the mixture's mean."""
TRAINED_DB, JUDGED_DB = -25.0, -20.0
"""Targets quieter than this against their mixture have no SNR in training, in validation."""


class Estimate(NamedTuple):
    """What a network makes of a batch.

    spectra (scenes, targets, frames, 2, bins); changed (scenes, frames): which question a frame
    answers, False for the target's own, True for its neighbour's; activity_logit (scenes, targets,
    frames), of networks that have it.
    """

    spectra: Tensor
    changed: Tensor
    activity_logit: Tensor | None


def sounding(spectra: Tensor) -> Tensor:
    """Return whether a target sounds in a frame: (..., frames, 2, bins) to (..., frames).

    The spectra are scaled so that noise of the mixture's power has |S|² of one.
    """
    power = (spectra.real.square() + spectra.imag.square()).mean((-2, -1))
    return power > 10 ** (ACTIVE_DB / 10)


class SeparationTask:
    """What is learned: one network at one tier, from batches to losses."""

    def __init__(self, network: nn.Module, spec: ModelSpec, tier: str, device: str = "cpu") -> None:
        self.network, self.spec, self.tier_name = network.to(device), spec, tier
        self.tier: Tier = spec.tier(tier)
        self.device = torch.device(device)
        self._windows = window_tensors(self.tier, device)
        self._half = device == "cuda" or (device == "cpu" and _cpu_has_bfloat16())

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return groups of what is trained, each with the share of the run's rate that it has."""
        return [{"params": [w for w in self.network.parameters() if w.requires_grad], "share": 1.0}]

    def estimate(self, network: nn.Module, batch: Batch) -> Estimate:
        """Separate a batch."""
        spectra = analyse(batch.mixture, self._windows[0], self.tier.hop)  # (B, F, 2, bins)
        frames, ahead = spectra.shape[1], self.tier.lookahead
        place = torch.arange(frames, device=self.device) / frames
        changed = place >= batch.change[:, None]  # (B, F)
        conditions = {}
        for name, value in batch.conditions.items():  # (B, K, size) -> (B, F, K, size)
            other = value.roll(-1, 1)[:, None]
            conditions[name] = torch.where(changed[..., None, None], other, value[:, None])
        seen = torch.view_as_real(spectra[..., : self.spec.bins])  # (B, F, 2, bins, 2)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            answer: NetworkOutput = network(seen, conditions)
        logit = answer.activity_logit
        if logit is not None:
            logit = logit.float().transpose(1, 2)[:, :, ahead:]
        masks = answer.masks.float().transpose(1, 2)[:, :, ahead:]  # (B, K, F, axes, bins)
        azimuth_deg = None
        if self.spec.mask_axes == "steered":
            azimuth_deg = conditions["direction"][..., 0].transpose(1, 2)[:, :, ahead:]
        spectra = spectra[:, None, : frames - ahead]
        estimate = apply_masks(masks, spectra, self.spec.mask_axes, azimuth_deg)
        return Estimate(estimate, changed[:, ahead:], logit)

    def losses(
        self, batch: Batch, weights: LossWeights, stride: int, step: int
    ) -> dict[str, Tensor]:
        """Return the weighted loss and its terms."""
        scale = 1 / (batch.mixture.square().mean((-2, -1), keepdim=True).sqrt() + 1e-4)
        batch = dataclasses.replace(
            batch, mixture=batch.mixture * scale, targets=batch.targets * scale[:, None]
        )
        estimate, changed, logit = self.estimate(self.network, batch)
        start = step % stride
        hop = self.tier.hop
        some = slice(start, None, stride)
        target = analyse(batch.targets[..., start * hop :], self._windows[0], hop * stride)
        estimate_some, changed_some = estimate[:, :, some], changed[:, None, some]
        target = target[:, :, : estimate_some.shape[2]]
        target = torch.where(changed_some[..., None, None], target.roll(-1, 1), target)
        unit = 1 / self._windows[0].norm()  # white noise of unit power has |S| of about one
        magnitude, complex_ = spectral_terms(estimate_some * unit, target * unit, weights.exponent)
        signals, answers, mixture = self._signals(estimate, batch)
        steady = (batch.change >= 1).float()[:, None, None, None]
        loud = audible(answers * steady, mixture, TRAINED_DB).float()
        db = (snr_db(signals, answers) * loud).sum() / loud.sum().clamp(min=1)
        loss = weights.magnitude * magnitude + weights.complex * complex_ - weights.snr * db
        terms = {"magnitude": magnitude, "complex": complex_, "snr_db": db}
        sounds = sounding(target * unit)
        if logit is not None:
            terms["activity"] = binary_cross_entropy_with_logits(logit[:, :, some], sounds.float())
            loss = loss + weights.activity * terms["activity"]
        return {"loss": loss, **terms}

    def gain_db(self, network: nn.Module, batch: Batch) -> tuple[float, float] | None:
        """Return the mean SI-SDR of the estimates, and how far it is above that of the mixture.

        None if no target of the batch is loud enough.
        """
        estimate = self.estimate(network, batch).spectra
        signals, answers, mixture = self._signals(estimate, batch)
        loud = audible(answers, mixture, JUDGED_DB)
        if not loud.any():
            return None
        before = stereo_si_sdr(mixture.expand_as(answers)[loud], answers[loud])
        after = stereo_si_sdr(signals[loud], answers[loud])
        return after.mean().item(), (after - before).mean().item()

    def _signals(self, estimate: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Estimate, target and mixture in time, aligned, without the unfinished overlap."""
        short, hop = self.tier.synthesis, self.tier.hop
        signals = synthesise(estimate, self._windows[1], hop)[..., short - hop :]
        start = self.tier.window - hop
        span = slice(start, start + signals.shape[-1])
        return signals, batch.targets[..., span], batch.mixture[:, None, :, span]


def _cpu_has_bfloat16() -> bool:
    return torch.cpu._is_amx_tile_supported()  # avx512_bf16 alone is slower than float32
