"""A U-Net beside the encoder of its timbres, if it has one, as it is trained and exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models_onnx.data.classes import CLASSES, UNSEEN
from models_onnx.networks.encoders.listen import Listen, ListenConfig
from models_onnx.networks.unet.config import CONFIGS as SEPARATORS
from models_onnx.networks.unet.config import UNetConfig, class_names
from models_onnx.networks.unet.network import UNet
from models_onnx.networks.unet.query import QueryConfig, QueryNet
from realtime.spec import ModelSpec

FOLLOWED = 0.05
"""How far the mean timbre of a class moves with each clip of it."""
LICENCE = "GPL-3.0-or-later"
ABOUT = {
    "query": "system 2: a U-Net told a latent of an audio query (AdaIN)",
    "fewshot": "system 3: a U-Net told a few examples and counter-examples (FiLM)",
    "label": "system 4: a U-Net of 13 orchestral instruments, told which are wanted",
    "activity": "system 5: a residual U-Net that says when an instrument plays",
}


@dataclass(frozen=True)
class SystemConfig:
    """The separator, and the sizes of its encoder."""

    unet: UNetConfig
    encoder: Mapping[str, Any]

    def __post_init__(self) -> None:
        if isinstance(self.unet, Mapping):  # from a checkpoint
            object.__setattr__(self, "unet", UNetConfig(**self.unet))

    def make_encoder(self) -> QueryNet | Listen | None:
        """Return a new encoder, None if the network hears no clips."""
        if self.unet.kind == "query":
            return QueryNet(QueryConfig(**self.encoder))
        return Listen(ListenConfig(**self.encoder)) if self.unet.kind == "fewshot" else None


def system_of(config: UNetConfig) -> SystemConfig:
    """Return a separator with an encoder of its size, if it has one."""
    if config.kind == "query":
        return SystemConfig(config, asdict(QueryConfig(size=config.condition)))
    if config.kind == "fewshot":
        return SystemConfig(config, asdict(ListenConfig(width=96, size=config.condition)))
    return SystemConfig(config, {})


CONFIGS = {name: system_of(config) for name, config in SEPARATORS.items()}


def spec(config: SystemConfig) -> ModelSpec:
    """Return the spec of the separator.

    One of labels takes them as a timbre: what is wanted; and, against it, what plays besides.
    """
    unet = config.unet
    size = unet.masks if unet.kind == "label" else unet.condition
    takes_against = unet.against or (unet.kind == "label" and unet.condition > 0)
    return ModelSpec(
        name=f"{unet.kind}-unet",
        tiers=dict.fromkeys(("live", "studio", "offline"), unet.tier),
        conditions={"timbre": size, **({"against": size} if takes_against else {})},
        mask_axes="mixture",
        bins=unet.bins,
        description=ABOUT[unet.kind],
        licence=LICENCE,
    )


class UNetSystem(nn.Module):
    """A separator, its encoder, and the mean timbre of each class that the encoder has heard."""

    means: Tensor  # (classes, size)

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.config, self.size = config, config.unet.condition
        self.unet = UNet(config.unet)
        self.encoder = config.make_encoder()
        hears = self.encoder is not None
        self.scores = nn.Linear(self.size, len(CLASSES)) if hears else None
        self.register_buffer("means", torch.zeros(len(CLASSES), self.size if hears else 0))

    def follow(self, timbres: Tensor, classes: Tensor) -> None:
        """Move the mean timbres of the classes towards those of clips (n, size) of them."""
        with torch.no_grad():
            for timbre, number in zip(timbres, classes.tolist(), strict=True):
                mean = self.means[number]
                mean.lerp_(timbre, FOLLOWED) if mean.any() else mean.copy_(timbre)

    def names(self) -> dict[str, list[float]]:
        """Return the timbre of every class that it knows by name: means, or a number each."""
        unet = self.config.unet
        if self.encoder is not None:
            found = functional.normalize(self.means, dim=-1).tolist()
            pairs = zip(CLASSES, found, strict=True)
            return {name: row for name, row in pairs if any(row)}
        names = class_names(unet)
        rows = torch.eye(len(names)).tolist()
        return {n: row for n, row in zip(names, rows, strict=True) if n not in UNSEEN}

    def states(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each state of one stream."""
        return self.unet.interleaved().states()

    def told(self, timbre: Tensor, against: Tensor | None = None) -> Tensor:
        """Return what the separator is told of timbres (..., size): see `UNetConfig`."""
        if self.config.unet.kind == "query":  # a latent of unit variance is near a sphere
            return functional.normalize(timbre, dim=-1)
        if self.encoder is None:  # the shares of a family are of their largest
            return timbre / timbre.amax(-1, keepdim=True).clamp(min=1e-6)
        return timbre if against is None else torch.cat([timbre, against], -1)
