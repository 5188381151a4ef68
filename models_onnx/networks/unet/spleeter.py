"""Spleeter's U-Net (Hennequin, Khlif, Voituret & Moussallam, JOSS 2020), told a timbre.

FiLM (Perez et al., 2018) of a code scales and shifts every block and begins at nothing. The last
block is new: a network that takes one source leaves by one channel, which is too little for others.

Shapes: x (B, channels, frames, bins), frames a multiple of `chunks.FRAMES`; a code (B, size).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models_onnx.networks.unet.published import Modulation

BINS = 1024
LEVELS = 6
SIDES = 2  # left and right
WIDTH = 16  # channels of the first block
KERNEL, SLOPE, EPSILON = 5, 0.2, 1e-3
OLD_SCALE = 4.0
"""By how much the mask of the network of before is scaled: it is then of about unit variance."""


def modulation(size: int, channels: int) -> Modulation:
    """Return FiLM that changes nothing yet."""
    film = Modulation(size, channels)
    nn.init.zeros_(film.linear.weight)
    nn.init.zeros_(film.linear.bias)
    return film


class KeptNorm(nn.Module):
    """A batch norm of which nothing is trained: factor · x + shift of every channel."""

    factor: Tensor  # (channels, 1, 1)
    shift: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("factor", torch.ones(channels, 1, 1))
        self.register_buffer("shift", torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Give x, scaled and shifted."""
        return x * self.factor + self.shift


