"""The U-Nets of systems 2 to 5 in their published shapes: not causal, with strides in time too.

Shapes are those of the papers: magnitudes (B, channels, bins, frames). Where a paper does not say a
size, that of system 4 is taken. None of these is trained here; the small ones in `network.py` are.

No command builds or exports these networks. Tests do, to hold that their sizes are those of the
papers and that they run in a stream. Of this module other networks take `Modulation` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models_onnx.data.classes import CLASSES, ORCHESTRA_13

SLOPE, DROPOUT = 0.2, 0.2
LATENT, FEATURES, POOLED = 32, 2048, 1024


@dataclass(frozen=True)
class PublishedConfig:
    """What a published U-Net is made of.

    Parameters
    ----------
    norm : batch, or instance in the encoder with AdaIN in the decoder.
    heads : decoders, each with its share of the masks: more than one make a Multi-Head U-Net.
    tiled : whether the condition is tiled on the input as channels of it.
    """

    channels: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    condition: int = 0
    places: tuple[str, ...] = ()
    masks: int = 1
    heads: int = 1
    norm: str = "batch"
    tiled: bool = False


ORCHESTRA = len(ORCHESTRA_13)
PUBLISHED: dict[str, PublishedConfig] = {
    "query": PublishedConfig(condition=LATENT, places=("decoder",), norm="instance", tiled=True),
    "fewshot": PublishedConfig(condition=128, places=("bottleneck",)),
    "label-none": PublishedConfig(masks=ORCHESTRA),
    "label-heads": PublishedConfig(masks=ORCHESTRA, heads=ORCHESTRA),
    **{
        f"label-{place}": PublishedConfig(condition=ORCHESTRA, places=(place,), masks=ORCHESTRA)
        for place in ("bottleneck", "encoder", "final", "multiply")
    },
    "picture": PublishedConfig(condition=POOLED, places=("bottleneck",), masks=ORCHESTRA),
    "one-hot": PublishedConfig(condition=len(CLASSES), places=("bottleneck",)),
}


class Modulation(nn.Module):
    """Scale and shift of every channel by a condition (B, size): FiLM, and AdaIN behind a norm."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, 2 * channels)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Give (1 + scale) x + shift."""
        scale, shift = self.linear(told)[:, :, None, None].chunk(2, 1)
        return (1 + scale) * x + shift


class Decoder(nn.Module):
    """Bilinear × 2, the encoder's output beside it, 3 × 3, norm, ReLU, dropout; 3 × 3 at last."""

    def __init__(self, config: PublishedConfig, masks: int) -> None:
        super().__init__()
        channels = config.channels
        pairs = list(zip(channels[-1:0:-1], channels[-2::-1], strict=True))
        self.convs = nn.ModuleList(nn.Conv2d(a + b, b, 3, padding=1, bias=False) for a, b in pairs)
        adaptive = "decoder" in config.places
        kind = nn.InstanceNorm2d if adaptive else nn.BatchNorm2d
        self.norms = nn.ModuleList(kind(b) for _, b in pairs)
        self.told = nn.ModuleList(Modulation(config.condition, b) for _, b in pairs if adaptive)
        self.final = Modulation(config.condition, channels[0]) if "final" in config.places else None
        self.leave = nn.Conv2d(channels[0], masks, 3, padding=1)

    def forward(self, x: Tensor, skips: Sequence[Tensor], told: Tensor | None) -> Tensor:
        """Give logits (B, masks, bins, frames)."""
        for k, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = norm(conv(torch.cat([_twice(x), skips[-1 - k]], 1)))
            if self.told:
                x = self.told[k](x, told)
            x = functional.dropout(functional.relu(x), DROPOUT, self.training)
        x = _twice(x)
        if self.final is not None and told is not None:
            x = self.final(x, told)
        return self.leave(x)


