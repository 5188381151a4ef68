"""Training of the direction refiner of `steer` alone: many wrong directions for every source."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional

from models_onnx.networks.steer.cells import covariances, pool
from models_onnx.networks.steer.direction import place_of
from models_onnx.networks.steer.network import Steer
from models_onnx.networks.stft import analyse
from models_onnx.training.batches import DOUBT, POINT_WIDTHS_DEG, Batch
from models_onnx.training.losses import LossWeights
from models_onnx.training.task import SeparationTask, sounding
from realtime.spec import ModelSpec

QUESTIONS = 8
RIGHT = 0.3  # of the questions have the right direction
EVERY = 1024  # samples; the histograms change slowly
VALIDATED_DEG = 4.0


class RefinerTask(SeparationTask):
    """Trains where in the opening a source is, by cross entropy over places, and nothing else.

    Its batches ask for sources exactly (`Aims.exact`); the wrong directions are drawn here.
    """

    def __init__(self, network: Steer, spec: ModelSpec, tier: str, device: str = "cpu") -> None:
        super().__init__(network, spec, tier, device)
        self.steer = network

    def losses(
        self, batch: Batch, weights: LossWeights, stride: int, step: int
    ) -> dict[str, Tensor]:
        """Return the cross entropy, and how often the likeliest place is at most one off."""
        hop, unit = self.tier.hop, 1 / self._windows[0].norm()
        every = max(1, EVERY // hop)
        level = batch.mixture.square().mean((-2, -1)).sqrt() + 1e-4
        with torch.no_grad():
            spectra = analyse(batch.mixture, self._windows[0], hop)[..., : self.spec.bins]
            instant = pool(covariances(torch.view_as_real(spectra)), self.steer.config.scale)
            histograms = self.steer.observe(instant)[1][:, ::every]  # (B, F, ...)
            targets = analyse(batch.targets, self._windows[0], hop * every)
            sounds = sounding(targets * (unit / level)[:, None, None, None, None])  # (B, K, F)
            told, off_deg = self._ask(batch.conditions["direction"][..., 0])
        frames = histograms.shape[1]
        direction = told[:, None].expand(-1, frames, -1, -1)
        logits = self.steer.aim(histograms, direction).transpose(1, 2)
        place = place_of(off_deg, told[..., 1])[..., None].expand(-1, -1, frames)
        heard = sounds.repeat_interleave(QUESTIONS, 1)
        loss = functional.cross_entropy(logits[heard], place[heard])
        hit = (logits.argmax(-1) - place).abs() <= 1
        return {"loss": loss, "hit": hit[heard].float().mean()}

    def _ask(self, azimuth_deg: Tensor) -> tuple[Tensor, Tensor]:
        """Draw directions (B, K · questions, 2) around true ones (B, K), and by how much off."""
        true_deg = azimuth_deg.repeat_interleave(QUESTIONS, 1)
        width_deg = torch.empty_like(true_deg).uniform_(*POINT_WIDTHS_DEG)
        part = (torch.randn_like(true_deg) * DOUBT).clamp(-0.5, 0.5)
        part = part * (torch.rand_like(true_deg) >= RIGHT)
        told_deg = (true_deg - part * width_deg).clamp(-45, 45)
        return torch.stack([told_deg, width_deg], -1), true_deg - told_deg

    def gain_db(self, network: nn.Module, batch: Batch) -> tuple[float, float] | None:
        """Return what a `SeparationTask` does, with directions wrong by ±4° in turn."""
        direction = batch.conditions["direction"].clone()
        sign = 1 - 2 * (torch.arange(direction[..., 0].numel(), device=direction.device) % 2)
        wrong = direction[..., 0] + VALIDATED_DEG * sign.reshape(direction.shape[:2])
        direction[..., 0] = wrong.clamp(-45, 45)
        return super().gain_db(
            network, dataclasses.replace(batch, conditions={"direction": direction})
        )
