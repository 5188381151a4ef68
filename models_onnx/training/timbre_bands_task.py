"""What the band-split separator learns: filters by timbre, by direction, and by both.

As for masks by timbre alone (`timbre_masks`), errors of compressed magnitudes and the SNR of what
is audible count, of T and N; and how loud what is not there comes out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models_onnx.networks.band_split import filtered, looked, turned
from models_onnx.networks.encoders.listen import CLIP, CLIP_BINS
from models_onnx.networks.stft import analyse
from models_onnx.networks.timbre_bands import TimbreBands
from models_onnx.training.batches import Batch
from models_onnx.training.losses import TINY, LossWeights, energy_ratio_db
from models_onnx.training.mask_terms import ABSENT, absent_db
from models_onnx.training.task import TRAINED_DB
from models_onnx.training.timbre_masks import TimbreMaskTask
from models_onnx.training.timbre_questions import Asking, TimbreBatch
from realtime.spec import ModelSpec

ASKING = Asking(
    direction=0.06, query=0.15, both=0.20, against=0.08, family=0.04, absent=0.12, clips=1
)


class TimbreBandsTask(TimbreMaskTask):
    """A `TimbreBands`, and batches of questions by timbre and direction."""

    def __init__(self, network: nn.Module, spec: ModelSpec, tier: str, device: str = "cpu") -> None:
        super().__init__(network, spec, tier, device)
        assert isinstance(network, TimbreBands)
        self.window = self._windows[0]
        self._hop = network.config.bands.tier.hop * network.config.bands.every

    def spectra(self, signal: Tensor) -> Tensor:
        """Return spectra (..., F, 2, bins) of a signal, a quarter as dense as those of a stream."""
        return analyse(signal, self.window, self._hop)[..., : self.spec.bins]

    def seen(self, spectra: Tensor, batch: TimbreBatch) -> Tensor:
        """Return T and N (n, F, 2, bins, 2) of spectra (B, K or 1, F, 2, bins), one a question."""
        azimuth_deg, width_deg = batch.conditions["direction"].flatten(0, 1).unbind(-1)
        parts = torch.view_as_real(spectra.expand(-1, batch.targets.shape[1], -1, -1, -1))
        return turned(parts.flatten(0, 1), looked(azimuth_deg, width_deg)[:, None])

    def filters(self, network: nn.Module, seen: Tensor, batch: TimbreBatch) -> Tensor:
        """Return filters (n, F, 3, bins) of what is seen for each question."""
        assert isinstance(network, TimbreBands)
        with torch.no_grad():  # the encoder is kept
            clips = analyse(batch.clips, self._clip_window, CLIP.hop)[..., :CLIP_BINS]
            heard = network.listen(torch.view_as_real(clips))
            timbre, against = (
                network.mixed(weights, heard).flatten(0, 1)
                for weights in (batch.positive, batch.negative)
            )
        direction = batch.conditions["direction"].flatten(0, 1)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            return network.told(seen, direction, timbre, against)

    def estimates(self, network: nn.Module, mixture: Tensor, batch: TimbreBatch) -> Tensor:
        """Return what is given (B, K, F, 2, bins) of mixtures (B, F, 2, bins)."""
        seen = self.seen(mixture[:, None], batch)
        found = filtered(self.filters(network, seen, batch), seen)
        azimuth_deg, width_deg = batch.conditions["direction"].flatten(0, 1).unbind(-1)
        back_deg = -90 - looked(azimuth_deg, width_deg)  # 0° is turned by 45°
        found = turned(found, back_deg[:, None]).contiguous()
        return torch.view_as_complex(found).unflatten(0, batch.targets.shape[:2])

    def losses(
        self, batch: Batch, weights: LossWeights, stride: int, step: int
    ) -> dict[str, Tensor]:
        """Return the weighted loss and its terms."""
        assert isinstance(batch, TimbreBatch)
        level = batch.mixture.square().mean((-2, -1)).sqrt() + 1e-4  # (B,)
        unit = (1 / (level * self.window.norm()))[:, None, None, None, None]
        with torch.no_grad():
            seen = self.seen(self.spectra(batch.mixture)[:, None] * unit, batch)
            wanted = self.seen(self.spectra(batch.targets) * unit, batch)
        estimate = filtered(self.filters(self.network, seen, batch), seen)
        terms = filtered_terms(estimate, wanted, seen)
        loss = weights.magnitude * terms["magnitude"] - weights.snr * terms["snr_db"]
        loss = loss + weights.snr * ABSENT * terms["absent_db"]
        return {"loss": loss, **terms}


def filtered_terms(estimate: Tensor, wanted: Tensor, mixture: Tensor) -> dict[str, Tensor]:
    """Return the terms of estimates of targets (n, F, 2, bins, 2) in mixtures of that shape.

    The error of compressed magnitudes; the mean SNR of what is audible, dB; and the mean level of
    what is given where nothing is wanted, against the mixture, dB, times the share of such
    questions.
    """
    compressed = [(x.square().sum(-1) + TINY).pow(0.25) for x in (estimate, wanted)]
    magnitude = (compressed[0] - compressed[1]).square().mean()
    energy, given = wanted.square().sum((1, 2, 3, 4)), mixture.square().sum((1, 2, 3, 4))
    loud = energy > given * 10 ** (TRAINED_DB / 10) + TINY
    error = (estimate - wanted).square().sum((1, 2, 3, 4))
    db = torch.where(loud, energy_ratio_db(energy.clamp(min=TINY), error), torch.zeros_like(error))
    left = estimate.square().sum((1, 2, 3, 4))
    return {
        "magnitude": magnitude,
        "snr_db": db.sum() / loud.sum().clamp(min=1),
        "absent_db": absent_db(left, energy, given).mean(),
    }
