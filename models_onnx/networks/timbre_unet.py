"""Spleeter's U-Net told a timbre of the encoder that `steer` has, so both know the same names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models_onnx.networks.encoders.listen import ListenConfig
from models_onnx.networks.timbre import TimbreSpace
from models_onnx.networks.unet.chunks import FULL_SCALE, TIERS
from models_onnx.networks.unet.spleeter import BINS, WIDTH, SpleeterUNet
from realtime.spec import ModelSpec

TINY = 1e-6
CODE_SCALE = 3.0
"""Length of what FiLM is told: of numbers that are smaller it learns more slowly."""


@dataclass(frozen=True)
class TimbreUNetConfig:
    """Channels of the first block, and the encoder."""

    width: int = WIDTH
    listen: ListenConfig = field(default_factory=ListenConfig)

    def __post_init__(self) -> None:
        if isinstance(self.listen, Mapping):  # from a checkpoint
            object.__setattr__(self, "listen", ListenConfig(**self.listen))


CONFIGS = {
    "unet": TimbreUNetConfig(),
    "unet-tiny": TimbreUNetConfig(2, ListenConfig(bands=24, width=16, size=8)),
}


def spec(config: TimbreUNetConfig) -> ModelSpec:
    """Return the spec of the separator."""
    return ModelSpec(
        name="timbre-unet",
        tiers=TIERS,
        conditions={"direction": 2, "timbre": config.listen.size},
        mask_axes="channels",
        bins=BINS,
        description="Spleeter's U-Net for vocals, told a timbre: an instrument out of a mix",
        licence="GPL-3.0-or-later; begun with Spleeter's weights (MIT), by R. Hennequin, A. Khlif, "
        "F. Voituret and M. Moussallam (Deezer Research), JOSS 2020",
        joint=True,
    )


class TimbreUNet(TimbreSpace):
    """The separator, and the space of its timbres."""

    def __init__(self, config: TimbreUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = SpleeterUNet(config.listen.size, config.width)
        self.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.add_space(config.listen)

    def forward(self, spectrum: Tensor, timbre: Tensor) -> Tensor:
        """Give masks (B, F, 2, bins) of Hann spectra (B, F, 2, bins, 2), told timbres (B, size).

        A shorter timbre says less, and zeros nothing: the mask is one, or goes there.
        """
        magnitude = FULL_SCALE * spectrum.square().sum(-1).sqrt().transpose(1, 2)
        magnitude = magnitude.contiguous(memory_format=torch.channels_last)  # several times as fast
        length = timbre.norm(dim=-1, keepdim=True)
        code = CODE_SCALE * timbre / length.clamp(min=TINY)
        masks = self.unet(magnitude, code).transpose(1, 2)
        asked = length.clamp(max=1.0)[:, :, None, None]
        told: Tensor = asked * masks + (1 - asked)
        return told
