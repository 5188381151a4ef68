"""Timbre vectors: an encoder that hears one in a clip, a table of those of the classes, and the
separator that is told them. All are trained together, so all of them share one space.

A class is a unit vector; the encoder is taught by a classifier whose weights are those very
vectors (cosines, as Wang et al., "CosFace", 2018, without a margin), so that the mean of the
vectors of a class is the vector of its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from models_onnx.data.classes import CLASSES
from models_onnx.networks.encoders.listen import Listen, ListenConfig
from models_onnx.networks.output import NetworkOutput
from models_onnx.networks.steer.network import CONFIGS as STEER_CONFIGS
from models_onnx.networks.steer.network import Steer, SteerConfig
from models_onnx.networks.steer.network import spec as steer_spec
from realtime.spec import ModelSpec

SHARPNESS = 12.0


@dataclass(frozen=True)
class TimbreConfig:
    """The separator and the encoder that is trained with it."""

    steer: SteerConfig = field(default_factory=lambda: STEER_CONFIGS["timbre"])
    listen: ListenConfig = field(default_factory=ListenConfig)

    def __post_init__(self) -> None:
        if isinstance(self.steer, Mapping):  # from a checkpoint
            object.__setattr__(self, "steer", SteerConfig(**self.steer))
        if isinstance(self.listen, Mapping):
            object.__setattr__(self, "listen", ListenConfig(**self.listen))
        if self.steer.timbre != self.listen.size:
            raise ValueError(
                f"the separator takes timbres of {self.steer.timbre} numbers, the encoder gives "
                f"{self.listen.size}: they must be the same"
            )


CONFIGS = {
    "tiny": TimbreConfig(STEER_CONFIGS["timbre-tiny"], ListenConfig(bands=24, width=16, size=8)),
    "live": TimbreConfig(),
    "wide": TimbreConfig(STEER_CONFIGS["timbre-wide"]),
    "studio": TimbreConfig(STEER_CONFIGS["timbre-studio"]),
}


def spec(config: TimbreConfig) -> ModelSpec:
    """Return the spec of the separator."""
    return replace(
        steer_spec(config.steer),
        description="neural filter by direction and timbre: nulls the neighbours, masks the rest",
        joint=True,
    )


class TimbreSpace(nn.Module):
    """A network, the encoder of its timbres, and the vectors of the classes (classes, size)."""

    listen: Listen
    classes: nn.Parameter

    def add_space(self, config: ListenConfig) -> None:
        """Make the encoder and the classes; behind the separator, as checkpoints have them."""
        self.listen = Listen(config)
        vectors = torch.randn(len(CLASSES), config.size)
        self.classes = nn.Parameter(functional.normalize(vectors, dim=-1))

    def names(self) -> Tensor:
        """Return unit vectors of the classes, (classes, size)."""
        return functional.normalize(self.classes, dim=-1)

    def heard(self) -> dict[str, Tensor]:
        """Return the weights of the encoder and the vectors of the classes, by name."""
        names = ("listen", "classes")
        return {k: v for k, v in self.state_dict().items() if k.split(".")[0] in names}

    def keep(self) -> None:
        """Train encoder and classes no further."""
        self.listen.requires_grad_(False)
        self.classes.requires_grad_(False)

    def scores(self, timbres: Tensor) -> Tensor:
        """Return logits of the classes of timbres (n, size): (n, classes)."""
        return SHARPNESS * timbres @ self.names().T

    def mixed(self, weights: Tensor, timbres: Tensor) -> Tensor:
        """Return unit vectors of weighted sums; zeros where all weights are zero.

        weights (..., clips + classes) of the clips' timbres (clips, size) and of the names.
        """
        summed = weights @ torch.cat([timbres, self.names()])
        return functional.normalize(summed, dim=-1) * (weights.abs().sum(-1, keepdim=True) > 0)


class TimbreSteer(TimbreSpace):
    """The separator, and the space of its timbres."""

    def __init__(self, config: TimbreConfig) -> None:
        super().__init__()
        self.config = config
        self.steer = Steer(config.steer)
        self.add_space(config.listen)

    def states(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each state of one stream."""
        return self.steer.states()

    def forward(
        self, spectrum: Tensor, conditions: Mapping[str, Tensor], states: Sequence[Tensor] = ()
    ) -> NetworkOutput:
        """Give what `Steer.forward` does."""
        answer: NetworkOutput = self.steer(spectrum, conditions, states)
        return answer
