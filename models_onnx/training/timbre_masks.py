"""Masks by timbre alone: what is asked, how an answer is judged, and what is learned of it.

L1 on magnitudes made a network silent within minutes, so they are compressed (exponent 0.5,
squared), and the SNR of what is audible joins them, and the level of what is not there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models_onnx.data.classes import CLASSES
from models_onnx.networks.encoders.listen import CLIP, CLIP_BINS
from models_onnx.networks.stft import analyse, window_tensors
from models_onnx.networks.timbre import TimbreSpace
from models_onnx.training.batches import Batch
from models_onnx.training.losses import TINY, LossWeights, audible, energy_ratio_db, stereo_si_sdr
from models_onnx.training.task import JUDGED_DB, TRAINED_DB, SeparationTask
from models_onnx.training.timbre_questions import KINDS, TimbreBatch
from realtime.spec import ModelSpec

SHOWN = ("vocals", "drums", "bass", "guitar")
ABSENT = 0.3
"""What a decibel less of what is not there counts, beside one more of SNR. If it counts as much,
and down to −40 dB, sounds that training has not met are taken for absent, too."""


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

    def gain_db(self, network: nn.Module, batch: Batch) -> tuple[float, float]:
        """Return the mean SI-SDR of the spectra, and how far it is above that of the mixture."""
        assert isinstance(batch, TimbreBatch)
        after, before, _, loud = self._judged(network, batch)
        return after[loud].mean().item(), (after - before)[loud].mean().item()

    def _judged(
        self, network: nn.Module, batch: TimbreBatch
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """SI-SDR of estimates and of the mixture, levels in dB, and what is audible, (B, K) each.

        A target that sounds alone is left out: any answer but the mixture loses 40 dB and more.
        """
        mixture, targets = self.spectra(batch.mixture), self.spectra(batch.targets)
        estimates = _flat(self.estimates(network, mixture, batch))
        true, mixed = _flat(targets), _flat(mixture[:, None].expand_as(targets))
        after, before = stereo_si_sdr(estimates, true), stereo_si_sdr(mixed, true)
        level = estimates.square().sum((-2, -1)) / (mixed.square().sum((-2, -1)) + TINY)
        loud = audible(true, mixed, JUDGED_DB) & (before < ALONE_DB)
        return after, before, 10 * torch.log10(level + TINY), loud

    @torch.no_grad()
    def check(self, network: nn.Module, batches: Sequence[TimbreBatch]) -> dict[str, float]:
        """Return mean gains in dB by kind of question and by class, and the level of the absent."""
        gains: dict[str, list[float]] = defaultdict(list)
        for batch in batches:
            after, before, level_db, loud = self._judged(network, batch)
            for s, q in torch.cartesian_prod(*map(torch.arange, loud.shape)).tolist():
                kind, asked = KINDS[int(batch.kinds[s, q])], int(batch.asked[s, q])
                gain = (after - before)[s, q].item()
                if kind == "absent":
                    gains[kind].append(level_db[s, q].item())
                elif loud[s, q]:
                    gains[kind].append(gain)
                    if kind == "name" and CLASSES[asked] in SHOWN:
                        gains[CLASSES[asked]].append(gain)
        means = {k: sum(v) / len(v) for k, v in gains.items()}
        if "absent" in gains:
            means["absent"] = torch.tensor(gains["absent"]).median().item()
        return {f"valid_{kind}": value for kind, value in sorted(means.items())}


ALONE_DB = 15.0
"""SI-SDR of a mixture above which nothing is left to be separated from the target."""


def masked_terms(masks: Tensor, mixture: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Return what is learned of masks: an error, an SNR and a level.

    The error of compressed magnitudes; the mean SNR of what is audible, dB; and the mean of
    `absent_db` over all questions.

    masks (B, K, F, 2, bins), spectra (B, 1, F, 2, bins) of mixtures and (B, K, F, 2, bins) of
    targets. The energy of the error of a mask m is Σ m²|x|² − 2 m Re x*t + |t|², so only m has a
    gradient to carry.
    """
    given = mixture.real.square() + mixture.imag.square()
    wanted = targets.real.square() + targets.imag.square()
    error = (masks + 1e-4).sqrt() * (given + TINY).pow(0.25) - (wanted + TINY).pow(0.25)
    energy = wanted.sum((-3, -2, -1))  # (B, K)
    loud = energy > given.sum((-3, -2, -1)) * 10 ** (TRAINED_DB / 10) + TINY
    common = mixture.real * targets.real + mixture.imag * targets.imag
    noise = (masks.square() * given - 2 * masks * common).sum((-3, -2, -1)) + energy
    db = energy_ratio_db(energy[loud], noise[loud].clamp(min=0.0))
    power = given.sum((-3, -2, -1)).expand_as(energy)
    left = (masks.square() * given).sum((-3, -2, -1))
    return {
        "magnitude": error.square().mean(),
        "snr_db": db.sum() / max(1, len(db)),
        "absent_db": absent_db(left, energy, power).mean(),
    }


SILENT_DB = -25.0
"""What is not there and comes out softer than this is silent enough."""


def absent_db(left: Tensor, wanted: Tensor, mixture: Tensor) -> Tensor:
    """Return the level of what is given where nothing is wanted, dB of the mixture; 0 elsewhere.

    Of the energies of what is given, of what is wanted and of the mixture, of any one shape.
    """
    silent = wanted <= mixture * 1e-8
    level_db = 10 * torch.log10(left / (mixture + TINY) + 10 ** (SILENT_DB / 10))
    return torch.where(silent, level_db, torch.zeros_like(level_db))


def _flat(spectra: Tensor) -> Tensor:
    """Spectra (..., F, 2, bins) as signals of real numbers (..., 1, numbers)."""
    return torch.view_as_real(spectra).flatten(-4)[..., None, :]
