"""A U-Net that runs live, told a timbre of the encoder that `steer` has.

The separator is that of systems 2 to 5 (`models_onnx.networks.unet.network`): causal, strides in
frequency alone. It gives one mask for both channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from models_onnx.networks.encoders.listen import ListenConfig
from models_onnx.networks.output import NetworkOutput
from models_onnx.networks.timbre import TimbreSpace
from models_onnx.networks.unet.config import UNetConfig
from models_onnx.networks.unet.network import UNet
from realtime.spec import ALONE, ModelSpec

TINY = 1e-6
SILENCE = 1e-15
"""Power of a bin so far below that of any sound that its share does not count."""
HEARD = 0.01
"""Share of the mixture's power that a target leaves where it may play or not: −20 dB."""
TOLD = UNetConfig("query", condition=32, residual=True, places=("input", "encoder", "decoder"))


@dataclass(frozen=True)
class TimbreLiveConfig:
    """The separator, the numbers between a timbre and what it is told, and the encoder.

    It is told as many numbers as a latent of system 2 has, from whose weights it begins.
    """

    unet: UNetConfig = TOLD
    between: int = 128
    listen: ListenConfig = field(default_factory=ListenConfig)

    def __post_init__(self) -> None:
        if isinstance(self.unet, Mapping):  # from a checkpoint
            object.__setattr__(self, "unet", UNetConfig(**self.unet))
        if isinstance(self.listen, Mapping):
            object.__setattr__(self, "listen", ListenConfig(**self.listen))


CONFIGS = {
    "causal": TimbreLiveConfig(),
    "fine": TimbreLiveConfig(replace(TOLD, channels=(48, 64, 96, 128), fine=True)),
    "recurrent": TimbreLiveConfig(
        replace(TOLD, channels=(48, 64, 96, 128), fine=True, recurrent=160)
    ),
    "causal-tiny": TimbreLiveConfig(
        replace(TOLD, condition=4, channels=(8, 16), strides=(16, 8), dilations=(1,)),
        between=8,
        listen=ListenConfig(bands=24, width=16, size=8),
    ),
}


def spec(config: TimbreLiveConfig) -> ModelSpec:
    """Return the spec of the separator."""
    return ModelSpec(
        name="timbre-live",
        tiers=dict.fromkeys(("live", "studio", "offline"), config.unet.tier),
        conditions={"timbre": config.listen.size},
        mask_axes="mixture",
        bins=config.unet.bins,
        description="a causal U-Net told a timbre: an instrument out of a mix, live",
        licence="GPL-3.0-or-later",
        joint=True,
        alone_turns=config.unet.every,
    )


class TimbreLive(TimbreSpace):
    """The separator, and the space of its timbres."""

    def __init__(self, config: TimbreLiveConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config.unet)
        size, between = config.listen.size, config.between
        self.tell = nn.Sequential(
            nn.Linear(size, between), nn.ReLU(), nn.Linear(between, config.unet.condition)
        )
        self.add_space(config.listen)

    def told(self, timbre: Tensor) -> Tensor:
        """Give the code (..., condition) of timbres (..., size), unit vectors both."""
        return unit(self.tell(8.0 * timbre))  # numbers of about one

    def masks(self, spectrum: Tensor, timbre: Tensor) -> Tensor:
        """Give masks (B, F, bins) of frames as far apart as in training, told unit timbres.

        spectrum (B, F, 2, bins, 2), timbre (B, size).
        """
        told = self.told(timbre)[:, None].expand(-1, spectrum.shape[1], -1)
        return self.unet(spectrum, told).masks[:, :, 0]


class TimbreLiveStream(nn.Module):
    """The separator of a stream, as `NetworkOutput` has it, of one target.

    A shorter timbre says less, and zeros nothing: the mask is one, or goes there. A target is as
    active as what it leaves is above `HEARD` of the mixture's power.

    It sees frames as far apart as in training: those of a stream take turns, see `ModelSpec`.
    """

    def __init__(self, network: TimbreLive) -> None:
        super().__init__()
        self.unet = network.unet  # first, since a file names weights by where they are found first
        self.network = network.eval()

    def states(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each state of one stream."""
        return {ALONE + name: shape for name, shape in self.unet.states().items()}

    def forward(
        self, spectrum: Tensor, conditions: Mapping[str, Tensor], states: Sequence[Tensor] = ()
    ) -> NetworkOutput:
        """Give masks (B, F, K = 1, 1, bins) of spectra (B, F, 2, bins, 2)."""
        timbre = conditions["timbre"][:, :, 0]
        length = timbre.norm(dim=-1, keepdim=True)
        answer = self.unet(spectrum, self.network.told(timbre / length.clamp(min=TINY)), states)
        asked = length.clamp(max=1.0)[..., None]  # (B, F, 1, 1)
        masks = answer.masks * asked + (1 - asked)  # (B, F, 1, bins)
        mean = answer.power.mean((2, 3), keepdim=True)
        left = (masks.square() * answer.power).mean((2, 3), keepdim=True) / (mean + SILENCE)
        logit = torch.log(left / HEARD + TINY)  # its sigmoid is left / (left + HEARD)
        return NetworkOutput(masks[:, :, :, None], answer.states, logit[..., 0])


def unit(values: Tensor) -> Tensor:
    """Return vectors of length one, or zero, which ONNX does without asking for sizes."""
    return values / values.norm(dim=-1, keepdim=True).clamp(min=TINY**2)
