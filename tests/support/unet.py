"""Spleeter's U-Net as its paper and code describe it, in torch, layer by layer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from plugin_bridge.conversion.spleeter import SHAPES


def random_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Weights of every layer, of a size that lets sound through."""
    rng = np.random.default_rng(seed)

    def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if "running_var" in name:
            return rng.uniform(0.5, 2, shape)
        if len(shape) == 4:
            fan_in = shape[0] * 6.25 if name.startswith("up") else np.prod(shape[1:])
            return rng.standard_normal(shape) / np.sqrt(fan_in)
        return (
            rng.uniform(0.5, 1.5, shape) if name.endswith("weight") else rng.normal(0, 0.1, shape)
        )

    return {name: drawn(name, shape).astype(np.float32) for name, shape in SHAPES.items()}


class ReferenceUNet(nn.Module):
    """Magnitudes (batch, 2, frames, bins) to factors of the same shape, or to their logits."""

    def __init__(
        self, weights: dict[str, np.ndarray], *, elu: bool = False, logits: bool = False
    ) -> None:
        super().__init__()
        self.given = {name: torch.from_numpy(value) for name, value in weights.items()}
        self.elu, self.logits = elu, logits

    def forward(self, magnitude: Tensor) -> Tensor:
        given, skips, value = self.given, [], magnitude
        for level in range(1, 7):
            padded = functional.pad(value, (1, 2, 1, 2))
            name = f"down{level}_conv.1"
            skips.append(
                functional.conv2d(padded, given[f"{name}.weight"], given[f"{name}.bias"], 2)
            )
            value = self.norm(skips[-1], f"down{level}_act.0")
            value = functional.elu(value) if self.elu else functional.leaky_relu(value, 0.2)
        value = skips.pop()
        for level in range(1, 7):
            name = f"up{level}.0"
            if level > 1:
                value = torch.cat([skips.pop(), value], 1)
            wide = functional.conv_transpose2d(
                value, given[f"{name}.weight"], given[f"{name}.bias"], 2
            )
            value = wide[:, :, 1:-2, 1:-2]
            value = functional.elu(value) if self.elu else functional.relu(value)
            value = self.norm(value, f"up{level}.3")
        last = functional.conv2d(
            value, given["up7.0.weight"], given["up7.0.bias"], padding=3, dilation=2
        )
        return last if self.logits else torch.sigmoid(last)

    def norm(self, value: Tensor, name: str) -> Tensor:
        parts = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, shift = (self.given[f"{name}.{part}"] for part in parts)
        return functional.batch_norm(value, mean, variance, scale, shift, eps=1e-3)
