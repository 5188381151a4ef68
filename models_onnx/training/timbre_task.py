"""What is learned with a timbre: the separator, the encoder and the classes, from one batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models_onnx.data.classes import CLASSES
from models_onnx.networks.encoders.listen import CLIP, CLIP_BINS
from models_onnx.networks.stft import analyse, window_tensors
from models_onnx.networks.timbre import TimbreSteer
from models_onnx.training.batches import Batch
from models_onnx.training.losses import LossWeights, audible, stereo_si_sdr
from models_onnx.training.task import JUDGED_DB, Estimate, SeparationTask
from models_onnx.training.timbre_questions import KINDS, TimbreBatch
from realtime.spec import ModelSpec

CLASSIFIED = 0.05
SHOWN = ("vocals", "drums", "bass", "guitar")


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

    @torch.no_grad()
    def check(self, network: nn.Module, batches: Sequence[TimbreBatch]) -> dict[str, float]:
        """Return mean gains in dB by kind of question and by class, and the level of the absent.

        A level is that of the estimate against the mixture, its median.
        """
        gains: dict[str, list[float]] = defaultdict(list)
        for batch in batches:
            estimate = self.estimate(network, batch).spectra
            signals, answers, mixture = self._signals(estimate, batch)
            gain = stereo_si_sdr(signals, answers) - stereo_si_sdr(
                mixture.expand_as(answers), answers
            )
            loud = audible(answers, mixture, JUDGED_DB)
            level_db = 10 * torch.log10(
                signals.square().sum((2, 3)) / mixture.square().sum((2, 3)) + 1e-8
            )
            for s, t in torch.cartesian_prod(*map(torch.arange, loud.shape)).tolist():
                kind, asked = KINDS[int(batch.kinds[s, t])], int(batch.asked[s, t])
                if kind == "absent":
                    gains["absent"].append(level_db[s, t].item())
                elif loud[s, t]:
                    gains[kind].append(gain[s, t].item())
                    if kind == "name" and CLASSES[asked] in SHOWN:
                        gains[CLASSES[asked]].append(gain[s, t].item())
        means = {k: sum(v) / len(v) for k, v in gains.items()}
        if "absent" in gains:
            means["absent"] = torch.tensor(gains["absent"]).median().item()
        return {f"valid_{kind}": value for kind, value in sorted(means.items())}
