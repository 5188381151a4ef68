"""What systems 2 to 5 learn: one task for all of them, its losses by kind.

Published are L1 on magnitudes with a KL term and a latent regressor (system 2), L2 on ratio masks
(4), MSE on magnitudes with a cross entropy of the activity (5). L1 and L2 on magnitudes invite
networks that are short of time to fall silent, so here the magnitudes are compressed (exponent
0.5, still L1 for system 2 and L2 for the others) and the SNR of the audible ones joins them. All of
it on spectra a quarter as dense as those of the stream.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
)

from models_onnx.networks.encoders.listen import CLIP, CLIP_BINS, Listen
from models_onnx.networks.stft import analyse, window_tensors
from models_onnx.networks.unet.query import QueryNet, divergence
from models_onnx.networks.unet.system import UNetSystem
from models_onnx.training.batches import Batch
from models_onnx.training.losses import TINY, LossWeights
from models_onnx.training.mask_terms import masked_terms, power
from models_onnx.training.task import SeparationTask, sounding
from models_onnx.training.timbre_check import judged_spectra
from models_onnx.training.timbre_questions import TimbreBatch
from models_onnx.training.unet_batches import EnsembleBatch, clip_rows
from realtime.spec import ModelSpec

MAGNITUDE, MAGNITUDE_L1 = 1.0, 0.3
"""An absolute error pulls masks towards silence where a target is less than half of what sounds, so
it weighs less beside the SNR than a squared one."""
KL, LATENT, CLASSES = 0.001, 0.05, 0.03
LATENT_EVERY = 8
"""Steps between those that the latent regressor joins: it separates everything once more."""
ALL_LABELS = 0.5
"""How often a network of labels is told all that play; else one of them."""


class UNetTask(SeparationTask):
    """A `UNetSystem` with batches of `unet_batches`.

    Parameters
    ----------
    seed : that by which labels are chosen, in each step others.
    """

    def __init__(
        self, network: nn.Module, spec: ModelSpec, tier: str, device: str = "cpu", *, seed: int = 0
    ) -> None:
        super().__init__(network, spec, tier, device)
        self.seed = seed
        assert isinstance(network, UNetSystem)
        self.kind = network.config.unet.kind
        self.hop = network.config.unet.hop * network.config.unet.every
        self._clip_window = window_tensors(CLIP, device)[0]

    def spectra(self, signal: Tensor) -> Tensor:
        """Spectra (..., F, 2, bins) of what the network sees of a signal (..., 2, samples)."""
        return analyse(signal, self._windows[0], self.hop)[..., : self.spec.bins]

    def heard(self, network: UNetSystem, clips: Tensor) -> Tensor:
        """Spectra (clips, F, 2, bins, 2) of clips, as the encoder takes them."""
        return torch.view_as_real(analyse(clips, self._clip_window, CLIP.hop)[..., :CLIP_BINS])

    def losses(
        self, batch: Batch, weights: LossWeights, stride: int, step: int
    ) -> dict[str, Tensor]:
        """Return the weighted loss and its terms."""
        network = self.network
        assert isinstance(network, UNetSystem)
        scale = 1 / (batch.mixture.square().mean((-2, -1), keepdim=True).sqrt() + 1e-4)
        unit = scale / self._windows[0].norm()
        mixture = self.spectra(batch.mixture * unit)
        targets = self.spectra(batch.targets * unit[:, None])  # (B, K, F, 2, bins)
        if isinstance(batch, EnsembleBatch):
            told = self.labels(batch, step)
            wanted = batch.labels if told is None else told
            targets = targets * wanted[..., None, None, None]
            masks, more = self.by_labels(network, mixture, told), dict[str, Tensor]()
        else:
            assert isinstance(batch, TimbreBatch)
            masks, more = self.by_clips(network, mixture, targets, batch, step)
        is_l1 = self.kind == "query"
        terms = masked_terms(masks[:, :, :, None], mixture[:, None], targets, is_l1=is_l1)
        magnitude = MAGNITUDE_L1 if is_l1 else MAGNITUDE
        loss = magnitude * terms["magnitude"] - weights.snr * terms["snr_db"]
        if network.config.unet.binary:
            terms["dominance"] = loss = dominance(masks, mixture[:, None], targets)
        for name, weight in (("kl", KL), ("latent", LATENT), ("classes", CLASSES),
                             ("activity", weights.activity * 5)):  # fmt: skip
            if name in more:
                loss = loss + weight * more[name]
        return {"loss": loss, **terms, **more}

    def labels(self, batch: EnsembleBatch, step: int) -> Tensor | None:
        """Labels (B, 13) that the network is told: all that play, or one of them."""
        assert isinstance(self.network, UNetSystem)
        if not self.network.config.unet.condition:
            return None
        drawn = int(np.random.default_rng([self.seed, step]).integers(2**31))
        rng = torch.Generator().manual_seed(drawn)
        everything = torch.rand(len(batch.labels), 1, generator=rng) < ALL_LABELS
        chances = batch.labels + 1e-6
        one = torch.zeros_like(batch.labels).scatter_(
            1, torch.multinomial(chances, 1, generator=rng), 1.0
        )
        return torch.where(everything, batch.labels, one * batch.labels)

    def by_labels(self, network: UNetSystem, mixture: Tensor, told: Tensor | None) -> Tensor:
        """Masks (B, 13, F, bins) of all classes in one pass."""
        seen = torch.view_as_real(mixture)
        frames = seen.shape[1]
        held = None if told is None else told[:, None].expand(-1, frames, -1)
        return network.unet(seen, held).masks.transpose(1, 2)

    def by_clips(
        self, network: UNetSystem, mixture: Tensor, targets: Tensor, batch: TimbreBatch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Masks (B, K, F, bins) of what each question asks for, and the terms beside them."""
        shape = targets.shape[:3]  # B, K, F
        timbre, against, more = self.conditions(network, batch)
        seen = torch.view_as_real(mixture).repeat_interleave(shape[1], 0)  # (B · K, F, …)
        told = network.told(timbre, against)[:, None].expand(-1, shape[2], -1)
        answer = network.unet(seen, told)
        masks = answer.masks[:, :, 0].unflatten(0, shape[:2])
        if answer.activity_logit is not None:
            sounds = sounding(targets).flatten(0, 1).float()
            more["activity"] = binary_cross_entropy_with_logits(answer.activity_logit, sounds)
        is_due = network.training and step % LATENT_EVERY == 0
        if isinstance(network.encoder, QueryNet) and is_due:
            some = torch.view_as_real(mixture)  # one question a scene
            z = torch.randn(len(some), network.size)
            drawn = network.told(z)[:, None].expand(-1, shape[2], -1)
            found = some * network.unet(some, drawn).masks[:, :, 0, None, :, None]
            more["latent"] = l1_loss(network.encoder.gaussian(found)[0], z)
        return masks, more

    def conditions(
        self, network: UNetSystem, batch: TimbreBatch
    ) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        """Timbres (B · K, size) of what is wanted and of what is not, and the encoder's terms."""
        encoder, more = network.encoder, dict[str, Tensor]()
        if encoder is None:
            one_hot = nn.functional.one_hot(batch.asked.flatten(), network.size)
            return one_hot.float(), None, more
        clips = len(batch.clips)
        positive = clip_rows(batch.positive.flatten(0, 1), clips)
        if isinstance(encoder, QueryNet):  # one clip a question
            rows = torch.tensor([row[0] for row in positive])
            mean, spread = encoder.gaussian(self.heard(network, batch.clips[rows]))
            more["kl"] = divergence(mean, spread)
            more["classes"] = self.confusion(network, mean, batch.classes[rows])
            if network.training:
                network.follow(nn.functional.normalize(mean, dim=-1), batch.classes[rows])
                mean = mean + torch.randn_like(mean) * (0.5 * spread).exp()
            return mean, None, more
        assert isinstance(encoder, Listen)
        vectors = encoder(self.heard(network, batch.clips))
        more["classes"] = self.confusion(network, vectors, batch.classes)
        if network.training:
            network.follow(vectors, batch.classes)
        negative = clip_rows(batch.negative.flatten(0, 1), clips)
        return _means(vectors, positive), _means(vectors, negative), more

    def confusion(self, network: UNetSystem, timbres: Tensor, classes: Tensor) -> Tensor:
        """Cross entropy of the classes (n,) that timbres (n, size) are taken for."""
        assert network.scores is not None
        return cross_entropy(network.scores(8.0 * nn.functional.normalize(timbres)), classes)

    def gain_db(self, network: nn.Module, batch: Batch) -> tuple[float, float] | None:
        """Return what a `SeparationTask` does, by spectra."""
        assert isinstance(network, UNetSystem)
        mixture, targets = self.spectra(batch.mixture), self.spectra(batch.targets)
        if isinstance(batch, EnsembleBatch):
            told = batch.labels if network.config.unet.condition else None
            masks = self.by_labels(network, mixture, told)
        else:
            assert isinstance(batch, TimbreBatch)
            masks, _ = self.by_clips(network, mixture, targets, batch, 1)
        mixed = mixture[:, None].expand_as(targets)
        return judged_spectra(masks[:, :, :, None] * mixed, targets, mixed).means()


def dominance(masks: Tensor, mixture: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of masks with where a target is louder than all the rest, by magnitude.

    masks (B, K, F, bins); mixture (B, 1, F, 2, bins); targets (B, K, F, 2, bins). Loud bins count
    more, by the compressed magnitude of the mixture.
    """
    louder = (power(targets).sum(-2) > power(mixture - targets).sum(-2)).float()
    weight = (power(mixture).sum(-2) + TINY).pow(0.25).expand_as(masks)
    sure = masks.clamp(1e-5, 1 - 1e-5)
    return binary_cross_entropy(sure, louder, weight / weight.mean())


def _means(vectors: Tensor, rows: list[list[int]]) -> Tensor:
    """Unit means of the vectors of each row; zeros for a row without any."""
    found = [vectors[row].mean(0) if row else vectors.new_zeros(vectors.shape[1]) for row in rows]
    return nn.functional.normalize(torch.stack(found), dim=-1)
