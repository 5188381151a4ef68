"""Masks by timbre alone: what is asked, and what is learned of an answer.

L1 on magnitudes made a network silent within minutes, so they are compressed (exponent 0.5,
squared), and the SNR of what is audible joins them, and the level of what is not there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models_onnx.networks.encoders.listen import CLIP, CLIP_BINS
from models_onnx.networks.stft import analyse, window_tensors
from models_onnx.networks.timbre import TimbreSpace
from models_onnx.training.batches import Batch
from models_onnx.training.losses import LossWeights
from models_onnx.training.mask_terms import ABSENT, masked_terms
from models_onnx.training.task import SeparationTask
from models_onnx.training.timbre_check import Judged, judged_spectra
from models_onnx.training.timbre_questions import TimbreBatch
from realtime.spec import ModelSpec


class TimbreMaskTask(SeparationTask):
    """A network that gives masks by timbre, with an encoder that is kept.

    A subclass says which spectra it sees and what it makes of them.
    """

    window: Tensor
    """That of the spectra."""

    def __init__(self, network: nn.Module, spec: ModelSpec, tier: str, device: str = "cpu") -> None:
        super().__init__(network, spec, tier, device)
        self._clip_window = window_tensors(CLIP, device)[0]

    def spectra(self, signal: Tensor) -> Tensor:
        """Return spectra (..., F, 2, bins) of a signal (..., 2, samples)."""
        raise NotImplementedError

    def told(self, network: nn.Module, mixture: Tensor, timbres: Tensor) -> Tensor:
        """Return masks (n, F, 2, bins) of mixtures (n, F, 2, bins), told timbres (n, size)."""
        raise NotImplementedError

    def masks(self, network: nn.Module, mixture: Tensor, batch: TimbreBatch) -> Tensor:
        """Return masks (B, K, F, 2, bins) of what is asked of mixtures (B, F, 2, bins)."""
        assert isinstance(network, TimbreSpace)
        spectra = analyse(batch.clips, self._clip_window, CLIP.hop)[..., :CLIP_BINS]
        with torch.no_grad():  # the encoder is kept
            heard = network.listen(torch.view_as_real(spectra))
            timbres = network.mixed(batch.positive, heard)  # (B, K, size)
        scenes, questions = timbres.shape[:2]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            found = self.told(
                network, mixture.repeat_interleave(questions, 0), timbres.flatten(0, 1)
            )
        return found.float().unflatten(0, (scenes, questions))

    def estimates(self, network: nn.Module, mixture: Tensor, batch: TimbreBatch) -> Tensor:
        """Return what is given (B, K, F, 2, bins) of mixtures (B, F, 2, bins)."""
        return self.masks(network, mixture, batch) * mixture[:, None]

    def losses(
        self, batch: Batch, weights: LossWeights, stride: int, step: int
    ) -> dict[str, Tensor]:
        """Return the weighted loss and its terms."""
        assert isinstance(batch, TimbreBatch)
        mixture, targets = self.spectra(batch.mixture), self.spectra(batch.targets)
        masks = self.masks(self.network, mixture, batch)
        level = batch.mixture.square().mean((-2, -1)).sqrt() + 1e-4  # (B,)
        unit = 1 / (level * self.window.norm())  # noise of the mixture's level has |S| of about one
        mixture, targets = (x * unit.reshape(-1, *[1] * (x.dim() - 1)) for x in (mixture, targets))
        terms = masked_terms(masks, mixture[:, None], targets)
        loss = weights.magnitude * terms["magnitude"] - weights.snr * terms["snr_db"]
        loss = loss + weights.snr * ABSENT * terms["absent_db"]
        return {"loss": loss, **terms}

    def gain_db(self, network: nn.Module, batch: Batch) -> tuple[float, float] | None:
        """Return what a `SeparationTask` does, by spectra."""
        assert isinstance(batch, TimbreBatch)
        return self.judged(network, batch).means()

    def judged(self, network: nn.Module, batch: TimbreBatch) -> Judged:
        """Judge what a network makes of a batch, by spectra."""
        mixture, targets = self.spectra(batch.mixture), self.spectra(batch.targets)
        estimates = self.estimates(network, mixture, batch)
        return judged_spectra(estimates, targets, mixture[:, None].expand_as(targets))