class Down(nn.Module):
    """Half the frames and bins: convolution and FiLM, which the way up sees, then norm."""

    def __init__(self, size: int, given: int, made: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, made, KERNEL, 2)
        self.film = modulation(size, made)
        self.norm = KeptNorm(made)

    def forward(self, x: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Give what the way up sees and what the next block does, (B, made, F / 2, bins / 2)."""
        skip = self.film(self.conv(functional.pad(x, (1, 2, 1, 2))), code)
        return skip, functional.leaky_relu(self.norm(skip), SLOPE)


class Up(nn.Module):
    """Twice the frames and bins: transposed convolution, ReLU, norm, and FiLM if it has a code."""

    def __init__(self, size: int, given: int, made: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(given, made, KERNEL, 2, padding=1)
        self.norm = KeptNorm(made)
        self.film = modulation(size, made) if size else None

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Give (B, made, 2 F, 2 bins)."""
        x = self.norm(functional.relu(self.conv(x)[..., :-1, :-1]))
        return x if self.film is None else self.film(x, code)


class Last(nn.Module):
    """The new last block: transposed convolution, a gate of the code, and the old mask beside."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(2 * width, width, KERNEL, 2, padding=1)
        self.gate = nn.Linear(size, width)
        self.leave = nn.Conv2d(width + SIDES, SIDES, 3, padding=1)
        for name, weight in self.named_parameters():
            if name in ("gate.weight", "gate.bias", "leave.bias"):
                nn.init.zeros_(weight)

    def forward(self, x: Tensor, old: Tensor, code: Tensor) -> Tensor:
        """Give masks (B, 2, 2 F, 2 bins)."""
        y = functional.leaky_relu(self.conv(x)[..., :-1, :-1], SLOPE)
        y = y * (2 * torch.sigmoid(self.gate(code)))[:, :, None, None]
        return torch.sigmoid(self.leave(torch.cat([y, OLD_SCALE * (old - 0.5)], 1)))


class SpleeterUNet(nn.Module):
    """Masks of left and right out of their magnitudes, as a code says."""

    def __init__(self, size: int, width: int = WIDTH) -> None:
        super().__init__()
        down = [SIDES, *(width << level for level in range(LEVELS))]
        up = [width << level for level in reversed(range(LEVELS - 1))]
        given = [down[-1], *(2 * channels for channels in up)]
        self.down = nn.ModuleList(Down(size, a, b) for a, b in itertools.pairwise(down))
        self.up = nn.ModuleList(Up(size, a, b) for a, b in zip(given, up, strict=False))
        self.old_up = Up(0, given[-1], 1)
        self.old_leave = nn.Conv2d(1, SIDES, 4, dilation=2, padding=3)
        self.last = Last(size, width)

    def forward(self, magnitude: Tensor, code: Tensor) -> Tensor:
        """Give masks (B, 2, F, bins) of magnitudes (B, 2, F, bins)."""
        x, skips = magnitude, list[Tensor]()
        for down in self.down:
            skip, x = down(x, code)
            skips.append(skip)
        x = self.up[0](skips[-1], code)
        for up, skip in zip(self.up[1:], skips[-2:0:-1], strict=True):
            x = up(torch.cat([skip, x], 1), code)
        x = torch.cat([skips[0], x], 1)
        masks: Tensor = self.last(x, self.old_mask(x, code), code)
        return masks

    def old_mask(self, x: Tensor, code: Tensor) -> Tensor:
        """Give the masks of the network of before: by no code, what it was trained to take."""
        mask: Tensor = torch.sigmoid(self.old_leave(self.old_up(x, code)))
        return mask

    def is_new(self, name: str) -> bool:
        """Return whether a parameter is none of the network of before."""
        return "film" in name or name.startswith("last.")


_CONVOLUTIONS = {
    **{f"down{k}_conv.1": f"down.{k - 1}.conv" for k in range(1, LEVELS + 1)},
    **{f"up{k}.0": f"up.{k - 1}.conv" for k in range(1, LEVELS)},
    f"up{LEVELS}.0": "old_up.conv",
    f"up{LEVELS + 1}.0": "old_leave",
}
"""Names of `plugin_bridge.conversion.spleeter.UNet`, and those of `SpleeterUNet`."""
_NORMS = {
    **{f"down{k}_act.0": f"down.{k - 1}.norm" for k in range(1, LEVELS)},
    **{f"up{k}.3": f"up.{k - 1}.norm" for k in range(1, LEVELS)},
    f"up{LEVELS}.3": "old_up.norm",
}


def from_arrays(arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, Tensor]:
    """Return the weights of a network of before, by their names in `SpleeterUNet`.

    arrays : as `plugin_bridge.conversion.spleeter.UNet` has them.
    """
    found: dict[str, NDArray[np.float32]] = {}
    for theirs, ours in _CONVOLUTIONS.items():
        found |= {f"{ours}.{part}": arrays[f"{theirs}.{part}"] for part in ("weight", "bias")}
    for theirs, ours in _NORMS.items():
        mean, variance, scale, shift = (
            arrays[f"{theirs}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        factor = scale / np.sqrt(variance + EPSILON)
        found[f"{ours}.factor"] = factor[:, None, None]
        found[f"{ours}.shift"] = (shift - mean * factor)[:, None, None]
    return {name: torch.from_numpy(np.array(array, np.float32)) for name, array in found.items()}


def to_arrays(network: SpleeterUNet) -> dict[str, NDArray[np.float32]]:
    """Return the weights as `from_arrays` takes them, and those of the last block as they are.

    A norm that was kept is one of no mean and of a variance that its epsilon makes one.
    """
    weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
    found = {name: array for name, array in weights.items() if name.startswith("last.")}
    for theirs, ours in _CONVOLUTIONS.items():
        found |= {f"{theirs}.{part}": weights[f"{ours}.{part}"] for part in ("weight", "bias")}
    for theirs, ours in _NORMS.items():
        factor, shift = (weights[f"{ours}.{part}"][:, 0, 0] for part in ("factor", "shift"))
        none = np.zeros_like(factor)
        found |= {
            f"{theirs}.weight": factor, f"{theirs}.bias": shift,
            f"{theirs}.running_mean": none, f"{theirs}.running_var": none + 1 - EPSILON,
        }  # fmt: skip
    return found
