"""The U-Net of systems 2 to 5 as it runs live: causal, with strides in frequency alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models_onnx.networks.level import level_so_far
from models_onnx.networks.steer.cells import decays
from models_onnx.networks.unet.blocks import (
    Block,
    CausalConv,
    Film,
    Memory,
    Recurrent,
    Residual,
    Up,
    reshaped,
    said,
)
from models_onnx.networks.unet.config import UNetConfig

LEVEL_S = 2.0
QUIET = 1e-4
SIDES = 2  # mid and side


class Masks(NamedTuple):
    """What the network gives: masks (B, F, masks, bins), next states, logits (B, F) of activity.

    And the powers of mid and side (B, F, 2, bins) that it has seen.
    """

    masks: Tensor
    states: tuple[Tensor, ...]
    activity_logit: Tensor | None
    power: Tensor


class UNet(nn.Module):
    """Masks of a mixture, told a condition at the places of its configuration.

    The first block takes whole groups of bins (they become channels), the last one gives them
    back; in between strides in frequency, and at the bottleneck residual blocks that reach back in
    time, and perhaps a GRU that reaches back further. The level is taken out by a recursive
    average, so any level gives the same masks.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config, self.every = config, 1
        size = config.condition * (1 + config.against)
        at = dict.fromkeys(config.places, size)
        first, *rest = config.channels
        near, fine = (1, config.up_kernel[1]), config.kernel[0] if config.fine else 0
        seen = SIDES * config.strides[0]
        self.code = nn.Linear(size, size) if config.against else None
        self.tiled = nn.Linear(size, first) if "input" in at else None
        self.down = nn.ModuleList(
            [Block(seen, first, near, code=at.get("encoder", 0), residual=fine)]
        )
        for given, made, stride in zip(config.channels, rest, config.strides[1:], strict=False):
            self.down.append(
                Block(given, made, config.kernel, stride, code=at.get("encoder", 0),
                      residual=config.kernel[0] if config.residual else 0)
            )  # fmt: skip
        deep = config.channels[-1]
        self.film = Film(size, deep) if "bottleneck" in at else None
        self.neck = nn.ModuleList(Residual(deep, 3, d) for d in config.dilations)
        self.recurrent = None
        if config.recurrent:
            self.recurrent = Recurrent(deep, config.levels[-1], config.recurrent)
        self.sounds = nn.Linear(deep, 1) if config.activity else None
        self.grow, self.up = nn.ModuleList(), nn.ModuleList()
        pairs = list(zip(config.channels, rest, config.strides[1:], strict=False))
        for level, (made, given, stride) in reversed(list(enumerate(pairs))):
            kernel = config.up_kernel if level else near
            reach = config.up_kernel[0] if config.residual else 0
            self.grow.append(Up(given, made, stride))
            self.up.append(
                Block(2 * made, made, kernel, code=at.get("decoder", 0),
                      residual=reach if level else fine,
                      adaptive="decoder" in at)
            )  # fmt: skip
        self.final = Film(size, first) if "final" in at else None
        self.leave = Up(first + seen, config.masks, config.strides[0], near[1])

    def interleaved(self) -> UNet:
        """Return the network of a stream, whose frames are closer than those of training."""
        stream = copy.deepcopy(self)
        stream.every = self.config.every
        for module in stream.modules():
            if isinstance(module, CausalConv):
                module.every = self.config.every
        return stream

    def states(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each state of one stream: the level, then the pasts."""
        levels, found = self.config.levels, list[tuple[int, ...]]()
        for block, bins in zip(self.down, (levels[0], *levels), strict=False):
            found += block.pasts(bins)  # type: ignore[operator]
        for block in self.neck:
            found += block.pasts(levels[-1])  # type: ignore[operator]
        found += self.recurrent.pasts() if self.recurrent else []
        for block, bins in zip(self.up, reversed(levels[:-1]), strict=True):
            found += block.pasts(bins)  # type: ignore[operator]
        return {"level": (1, 2), **{f"past{k}": shape for k, shape in enumerate(found)}}

    def forward(
        self, spectrum: Tensor, told: Tensor | None = None, states: Sequence[Tensor] = ()
    ) -> Masks:
        """Give the masks of spectra (B, F, 2, bins, 2), told conditions (B, F, size).

        These are unit vectors, or a one for each label; scaled, since the layers that take them
        learn as fast as others from numbers of unit variance.
        """
        memory = Memory(states[1:])
        code = None if told is None else math.sqrt(self.config.condition) * told
        if self.code is not None:
            code = torch.relu(self.code(code))
        words = iter(()) if code is None else said(code, self._told())
        power = powers(spectrum)
        x, level = self.features(power, states[0] if states else None)
        seen, skips = x, []
        for k, block in enumerate(self.down):
            x = block(x, words, memory)
            if k == 0 and self.tiled is not None:
                x = x + next(words)
            skips.append(x)
        if self.film is not None:
            x = self.film(x, words)
        for block in self.neck:
            x = block(x, memory)
        if self.recurrent is not None:
            x = self.recurrent(x, memory)
        logit = self.sounds(x.mean(3).transpose(1, 2))[..., 0] if self.sounds is not None else None
        for grow, block, skip in zip(self.grow, self.up, reversed(skips[:-1]), strict=True):
            x = block(torch.cat([grow(x), skip], 1), words, memory)
        if self.final is not None:
            x = self.final(x, words)
        masks = torch.sigmoid(self.leave(torch.cat([x, seen], 1)).transpose(1, 2))
        if "multiply" in self.config.places:
            assert told is not None
            masks = masks * told[..., None]
        return Masks(masks, (level, *memory.next), logit, power)

    def _told(self) -> list[Film | nn.Linear]:
        """Return the layers that take the code, in the order in which they are used."""
        down, up = ([block.film for block in blocks] for blocks in (self.down, self.up))
        layers = [down[0], self.tiled, *down[1:], self.film, *up, self.final]
        return [layer for layer in layers if isinstance(layer, Film | nn.Linear)]

    def features(self, power: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Give log powers of mid and side over the level, and the next level.

        Groups of bins are channels: (B, 2 · group, F, bins / group). The level is an average over
        time that is divided by that of ones, so it holds from the first frame on.
        """
        hop = self.config.hop * self.config.every // self.every
        mean = power.mean((2, 3), keepdim=True)  # (B, F, 1, 1)
        level, state = level_so_far(mean, state, *decays((LEVEL_S,), hop))
        x = 0.3 * torch.log(power / (level + 1e-12) + QUIET) + 1.0  # (B, F, 2, bins)
        group, bins = self.config.strides[0], self.config.levels[0]
        parts = reshaped(x, 0, 0, SIDES, -1, group).permute(0, 2, 4, 1, 3)
        return reshaped(parts, 0, SIDES * group, -1, bins), state


def powers(spectrum: Tensor) -> Tensor:
    """Give the powers of mid and side (B, F, 2, bins) of a spectrum (B, F, 2, bins, 2)."""
    left, right = spectrum.split(1, 2)
    return torch.cat([left + right, left - right], 2).square().sum(-1)
