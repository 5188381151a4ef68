"""Train system 1: ``python -m models_onnx train-spain band-adain --data DIR --steps N --out DIR``.

The loop, its log and its checkpoints are those of `models_onnx.training.loop`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from models_onnx.networks import registry
from models_onnx.networks.spain.network import SpainXumx
from models_onnx.networks.stft import analyse, apply_masks
from models_onnx.training import options
from models_onnx.training.batches import Batch
from models_onnx.training.loop import train
from models_onnx.training.losses import LossWeights, stereo_si_sdr
from models_onnx.training.run import Plan, Run
from models_onnx.training.scene_batches import VALIDATION_SEED
from models_onnx.training.spain_batches import Stems, as_batch, evaluation_scenes, training_batches
from models_onnx.training.spain_losses import (
    TINY,
    combination_matrix,
    combined,
    multi_domain_of_masks,
)
from models_onnx.training.task import SeparationTask
from realtime.spec import ModelSpec


class SpainTask(SeparationTask):
    """Trains all sources of a scene at once, by the losses of X-UMX on spectra.

    Training looks at every `every`-th frame of the tier, as the network's recurrent layers do.
    """

    def __init__(
        self, network: SpainXumx, spec: ModelSpec, device: str = "cpu", *, combinations: bool
    ) -> None:
        super().__init__(network, spec, spec.trained_tier, device)
        self.hop = self.tier.hop * network.config.every
        matrix = combination_matrix(len(spec.targets))
        self._sums = matrix.to(device) if combinations else None

    def seen(self, batch: Batch) -> Tensor:
        """Return spectra of the mixtures (scenes, frames, 2, bins) as training sees them."""
        return analyse(batch.mixture, self._windows[0], self.hop)

    def masks(self, network: nn.Module, batch: Batch, spectra: Tensor) -> Tensor:
        """Return masks (scenes, sources, frames, 2, bins) for spectra (scenes, frames, 2, bins)."""
        frames = spectra.shape[1]
        told = {k: v[:, None].expand(-1, frames, -1, -1) for k, v in batch.conditions.items()}
        masks: Tensor = network(torch.view_as_real(spectra[..., : self.spec.bins]), told)[0]
        return masks.transpose(1, 2)

    def losses(
        self, batch: Batch, weights: LossWeights, stride: int, step: int
    ) -> dict[str, Tensor]:
        """Return the multi-domain loss and its terms; the weights are those of X-UMX."""
        start = step % (self.hop // self.tier.hop) * self.tier.hop  # any phase of the hops
        mixture, target = (
            analyse(s[..., start:], self._windows[0], self.hop)[..., : self.spec.bins]
            for s in (batch.mixture, batch.targets)
        )
        masks = self.masks(self.network, batch, mixture)
        # the mean power of a bin is made one, so that both terms keep their weights
        unit = 1 / mixture.abs().square().mean((1, 2, 3)).sqrt().clamp(min=1e-3)
        mixture, target = mixture * unit[:, None, None, None], target * unit.reshape(-1, 1, 1, 1, 1)
        if self._sums is not None:
            masks, target = combined(masks, self._sums), combined(target, self._sums)
        error, waveform = multi_domain_of_masks(masks, mixture, target)
        with torch.no_grad():
            x, s = torch.view_as_real(mixture[:, None]), torch.view_as_real(target)
            error_power = (masks[..., None] * x - s).square().sum((2, 3, 4, 5))
            ratio = s.square().sum((2, 3, 4, 5)) / (error_power + TINY)
            db = 10 * torch.log10(ratio + 1e-3)
        return {
            "loss": error + waveform, "magnitude": error, "waveform": waveform, "snr_db": db.mean()
        }  # fmt: skip

    def every_frame(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return spectra of estimates (scenes, sources, frames, 2, bins), at the hop of the tier.

        Each of the interleaved streams of frames is run as in training.
        """
        every = self.hop // self.tier.hop
        spectra = analyse(batch.mixture, self._windows[0], self.tier.hop)
        parts = [self.masks(network, batch, spectra[:, k::every]) for k in range(every)]
        masks = parts[0].new_empty(*parts[0].shape[:2], spectra.shape[1], *parts[0].shape[3:])
        for phase, part in enumerate(parts):
            masks[:, :, phase::every] = part
        return apply_masks(masks, spectra[:, None], self.spec.mask_axes, None)

    def gain_db(self, network: nn.Module, batch: Batch) -> tuple[float, float]:
        """Return the mean SI-SDR of the estimates and its gain over the mixture, dB."""
        estimate = self.every_frame(network, batch)
        signals, answers, mixture = self._signals(estimate, batch)
        before = stereo_si_sdr(mixture.expand_as(answers), answers)
        after = stereo_si_sdr(signals, answers)
        return after.mean().item(), (after - before).mean().item()


def main(
    config: Annotated[str, typer.Argument(help="see models_onnx.networks.spain.config.CONFIGS")],
    data: Annotated[list[Path], typer.Option(help="folder of songs; repeatable")],
    out: options.Out,
    hours: options.Hours = None,
    steps: options.Steps = None,
    validation: options.Validation = None,
    init: options.Init = None,
    noise: Annotated[bool, typer.Option(help="directions wrong by up to 8 degrees")] = True,
    combinations: Annotated[bool, typer.Option(help="losses of all sums of sources")] = False,
    device: options.Device = "cpu",
    scenes: options.Scenes = 8,
    seconds: options.Seconds = 3.0,
    rate: options.Rate = 1e-3,
    seed: options.Seed = 0,
    threads: options.Threads = 1,
) -> None:
    """Train a network, or go on with a run that was stopped."""
    options.prepare(seed, threads, device)
    plan = Plan(
        hours=hours, steps=steps, seed=seed, scenes=scenes, seconds=seconds, learning_rate=rate,
        weight_decay=1e-5, clip=5.0, average=0.99,
    )  # fmt: skip
    network, described, about = registry.build("spain-xumx", config)
    assert isinstance(network, SpainXumx)
    about |= {"noise": noise}
    task = SpainTask(network, described, device, combinations=combinations)
    stems = Stems(data, described.targets)
    draw = training_batches(stems, seed, scenes, seconds, noise=noise)
    with torch.no_grad():
        network.standardise(task.seen(draw(2**31).to(task.device)))
    if init is not None:
        registry.load_weights(network, init)
    given = {"songs": stems.origins, "combinations": combinations}
    run = Run(task, plan, about, [folder.name for folder in data], given)
    run.resume(out)
    checks = []
    if validation is not None:
        held = Stems([validation], described.targets, part="validation")
        checks = [as_batch(list(evaluation_scenes(held, 12, 4.0, VALIDATION_SEED)))]
    train(run, draw, checks, out)
