"""What is learned with a timbre: the separator, the encoder and the classes, from one batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models_onnx.networks.encoders.listen import CLIP, CLIP_BINS
from models_onnx.networks.stft import analyse, window_tensors
from models_onnx.networks.timbre import TimbreSteer
from models_onnx.training.batches import Batch
from models_onnx.training.losses import LossWeights
from models_onnx.training.task import Estimate, SeparationTask
from models_onnx.training.timbre_check import Judged, judged
from models_onnx.training.timbre_questions import TimbreBatch
from realtime.spec import ModelSpec

CLASSIFIED = 0.05


class TimbreTask(SeparationTask):
    """As `SeparationTask`, of a `TimbreSteer` and batches whose questions have timbres."""

    def __init__(self, network: nn.Module, spec: ModelSpec, tier: str, device: str = "cpu") -> None:
        super().__init__(network, spec, tier, device)
        self._clip_window = window_tensors(CLIP, device)[0]
        self.last_heard = torch.empty(0)  # timbres of the clips of the batch before

    def estimate(self, network: nn.Module, batch: Batch) -> Estimate:
        """Separate a batch; one without timbres asks by direction alone."""
        assert isinstance(network, TimbreSteer)
        scenes, targets = batch.conditions["direction"].shape[:2]
        nothing = batch.mixture.new_zeros(scenes, targets, network.config.listen.size)
        timbres = {"timbre": nothing, "against": nothing}
        if isinstance(batch, TimbreBatch):
            heard = self.last_heard = self.heard(network, batch)
            timbres = {
                "timbre": network.mixed(batch.positive, heard),
                "against": network.mixed(batch.negative, heard),
            }
        conditions = {**batch.conditions, **timbres}
        return super().estimate(
            network, Batch(batch.mixture, batch.targets, conditions, batch.change)
        )

    def heard(self, network: TimbreSteer, batch: TimbreBatch) -> Tensor:
        """Timbres of the clips, (clips, size)."""
        spectra = analyse(batch.clips, self._clip_window, CLIP.hop)[..., :CLIP_BINS]
        timbres: Tensor = network.listen(torch.view_as_real(spectra))
        return timbres

    def losses(
        self, batch: Batch, weights: LossWeights, stride: int, step: int
    ) -> dict[str, Tensor]:
        """Return the loss of the separation, and that of the classes of the clips."""
        terms = super().losses(batch, weights, stride, step)
        if isinstance(batch, TimbreBatch):
            assert isinstance(self.network, TimbreSteer)
            scores = self.network.scores(self.last_heard)
            terms["classes"] = cross_entropy(scores, batch.classes)
            terms["named"] = (scores.argmax(-1) == batch.classes).float().mean()
            if terms["classes"].requires_grad:
                terms["loss"] = terms["loss"] + CLASSIFIED * terms["classes"]
        return terms

    def judged(self, network: nn.Module, batch: TimbreBatch) -> Judged:
        """Judge what a network makes of a batch, by its sound."""
        signals, answers, mixture = self._signals(self.estimate(network, batch).spectra, batch)
        return judged(signals, answers, mixture.expand_as(answers))
