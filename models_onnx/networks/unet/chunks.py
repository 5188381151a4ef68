"""Networks that see a stretch of sound at once, in a stream: stretches, and what they give there.

A published U-Net looks ahead and halves time six times, so it cannot step frame by frame. It runs
over the newest stretch every few hops (`realtime.spec.Runs`), on Hann frames of 4096 samples, 1024
apart: four times the 1024 and 256 samples at 11 025 Hz of the paper, so the bins are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models_onnx.data.classes import CLASSES, ORCHESTRA_13
from models_onnx.networks.unet.published import PublishedIass, PublishedUNet
from realtime.spec import ModelSpec, Runs, Tier

WINDOW, STEP = 4096, 1024
FULL_SCALE = WINDOW / 2
"""Sum of a Hann window: that of our frames sums to one, those of others not."""
FRAMES = 64
"""Frames of a stretch are a multiple of it, since time is halved six times."""
PIECE = 4 * FRAMES  # frames of a run offline
BEFORE, SERVED, FADE = 31, 192, 32
"""Frames of a piece before those that it serves, these, and those in which it fades behind them."""
TIERS = {
    "studio": Tier(
        WINDOW, 2048, 512, 3, Runs(FRAMES, STEP, every=3, age=-1, partial=4, mirrored=True)
    ),
    "lookahead": Tier(
        WINDOW, 2048, 512, 11, Runs(FRAMES, STEP, every=4, age=-9, partial=4, mirrored=True)
    ),
    "offline": Tier(
        WINDOW, WINDOW, STEP, PIECE - BEFORE - 1,
        Runs(PIECE, STEP, every=SERVED, age=1 + BEFORE - PIECE, fade=FADE),
    ),
}  # fmt: skip
MONO_BINS = 512  # of 11 025 Hz


def spec(name: str, network: PublishedUNet | PublishedIass, source: str = "") -> ModelSpec:
    """Return the spec of a published network.

    Parameters
    ----------
    source : what a network takes that is told nothing.
    """
    tiers = {tier: TIERS[tier] for tier in ("studio", "offline")}
    if isinstance(network, PublishedIass):
        return ModelSpec(name, tiers, {}, "channels", bins=network.whole, targets=(source,))
    config = network.config
    names = ORCHESTRA_13 if config.masks > 1 else CLASSES
    size = len(names) if config.masks > 1 else config.condition
    by_number = size == len(names)
    rows = torch.eye(size).tolist()
    classes = dict(zip(names, rows, strict=True)) if by_number else {}
    return ModelSpec(name, tiers, {"timbre": size}, "mixture", bins=MONO_BINS, classes=classes)


class Chunk(nn.Module):
    """A published network over one stretch, as `ModelSpec` has it.

    A network of several masks gives the sum of those that are wanted; where nothing is, or less,
    the mask is one, or goes there.
    """

    def __init__(self, network: PublishedUNet | PublishedIass) -> None:
        super().__init__()
        self.network = network

    def forward(self, spectrum: Tensor, *told: Tensor) -> Tensor:
        """Give masks (F, K, axes, bins) of spectra (F, 2, bins, 2), told timbres (K, size)."""
        if isinstance(self.network, PublishedIass):
            return self._of_both(self.network, spectrum)
        (timbre,) = told
        mid = FULL_SCALE * spectrum.mean(1).square().sum(-1).sqrt()  # (F, bins)
        magnitude = mid.T[None, None].expand(timbre.shape[0], -1, -1, -1)
        condition = timbre if self.network.config.condition else None
        masks = self.network(magnitude, condition)  # (K, masks, bins, F)
        if self.network.config.masks > 1:
            masks = (masks * timbre[:, :, None, None]).sum(1, keepdim=True).clamp(0.0, 1.0)
        asked = timbre.norm(dim=-1).clamp(max=1.0)[:, None, None, None]
        return (asked * masks + (1 - asked)).permute(3, 0, 1, 2)

    def _of_both(self, network: PublishedIass, spectrum: Tensor) -> Tensor:
        magnitude = FULL_SCALE * spectrum.square().sum(-1).sqrt()  # (F, 2, bins)
        masks, _ = network(magnitude[:, :, : network.bins[0]].permute(1, 2, 0)[None])
        return masks.permute(3, 0, 1, 2)