class PublishedUNet(nn.Module):
    """The U-Net of systems 2, 3 and 4: six blocks of stride 2 both ways, and back."""

    def __init__(self, config: PublishedConfig) -> None:
        super().__init__()
        self.config = config
        given = (1 + config.tiled * config.condition, *config.channels)
        kind = nn.InstanceNorm2d if config.norm == "instance" else nn.BatchNorm2d
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, padding=1, bias=False)
            for a, b in zip(given, config.channels, strict=False)
        )
        self.norms = nn.ModuleList(kind(b) for b in config.channels)
        places, size = config.places, config.condition
        self.told = nn.ModuleList(
            Modulation(size, b) for b in config.channels if "encoder" in places
        )
        self.film = Modulation(size, config.channels[-1]) if "bottleneck" in places else None
        share = config.masks // config.heads
        self.decoders = nn.ModuleList(Decoder(config, share) for _ in range(config.heads))

    def forward(self, magnitude: Tensor, told: Tensor | None = None) -> Tensor:
        """Give masks (B, masks, bins, frames) of magnitudes (B, 1, bins, frames)."""
        x = magnitude
        if self.config.tiled and told is not None:
            x = torch.cat([x, told[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)
        skips = []
        for k, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = norm(conv(x))
            if self.told:
                x = self.told[k](x, told)
            x = functional.leaky_relu(x, SLOPE)
            skips.append(x)
        if self.film is not None and told is not None:
            x = self.film(x, told)
        masks = torch.sigmoid(torch.cat([d(x, skips[:-1], told) for d in self.decoders], 1))
        if "multiply" in self.config.places and told is not None:
            masks = masks * told[:, :, None, None]
        return masks


class PublishedIass(nn.Module):
    """System 5: residual blocks, strides in frequency alone, and a logit of activity a frame."""

    bins = (1487, 495, 165, 55)
    channels = (16, 32, 48)

    def __init__(self, whole: int = 2049) -> None:
        super().__init__()
        self.whole = whole
        given = (2, *self.channels)
        pairs = list(zip(given, self.channels, strict=False))
        self.blocks = nn.ModuleList(ResidualBlock(a, b) for a, b in pairs)
        self.down = nn.ModuleList(nn.Conv2d(b, b, (3, 3), (3, 1), (0, 1)) for b in self.channels)
        back = list(zip(self.channels[::-1], (*self.channels[-2::-1], 2), strict=True))
        left = [a % 3 for a in self.bins[-2::-1]]  # bins that a division by three leaves over
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, a, (3, 3), (3, 1), (0, 1), (over, 0))
            for (a, _), over in zip(back, left, strict=True)
        )
        self.mirrored = nn.ModuleList(ResidualBlock(2 * a, b) for a, b in back)
        self.leave = nn.Linear(self.bins[0], whole)
        self.sounds = nn.Linear(self.channels[-1] * self.bins[-1], 1)

    def forward(self, magnitude: Tensor) -> tuple[Tensor, Tensor]:
        """Give masks (B, 2, 2049, frames) and logits (B, frames) of (B, 2, 1487, frames)."""
        x, skips = magnitude, []
        for block, down in zip(self.blocks, self.down, strict=True):
            x = block(x)
            skips.append(x)
            x = down(x)
        logit = self.sounds(x.flatten(1, 2).transpose(1, 2))[..., 0]
        for up, block in zip(self.up, self.mirrored, strict=True):
            x = block(torch.cat([up(x), skips.pop()], 1))
        return torch.relu(self.leave(x.transpose(2, 3))).transpose(2, 3), logit


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions and a 1 × 1 shortcut."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(given, made, 3, padding=1, bias=False)
        self.second = nn.Conv2d(made, made, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(made) for _ in range(2))
        self.short = nn.Conv2d(given, made, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Give (B, made, bins, frames)."""
        y = torch.relu(self.norms[0](self.first(x)))
        return torch.relu(self.short(x) + self.norms[1](self.second(y)))


class Pictures(nn.Module):
    """Features of the pictures of all players to a condition: the largest of each (system 4)."""

    def forward(self, features: Tensor) -> Tensor:
        """Give (B, 1024) of features (B, players, 2048)."""
        return functional.adaptive_max_pool1d(features, POOLED).amax(1)


class VisualMotion(nn.Module):
    """Features of five frames of a film to a condition: the last state of an LSTM (system 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, POOLED, batch_first=True)

    def forward(self, features: Tensor) -> Tensor:
        """Give (B, 1024) of features (B, frames, 2048)."""
        return self.lstm(features)[1][0][-1]


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
